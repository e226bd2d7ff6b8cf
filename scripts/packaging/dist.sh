#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The release tarball: this repository's files, and with BASE=1 the base's source
# package as well, so that nothing has to be fetched.
#
# usage: dist.sh          leaves $BUILD/dist/sev-clone-VERSION.tar.xz
. "$(dirname "${BASH_SOURCE[0]}")/../overlay/lib.sh"

name=sev-clone-$VERSION
out=$BUILD/dist
top=$out/$name
when=$(git -C "$ROOT" log -1 --format=%cI 2>/dev/null || cat "$ROOT/.release-date")

rm -rf "$top"
mkdir -p "$top" || disk_full
"$ROOT/scripts/packaging/files.sh" > "$out/files"
tar -C "$ROOT" -cf - --no-recursion -T "$out/files" | tar -C "$top" -xf -
cp "$out/files" "$top/.release-files"
echo "$when" > "$top/.release-date"
if [ "${BASE:-}" = 1 ]; then
    "$ROOT/scripts/overlay/fetch.sh" --download-only
    mkdir "$top/base"
    cp "$BUILD"/dl/base "$BUILD"/dl/*.dsc "$BUILD"/dl/*.tar.* "$top/base/"
fi
chmod -R u=rwX,go=rX "$top"
tar -C "$out" --sort=name --mtime="$when" --owner=0 --group=0 --numeric-owner \
    -cf - "$name" | xz -6 -T0 > "$out/$name.tar.xz.new" || disk_full
mv "$out/$name.tar.xz.new" "$out/$name.tar.xz"
rm -rf "$top"
step dist "$out/$name.tar.xz ($(du -h "$out/$name.tar.xz" | cut -f1))"
