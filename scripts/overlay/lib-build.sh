#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Set up $BUILD/lib: the chip's library and its unit tests, without QEMU.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$ROOT/scripts/overlay/meson-lib.sh"
take_lock
find_meson

if [ ! -e "$BUILD/lib/build.ninja" ] || [ "$(readlink "$BUILD/lib/meson" || true)" != "$MESON" ]; then
    rm -rf "${BUILD:?}/lib"
    logged lib-setup "$MESON" setup "$BUILD/lib" "$ROOT" ||
        die "the library cannot be configured ($(grep -m1 ERROR "$LOGS/lib-setup.log" | cut -c1-160)); see $LOGS/lib-setup.log."
    ln -sfn "$MESON" "$BUILD/lib/meson"
fi
