#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Build the unpatched base beside ours, configured the same, to compare with.
#
# usage: build-base.sh          after "make build"; leaves $BUILD/base/obj
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/overlay/lib.sh"

base=$BUILD/base
[ -e "$OBJ/.overlay-configured" ] || die "nothing is built in $BUILD; run 'make build' first."
package=$(find "$BUILD/dl" -maxdepth 1 -name '*.dsc' 2>/dev/null | head -1)
[ -n "$package" ] || die "the base's source package is not in $BUILD/dl; run 'make fetch'."

if [ ! -d "$base/qemu" ]; then
    step unpack "$package"
    mkdir -p "$base"
    rm -rf "$base/qemu.new"
    logged base-unpack dpkg-source --no-check -x "$package" "$base/qemu.new" || disk_full
    mv "$base/qemu.new" "$base/qemu"
fi
if [ ! -e "$base/obj/build.ninja" ]; then
    step configure "the base, with the same words"
    mkdir -p "$base/obj"
    mapfile -t words < <(sed -e '$d' -e '/^--with-pkgversion=/s/=.*,/=unpatched,/' \
        "$OBJ/.overlay-configured")
    site=$BUILD/meson/usr/lib/python3/dist-packages
    [ -d "$site" ] && export PYTHONPATH=$site
    (cd "$base/obj" && logged base-configure ../qemu/configure "${words[@]}") ||
        die "configure failed for the base; see $LOGS/base-configure.log."
fi
step build "the base"
export CCACHE_BASEDIR=$BUILD/base CCACHE_NOHASHDIR=1
logged base-build nice ninja -C "$base/obj" -j "${JOBS:-$(nproc)}" qemu-system-x86_64 ||
    die "the base does not build; see $LOGS/base-build.log."
# Debian's firmware is found the way ours finds it: through links in the bundle.
cp -an "$OBJ/qemu-bundle/usr" "$base/obj/qemu-bundle/"
step ready "$base/obj/qemu-system-x86_64"
