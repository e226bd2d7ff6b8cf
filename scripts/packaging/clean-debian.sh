# SPDX-License-Identifier: GPL-2.0-or-later
# A clean Debian in a folder. Sourced after overlay/lib.sh; $suite is its name, and
# $roots the folder that keeps bare systems.

archive() {
    local first
    mkdir -p "$roots/archive"
    first=$("$PYTHON" "$ROOT/scripts/overlay/archive.py" "$roots/archive" "$suite" | head -1)
    sed -n 's/^URIs: //p' "$first"
}

bare() {
    if [ ! -e "$roots/$suite.tar" ]; then
        step root "a bare $suite"
        mkdir -p "$roots"
        rm -rf "$roots/new"
        logged debootstrap debootstrap --variant=minbase "$suite" "$roots/new" "$(archive)" ||
            die "debootstrap failed ($(tail -1 "$LOGS/debootstrap.log" | cut -c1-160)); see $LOGS/debootstrap.log."
        tar -C "$roots/new" --numeric-owner -cf "$roots/$suite.tar.new" .
        mv "$roots/$suite.tar.new" "$roots/$suite.tar"
        rm -rf "$roots/new"
    fi
}

# unpacked FOLDER
unpacked() {
    mkdir -p "$1"
    tar -C "$1" --numeric-owner -xf "$roots/$suite.tar"
    cp -L /etc/resolv.conf "$1/etc/resolv.conf"
    printf '#!/bin/sh\nexit 101\n' > "$1/usr/sbin/policy-rc.d"
    chmod 755 "$1/usr/sbin/policy-rc.d"
}

# within FOLDER COMMAND...: as root in it, with a /proc, a /sys, a /run and a /dev of
# its own. What the command started ends with it.
within() {
    local folder=$1
    shift
    # shellcheck disable=SC2016
    unshare --mount --pid --fork --kill-child --ipc --uts sh -c '
        set -e
        mount --rbind "$0" "$0"     # libvirt wants a root that is a mount
        mount -t proc proc "$0/proc"
        mount -t sysfs sysfs "$0/sys"
        mount -t tmpfs -o mode=755 tmpfs "$0/run"
        mount -t tmpfs -o mode=755 tmpfs "$0/dev"
        node() { mknod -m 666 "$0/dev/$1" c "$2" "$3"; }
        node null 1 3; node zero 1 5; node full 1 7
        node random 1 8; node urandom 1 9; node tty 5 0
        mkdir "$0/dev/shm" "$0/dev/pts" "$0/dev/net"
        node net/tun 10 200
        mount -t devpts -o newinstance,ptmxmode=666 devpts "$0/dev/pts"
        mount -t tmpfs shm "$0/dev/shm"
        node ptmx 5 2               # as devtmpfs has it; libvirt copies it
        ln -s /proc/self/fd "$0/dev/fd"
        # No chroot: who enters a mount namespace, as libvirt does for each guest,
        # is at its root, which was the host.
        cd "$0"
        pivot_root . .
        umount -l .
        cd /
        exec env -i HOME=/root PATH="$WITHIN_PATH" LC_ALL=C.UTF-8 \
            DEBIAN_FRONTEND=noninteractive "$@"' \
        "$folder" "$@" < /dev/null
}
WITHIN_PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export WITHIN_PATH
