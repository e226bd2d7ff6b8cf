#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The initramfs of the guest that becomes a template: a counter that draws
# random bytes, and the guest's half of a clone's uniqueness.
#
# usage: clone.sh FOLDER MODULE-TREE BUSYBOX MODULE...  (called by build.sh)
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/overlay/lib.sh"

here=$ROOT/tests/guest
tools=$ROOT/tools/guest
out=$1 modules=$2 busybox=$3
shift 3

logged guest-tools "$tools/build.sh" "$out" ||
    die "the guest's tools do not compile; see $LOGS/guest-tools.log."
"$tools/sev-trim/build.sh" "$(basename "$out")" "$(basename "$modules")" "$out"
# image NAME PROGRAM... -- MODULE...: if anything is newer than it
image() {
    local image=$out/$1 input
    shift
    for input in "$out/sev-reseed" "$out/pulse" "$out/vsock-echo" \
                 "$out/sev_trim.ko" "$here"/*clone* "$tools"/hooks/* \
                 "$here/initramfs.py" "$here/build.sh"; do
        if [ "$input" -nt "$image" ]; then
            "$PYTHON" "$here/initramfs.py" "$image" "$modules" \
                "$here/init-clone" "$busybox" "$out/pulse" "$out/sev_trim.ko" \
                "bin/sev-reseed=$out/sev-reseed" \
                "etc/sev-clone.d/05-trim=$tools/hooks/05-trim" \
                "etc/sev-clone.d/10-machine-id=$tools/hooks/10-machine-id" "$@"
            return
        fi
    done
}

drivers=("$@" virtio_console)
image initrd-clone.img -- "${drivers[@]}"
image initrd-vsock.img "bin/vsock-echo=$out/vsock-echo" -- "${drivers[@]}" \
    vmw_vsock_virtio_transport
