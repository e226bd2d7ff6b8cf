#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Build from the release tarball, where git does not answer.
#
# usage: check-dist.sh          after dist.sh
. "$(dirname "${BASH_SOURCE[0]}")/../overlay/lib.sh"

top=$BUILD/dist/try
rm -rf "$top"
mkdir -p "$top/bin" "$top/build"
trap 'rm -rf "$top"' EXIT
tar -C "$top" -xf "$BUILD/dist/sev-clone-$VERSION.tar.xz"
printf '#!/bin/sh\nexit 1\n' > "$top/bin/git"
chmod 755 "$top/bin/git"
for name in dl meson apt; do
    if [ -e "$BUILD/$name" ]; then cp -a "$BUILD/$name" "$top/build/"; fi
done
unset MAKEFLAGS MAKELEVEL MFLAGS OVERLAY_LOCK
PATH=$top/bin:$PATH logged dist-build make -C "$top/sev-clone-$VERSION" build \
    BUILD="$top/build" || die "the release tarball does not build ($(grep -m1 '^error' "$LOGS/dist-build.log" | cut -c1-160)); see $LOGS/dist-build.log."
"$top/build/obj/qemu-system-x86_64" -object help | grep -q sev-guest ||
    die "the QEMU that the release tarball makes knows no sev-guest."
step ok "the release tarball builds without git"
