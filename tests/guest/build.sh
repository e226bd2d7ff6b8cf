#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Make the test guest: Debian's own cloud kernel and an initramfs around it.
#
# usage: build.sh [SUITE [FLAVOUR]]     (default bookworm: Linux 6.1; trixie:
#        6.12. FLAVOUR: cloud, the default, or generic, which has more drivers)
#
# Leaves $BUILD/guest/SUITE/{vmlinuz,initrd.img,tools.img,version}: tools.img is
# initrd.img with more drivers and tools.c, devices.img (generic) with most.
# Nothing is installed.
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/overlay/lib.sh"

suite=${1:-bookworm}
flavour=${2:-cloud}
here=$ROOT/tests/guest
out=$BUILD/guest/$suite
linux="linux-image-$flavour-amd64"
if [ "$flavour" = generic ]; then
    out=$out-generic
    linux="linux-image-amd64"
fi
apt=$ROOT/scripts/overlay/apt.sh

# The drivers that the guest's devices need; what they depend on follows.
drivers=(virtio_pci virtio_net virtio_rng virtio_blk)
# For the tests of devices.
more=(virtio_scsi sd_mod virtio_console virtiofs 9p 9pnet_virtio
      vmw_vsock_virtio_transport efivarfs virtio_balloon)
# ... whose registers are memory; the cloud kernel lacks most of them.
[ "$flavour" = cloud ] || more+=(nvme ahci e1000e xhci_pci usb_storage)

# For one of each (tests/functional/devicerows.py): the generic kernel's alone.
zoo=(nvme ahci xhci_pci usb_storage uas e1000e vmxnet3 vmw_pvscsi i6300esb
     snd_intel8x0 virtio_snd snd_pcm_oss bochs virtio_input evdev virtio_pmem
     nd_pmem virtio_iommu virtio_gpu qxl snd_hda_codec_generic snd_hda_intel
     virtio_crypto)

# The metapackage names the kernel of the day.
kernel_package() {
    "$apt" "$suite" show "$linux" |
        sed -n 's/^Depends:.*\(linux-image-[0-9][^ ,]*\).*/\1/p' | head -1
}

# Newer ones are in pieces: what the package @1 needs of its own version.
pieces() {
    "$apt" "$suite" show "$1" | sed -n 's/^Depends: *//p' | head -1 | tr ',' '\n' |
        sed -n 's/^ *\(linux-\(binary\|modules\)-[^ ]*\).*/\1/p'
}

fetch() {
    local package deb
    package=$(kernel_package)
    [ -n "$package" ] || die "Debian's archive has no $linux in '$suite'; run the command again, or name another suite."
    rm -rf "$out.new"
    mkdir -p "$out.new/debs" || disk_full
    step guest "$package and busybox-static"
    # shellcheck disable=SC2046  # one word for each
    (cd "$out.new/debs" && logged "guest-$suite" "$apt" "$suite" download \
        "$package" $(pieces "$package") busybox-static) ||
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
[ -d "$out/root" ] || fetch

busybox=$(find "$out/root" -name busybox -type f -path '*/bin/*')
modules=$(find "$out/root" -path '*/lib/modules/*' -prune -print)

# compile NAME SOURCE...: a static program for the guest
compile() {
    local name=$1 source
    shift
    for source in "$@"; do
        if [ "$here/$source" -nt "$out/$name" ]; then
            (cd "$here" && logged "guest-$name" gcc -std=gnu11 -O2 -Wall -Wextra \
                -static -s -o "$out/$name.new" "$@") ||
                die "the guest's $name does not compile; see $LOGS/guest-$name.log."
            mv "$out/$name.new" "$out/$name"
            return
        fi
    done
}

# firmware NAME SOURCE ADDRESS [-D...]: a guest that is its own firmware
firmware() {
    local name=$1 source=$here/$2 address=$3
    shift 3
    if [ "$source" -nt "$out/$name.fd" ] ||
       [ "$here/es-keep.inc" -nt "$out/$name.fd" ] ||
       [ "$here/es-stos.inc" -nt "$out/$name.fd" ] ||
       [ "$here/tiny-print.inc" -nt "$out/$name.fd" ]; then
        (logged "guest-$name" gcc -m32 -c "$@" -o "$out/$name.o" "$source" &&
            logged "guest-$name" ld -m elf_i386 -Ttext "$address" -e "$address" \
                --oformat binary -o "$out/$name.fd" "$out/$name.o") ||
            die "the guest $name does not assemble; see $LOGS/guest-$name.log."
        rm -f "$out/$name.o"
    fi
}

small_programs() {
    firmware tiny tiny.S 0
    firmware sev-linux tiny-sev.S 0 -DGUEST_LINUX
    firmware sev-efi tiny-sev.S 0 -DGUEST_EFI
    firmware sev-linux-es tiny-sev.S 0 -DGUEST_LINUX -DGUEST_ES
    firmware sev-silent tiny-sev.S 0 -DGUEST_SILENT
    firmware sev-once tiny-sev.S 0 -DGUEST_ONCE
    firmware declare declare.S 0xf000
    firmware writer writer.S 0xf000
    firmware nested nested.S 0xffff0000
    firmware sev-es es.S 0xffff0000
    firmware sev-es-random es.S 0xffff0000 -DES_RANDOM
    firmware sev-es-keep es.S 0xffff0000 -DES_KEEP
    firmware sev-es-sweep es.S 0xffff0000 -DES_SWEEP
    firmware sev-es-page es.S 0xffff0000 -DES_END=1
    firmware sev-es-unsupported es.S 0xffff0000 -DES_END=2
}

# pack IMAGE PROGRAM... -- MODULE...: an initramfs, if anything is newer than it
pack() {
    local image=$out/$1 programs=() input
    shift
    while [ "$1" != -- ]; do
        programs+=("$out/$1")
        shift
    done
    for input in "${programs[@]}" "$here"/{init,initramfs.py,build.sh}; do
        if [ "$input" -nt "$image" ]; then
            "$PYTHON" "$here/initramfs.py" "$image" "$modules" "$here/init" \
                "$busybox" "${programs[@]}" "$@"
            return
        fi
    done
}

compile agent agent.c
compile tools tools.c pages.c stress.c
pack initrd.img agent -- "${drivers[@]}"
pack tools.img agent tools -- "${drivers[@]}" "${more[@]}" qemu_fw_cfg
if [ "$flavour" = generic ]; then
    # Without the driver that a vmcoreinfo device makes hang.
    pack devices.img agent tools -- "${drivers[@]}" \
        "${more[@]}" "${zoo[@]}"
fi
compile pulse pulse.c
compile vsock-echo vsock-echo.c
# Templates are made of one kernel.
if [ "$suite/$flavour" = bookworm/cloud ]; then
    "$here/clone.sh" "$out" "$modules" "$busybox" "${drivers[@]}"
    small_programs
fi
for image in "$out"/root/boot/vmlinuz-* "$modules/vmlinuz"; do
    [ ! -f "$image" ] || break
done
ln -f "$image" "$out/vmlinuz"
basename "$modules" > "$out/version"
step guest "Linux $(cat "$out/version"), $out"
