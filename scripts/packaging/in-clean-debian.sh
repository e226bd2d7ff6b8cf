#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What check-deb.sh runs in a clean Debian, with the packages and a guest in /try.
cd /try || exit 1
failed=0
log=/try/log

# check WORDS COMMAND...: one line, and what the command said if it failed.
check() {
    local words=$1
    shift
    if "$@" > $log 2>&1; then
        echo "ok $words"
    else
        echo "not ok $words"
        tail -5 $log | sed 's/^/    /'
        failed=1
    fi
}

apt() { apt-get -q -y --no-install-recommends "$@"; }

# Files that no package of ours should leave.
files() {
    find / -xdev \( -path /try -o -path /proc -o -path /var/lib/apt -o -path /var/cache -o \
        -path /var/log -o -path /var/lib/dpkg -o -path /tmp -o -path /root -o \
        -path /var/lib/systemd/deb-systemd-helper-enabled \) -prune -o -print |
        grep -v -e __pycache__ -e '^/etc/ld.so.cache$' | sort
}

makes_and_runs() {
    local made
    sev-clone make base --kernel vmlinuz --initrd initrd-clone.img --append seal=1 &&
    sev-clone run base 2 --detach &&
    made=$(sev-clone list --json) &&
    echo "$made" | python3 -c '
import json, sys
[base] = json.load(sys.stdin)
assert len(base["clones"]) == 2, base' &&
    readlink "/proc/$(pgrep -o qemu-system-x86)/exe" | grep -x /usr/lib/sev-clone/bin/qemu-system-x86_64 &&
    sev-clone verify base &&
    sev-clone stop base && sev-clone rm base
}

# has OPTION WORD...: all of the words are in QEMU's answer to "OPTION help".
has() {
    local option=$1 said word
    shift
    said=$(qemu-system-x86_64-sev "$option" help 2>&1)
    for word in "$@"; do
        grep -qE "(^|[\" ])$word([\", ]|\$)" <<< "$said" || { echo "$word is not in $option help: $said" | tail -5; return 1; }
    done
}

loads() {
    has -device qxl-vga virtio-vga-gl usb-redir usb-ccid ich9-intel-hda &&
    has -display gtk sdl curses egl-headless &&
    has -audiodev pa pipewire alsa jack spice &&
    /usr/lib/sev-clone/bin/qemu-img --help | grep -q 'rbd.*ssh'
}

completes() {
    # shellcheck disable=SC1091
    . /usr/share/bash-completion/completions/sev-clone &&
    COMP_WORDS=(sev-clone ru) COMP_CWORD=1 && _sev_clone && [ "${COMPREPLY[*]}" = run ] &&
    . /usr/share/bash-completion/completions/sev-psp &&
    COMP_WORDS=(sev-psp session --p) && COMP_CWORD=2 && _sev_psp &&
    [ "${COMPREPLY[*]}" = "--pdh --policy" ] &&
    head -1 /usr/share/zsh/vendor-completions/_sev-clone | grep -x '#compdef sev-clone'
}

owned() { [ "$(stat -c '%U %a' /var/lib/sev-psp)" = "libvirt-qemu 700" ]; }
nobody() { [ ! -e /var/lib/sev-psp ] && [ ! -e /etc/sev-psp ]; }

same() {
    files > /try/after
    # Debian's packages, which were installed too, stay.
    ! diff /try/before /try/after | grep -E '^[<>].*(/_?sev-(clone|psp|reseed|seal)|x86_64-sev)'
}

apt update > /dev/null 2>&1
useradd --system --no-create-home --shell /usr/sbin/nologin libvirt-qemu
check "lib: what the test itself needs" apt install python3 procps
files > /try/before
check "install" apt install ovmf ./*.deb
check "nothing is half installed" test -z "$(dpkg --audit)"
check "Debian's own QEMU can be installed beside it" apt install qemu-system-x86
check "the identity of the host belongs to libvirt's user" owned
check "sev-psp makes an identity and shows it" sh -c 'sev-psp -d /try/psp identity create && sev-psp -d /try/psp status'
export SEV_PSP_DIR=/try/psp
check "sev-clone make, run, list, verify, stop" makes_and_runs
check "the modules load" loads
check "bash completes" completes
check "manual pages" sh -c 'ls /usr/share/man/man1/sev-clone.1.gz /usr/share/man/man1/sev-psp.1.gz \
    /usr/share/man/man1/qemu-system-x86_64-sev.1.gz /usr/share/man/man8/sev-reseed.8.gz'
check "install again, over itself" apt install --reinstall ./*.deb
names=$(dpkg-deb -f ./sev-psp_*.deb Package; for deb in ./sev-clone*.deb; do dpkg-deb -f "$deb" Package; done)
touch /var/lib/sev-psp/an-identity
# shellcheck disable=SC2086
check "remove" apt remove $names
check "a removal keeps the keys" test -e /var/lib/sev-psp/an-identity
mkdir -p /etc/sev-psp
touch /etc/sev-psp/keep
# shellcheck disable=SC2086
check "purge, told to keep the keys" dpkg --purge $names
check "the keys are kept" test -e /var/lib/sev-psp/an-identity
check "install once more" apt install ./*.deb
rm -f /etc/sev-psp/keep
# shellcheck disable=SC2086
check "purge, told nothing" dpkg --purge $names
check "the keys are gone" nobody
check "nothing of ours is left" same
exit $failed
