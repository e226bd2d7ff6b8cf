#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The folder of the system-wide secure processor, for the user as whom libvirt's
# system daemon runs QEMU (default: libvirt-qemu, Debian's). QEMU makes the
# identity in it at first use. What exists is left alone.
set -eu
user=${1:-libvirt-qemu}
dir=/var/lib/sev-psp

say() { printf '  %-10s %s\n' identity "$*"; }

if ! id "$user" > /dev/null 2>&1; then
    say "no user $user here; once libvirt is installed, as root: install -d -m 700 -o $user $dir"
elif [ ! -e "$dir" ]; then
    install -d -m 700 -o "$user" -g "$(id -gn "$user")" "$dir"
    say "$dir, of $user"
elif [ "$(stat -c '%U %a' "$dir")" = "$user 700" ]; then
    say "$dir is there, of $user"
else
    say "$dir is left as it is ($(stat -c 'owner %U, mode %a' "$dir")); guests of libvirt's system daemon can use it only as $user's with mode 700"
fi
