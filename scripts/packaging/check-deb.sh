#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Install the packages in a clean Debian, use them, remove and purge them.
#
# usage: check-deb.sh [SUITE]      as root; bookworm or trixie, default: the host's
#
# Needs debootstrap. On another Debian than the host's the packages are built in a
# second clean Debian first, from a release tarball. $BUILD/roots keeps the bare
# systems. One line per check; exit code 0 when all held, 77 when it cannot be tried.
. "$(dirname "${BASH_SOURCE[0]}")/../overlay/lib.sh"
. "$ROOT/scripts/packaging/clean-debian.sh"

host=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
suite=${1:-$host}
roots=$BUILD/roots
top=$roots/try-$suite.$$

skip() { echo "skip ($*) packages in a clean $suite"; exit 77; }
[ "$(id -u)" = 0 ] || skip "not root"
command -v debootstrap > /dev/null || skip "debootstrap is not installed"
unshare --mount --pid --fork true 2>/dev/null || skip "no namespaces here"

# The packages for $suite, in $debs.
packages() {
    if [ "$suite" = "$host" ]; then
        debs=$BUILD/deb
        ls "$debs"/*.deb > /dev/null 2>&1 || die "no packages in $debs; run 'make deb' first."
        return 0
    fi
    debs=$BUILD/deb-$suite/deb
    step build "the packages, in a clean $suite (see $LOGS/deb-$suite.log)"
    BASE=1 "$ROOT/scripts/packaging/dist.sh"
    unpacked "$top-build"
    tar -C "$top-build/srv" -xf "$BUILD/dist/sev-clone-$VERSION.tar.xz"
    mkdir -p "$BUILD/deb-$suite" "$top-build/build"
    cp -a "$BUILD/deb-$suite/." "$top-build/build/"
    logged "deb-$suite" within "$top-build" sh -ec "
        apt-get -q update
        apt-get -q -y --no-install-recommends install make ca-certificates
        make -C /srv/sev-clone-$VERSION deb BUILD=/build JOBS=${JOBS:-$(nproc)} \
            DEBFULLNAME='${DEBFULLNAME:-sev-clone}' DEBEMAIL='${DEBEMAIL:-}'" ||
        failed=1
    # What was compiled is kept for the next time.
    rm -rf "$BUILD/deb-$suite"
    mv "$top-build/build" "$BUILD/deb-$suite"
    rm -rf "$top-build"
    [ -z "${failed:-}" ] || die "the packages cannot be built on $suite ($(grep -m1 '^error' "$LOGS/deb-$suite.log" | cut -c1-160)); see $LOGS/deb-$suite.log."
}

trap 'rm -rf "$top" "$top-build"' EXIT
bare
packages
"$ROOT/tests/guest/build.sh"
unpacked "$top"
mkdir "$top/try"
cp "$debs"/*.deb "$top/try/"
cp "$BUILD"/guest/bookworm/vmlinuz "$BUILD"/guest/bookworm/initrd-clone.img "$top/try/"
cp "$ROOT/scripts/packaging/in-clean-debian.sh" "$top/try/"
within "$top" /try/in-clean-debian.sh
