#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Install the packages that are missing, or say in one sentence how to.
#
# usage: deps.sh build|run|test|registry|libvirt|package|clean|bench|manual...   OVERLAY_NO_INSTALL=1 only says
#        deps.sh --list GROUP...                     the names of the packages
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# shellcheck disable=SC2034  # used by name below
build="build-essential ninja-build flex bison pkg-config python3-venv dpkg-dev
       libglib2.0-dev libpixman-1-dev libslirp-dev zlib1g-dev libgnutls28-dev
       nettle-dev libgcrypt20-dev libpng-dev libzstd-dev libcap-ng-dev libseccomp-dev
       libfdt-dev libattr1-dev libaio-dev liburing-dev libipsec-mb-dev ccache patch xz-utils"
if [ "${FEATURES:-}" = distribution ]; then
    build+=" $(awk '$1 ~ /^(module|inside)$/ { $1 = $2 = ""; sub("-$", ""); print }' \
        "$ROOT/scripts/overlay/features")"
fi
# shellcheck disable=SC2034
run="seabios qemu-system-data ipxe-qemu ovmf"
# The guests' kernel is fetched and unpacked by the demo, never installed.
# shellcheck disable=SC2034
test="iproute2 valgrind git shellcheck xorriso python3-cryptography swtpm"
# shellcheck disable=SC2034
registry="skopeo docker-registry"
# shellcheck disable=SC2034
libvirt="libvirt-daemon libvirt-daemon-driver-qemu libvirt-clients libvirt-clients-qemu
         python3-libvirt python3-lxml virtinst lzop swtpm-tools"

# shellcheck disable=SC2034
package="debhelper dh-python lintian"
# shellcheck disable=SC2034
clean="debootstrap"
# shellcheck disable=SC2034
bench="python3-matplotlib fonts-dejavu-core"
# shellcheck disable=SC2034
manual="python3-sphinx python3-sphinx-rtd-theme"

if [ "${1:-}" = --list ]; then
    shift
    for group in "$@"; do
        printf '%s\n' ${!group}
    done
    exit 0
fi

if ! command -v dpkg-query > /dev/null; then
    step deps "no dpkg here: install what QEMU and $ROOT/scripts/overlay/deps.sh name yourself"
    exit 0
fi

missing=
for group in "$@"; do
    # Not "package", which is the name of a group.
    for name in ${!group}; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] ||
            missing="$missing $name"
    done
done
[ -n "$missing" ] || exit 0

say_how() {
    die "packages are missing and cannot be installed from here ($1); run: apt-get install --no-install-recommends$missing"
}

as_root=
if [ "${OVERLAY_NO_INSTALL:-0}" = 1 ]; then
    say_how "OVERLAY_NO_INSTALL is set"
elif [ "$(id -u)" != 0 ]; then
    command -v sudo > /dev/null || say_how "not root, no sudo"
    sudo -n true 2>/dev/null || [ -t 0 ] || say_how "not root, sudo wants a password"
    as_root="sudo"
fi

step deps "installing$missing"
install() {
    DEBIAN_FRONTEND=noninteractive $as_root apt-get -q -y --no-install-recommends \
        -o DPkg::Lock::Timeout=300 install $missing
}
update() { $as_root apt-get -q update; }
logged deps install || { logged deps-update update && logged deps install; } ||
    say_how "apt: $(grep -hm1 -E '^E:' "$LOGS/deps.log" "$LOGS/deps-update.log" | cut -c4-160)"
