#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Make the test guest: Debian's own cloud kernel and an initramfs around it.
#
# usage: build.sh [SUITE]       (default bookworm: Linux 6.1; trixie: 6.12)
#
# Leaves $BUILD/guest/SUITE/{vmlinuz,initrd.img,version}. Nothing is installed.
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/overlay/lib.sh"

suite=${1:-bookworm}
here=$ROOT/tests/guest
out=$BUILD/guest/$suite
apt=$ROOT/scripts/overlay/apt.sh

# The drivers that the guest's devices need; what they depend on follows.
drivers=(virtio_pci virtio_net virtio_rng virtio_blk)

# The metapackage names the kernel of the day.
kernel_package() {
    "$apt" "$suite" show linux-image-cloud-amd64 |
        sed -n 's/^Depends: *\(linux-image-[^ ,]*\).*/\1/p' | head -1
}

fetch() {
    local package deb
    package=$(kernel_package)
    [ -n "$package" ] || die "Debian's archive has no linux-image-cloud-amd64 in '$suite'; run the command again, or name another suite."
    rm -rf "$out.new"
    mkdir -p "$out.new/debs" || disk_full
    step guest "$package and busybox-static"
    (cd "$out.new/debs" && logged "guest-$suite" "$apt" "$suite" download \
        "$package" busybox-static) ||
        die "cannot download the guest's kernel ($package); see $LOGS/guest-$suite.log and run the command again."
    for deb in "$out.new"/debs/*.deb; do
        dpkg-deb -x "$deb" "$out.new/root" || disk_full
    done
    rm -rf "$out.new/debs" "$out"
    mv "$out.new" "$out"
}

mkdir -p "$BUILD/guest"
exec 8> "$BUILD/guest/.lock"
flock 8
[ -d "$out/root/boot" ] || fetch

busybox=$(find "$out/root" -name busybox -type f -path '*/bin/*')
modules=$(find "$out/root" -path '*/lib/modules/*' -prune -print)
if [ "$here/agent.c" -nt "$out/agent" ]; then
    logged guest-agent gcc -std=gnu11 -O2 -Wall -Wextra -static \
        -o "$out/agent.new" "$here/agent.c" ||
        die "the guest's agent does not compile; see $LOGS/guest-agent.log."
    mv "$out/agent.new" "$out/agent"
fi
for input in "$out/agent" "$here/init" "$here/initramfs.py" "$here/build.sh"; do
    if [ "$input" -nt "$out/initrd.img" ]; then
        "$PYTHON" "$here/initramfs.py" "$out/initrd.img" "$busybox" \
            "$out/agent" "$here/init" "$modules" "${drivers[@]}"
        break
    fi
done
ln -f "$out"/root/boot/vmlinuz-* "$out/vmlinuz"
basename "$modules" > "$out/version"
step guest "Linux $(cat "$out/version"), $out"
