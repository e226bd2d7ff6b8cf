#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Fetch what Debian 12 does not install: OVMF.fd without the bug that
# docs/sev-clone.md tells of, the AmdSev build with its table of hashes, the newest
# build, and virtiofsd.
#
# Leaves them in $BUILD/guest/extras. Nothing is installed.
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/overlay/lib.sh"

out=$BUILD/guest/extras

# fetch SUITE PACKAGE FILE
fetch() {
    local work
    [ ! -f "$out/$3" ] || return 0
    work=$(mktemp -d "$out/.fetch.XXXXXX")
    if (cd "$work" && logged "extras-$2" "$ROOT/scripts/overlay/apt.sh" "$1" \
            download "$2" && dpkg-deb -x ./*.deb root); then
        mv "$(find "$work/root" -name "$3" -type f | head -1)" "$out/$3"
        step extras "$3 of $2 ($1)"
    else
        step extras "no $2 from '$1' (see $LOGS/extras-$2.log)"
    fi
    rm -rf "$work"
}

mkdir -p "$out" || disk_full
fetch trixie ovmf OVMF.fd
fetch forky ovmf-amdsev OVMF.amdsev.fd
fetch unstable ovmf-generic OVMF_CODE_4M.fd
fetch unstable ovmf-generic OVMF_VARS_4M.fd
fetch bookworm qemu-system-common virtiofsd
