#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What Debian's QEMU says of itself beside what ours says, and beside docs/features.md.
#
# usage: check-features.sh         as root, after "make deb"
#
# Debian's packages of the base's own version are installed in a clean Debian, which
# $BUILD/roots keeps. Exit code 0 when the tables are right, 77 when it cannot be tried.
. "$(dirname "${BASH_SOURCE[0]}")/../overlay/lib.sh"
. "$ROOT/scripts/packaging/clean-debian.sh"

suite=$(awk '$1 == "base" { print $2; exit }' "$ROOT/upstream.lock")
roots=$BUILD/roots
debians=$roots/debians-$suite
ours=$BUILD/deb/build/obj/qemu-system-x86_64
packages="python3 qemu-system-x86 qemu-system-gui qemu-block-extra qemu-utils
          qemu-system-modules-opengl qemu-system-modules-spice"

skip() { echo "skip ($*) Debian's features beside ours"; exit 77; }
[ "$(id -u)" = 0 ] || skip "not root"
command -v debootstrap > /dev/null || skip "debootstrap is not installed"
unshare --mount --pid --fork true 2>/dev/null || skip "no namespaces here"
[ -x "$ours" ] || die "$ours is missing; run 'make deb' first."

bare
if [ ! -d "$debians" ]; then
    rm -rf "$debians.new"
    unpacked "$debians.new"
    mv "$debians.new" "$debians"
fi
step install "Debian's QEMU, in a clean $suite"
# shellcheck disable=SC2086
logged debians-qemu within "$debians" sh -ec "apt-get -q update
    apt-get -q -y --no-install-recommends install $(xargs <<< "$packages")" ||
    die "Debian's QEMU cannot be installed ($(grep -m1 '^E:' "$LOGS/debians-qemu.log" | cut -c1-160)); see $LOGS/debians-qemu.log."
cp "$ROOT/scripts/packaging/features.py" "$debians/srv/"
within "$debians" python3 /srv/features.py survey /usr/bin/qemu-system-x86_64 \
    > "$BUILD/features-debian.json"
"$PYTHON" "$ROOT/scripts/packaging/features.py" survey "$ours" > "$BUILD/features-ours.json"
"$PYTHON" "$ROOT/scripts/packaging/features.py" compare \
    "$BUILD/features-debian.json" "$BUILD/features-ours.json"
