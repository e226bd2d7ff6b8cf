# SPDX-License-Identifier: GPL-2.0-or-later
# A meson new enough for QEMU. Sourced after lib.sh.

# QEMU 10.0 wants meson 1.5. Where the system's is older, a newer one is taken
# from the archive and unpacked into the build directory, for this build only.
meson_is_new() {
    PYTHONPATH=${1:-} "$PYTHON" -c '
from importlib.metadata import version
import sys
sys.exit(tuple(int(x) for x in version("meson").split(".")[:2]) < (1, 5))' 2>/dev/null
}

private_meson() {
    local suite site=$BUILD/meson/usr/lib/python3/dist-packages
    if ! meson_is_new "$site"; then
        rm -rf "$BUILD/meson" "$BUILD/meson.tmp"
        mkdir -p "$BUILD/meson.tmp/deb"
        for suite in $(awk '$1 == "base" { print $2 }' "$ROOT/upstream.lock"); do
            (cd "$BUILD/meson.tmp/deb" &&
             logged meson "$ROOT/scripts/overlay/apt.sh" "$suite" download "meson") && break
        done
        logged meson-unpack dpkg-deb -x "$BUILD"/meson.tmp/deb/*.deb "$BUILD/meson.tmp" ||
            die "no meson 1.5 or newer: the system's is older and none could be fetched ($(tail -1 "$LOGS/meson.log" | cut -c1-160)); check the network and run the same command again."
        mv "$BUILD/meson.tmp" "$BUILD/meson"
        meson_is_new "$site" || die "the meson in the archive is older than 1.5; install a newer one for $PYTHON."
        step meson "taken from the archive into the build directory"
    fi
    export PYTHONPATH=$site
}

# Sets MESON, a path that works again when ninja calls it by itself.
find_meson() {
    if meson_is_new; then
        MESON=/usr/bin/meson
        [ -x "$MESON" ] || MESON=$(command -v meson) ||
            die "$PYTHON has a meson module but there is no meson command; install the package meson."
        return 0
    fi
    private_meson
    MESON=$BUILD/meson/usr/bin/meson
    # A meson looks for its modules beside itself first.
    ln -sfn ../lib/python3/dist-packages/mesonbuild "$BUILD/meson/usr/bin/mesonbuild"
}
