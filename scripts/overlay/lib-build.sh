#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Set up $BUILD/lib: the chip's library, its tools and its unit tests, without
# QEMU.
#
# usage: lib-build.sh [NINJA TARGETS...]        without one nothing is compiled
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$ROOT/scripts/overlay/meson-lib.sh"
take_lock
find_meson
find_cache

if [ ! -e "$BUILD/lib/build.ninja" ] || [ "$(readlink "$BUILD/lib/meson" || true)" != "$MESON" ]; then
    rm -rf "${BUILD:?}/lib"
    logged lib-setup "$MESON" setup "$BUILD/lib" "$ROOT" ||
        die "the library cannot be configured ($(grep -m1 ERROR "$LOGS/lib-setup.log" | cut -c1-160)); see $LOGS/lib-setup.log."
    ln -sfn "$MESON" "$BUILD/lib/meson"
fi

if [ $# -gt 0 ]; then
    NINJA=$(command -v ninja || command -v ninja-build) ||
        die "ninja is missing; install the package ninja-build."
    logged lib-build "$NINJA" -C "$BUILD/lib" -j "${JOBS:-$(nproc)}" "$@" || {
        grep -A12 -m1 '^FAILED' "$LOGS/lib-build.log" >&2 || true
        die "$* cannot be built ($(tail -1 "$LOGS/lib-build.log" | cut -c1-160)); see $LOGS/lib-build.log."
    }
fi
