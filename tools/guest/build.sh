#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Build the programs that go into a guest: static, so that they run in any
# initramfs.
#
# usage: build.sh FOLDER        leaves FOLDER/sev-reseed
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=$1
mkdir -p "$out"
for source in "$here"/sev-reseed/*.[ch]; do
    if [ "$source" -nt "$out/sev-reseed" ]; then
        "${CC:-gcc}" -std=gnu11 -O2 -Wall -Wextra -Werror -static \
            -o "$out/sev-reseed.new" "$here"/sev-reseed/*.c
        mv "$out/sev-reseed.new" "$out/sev-reseed"
        break
    fi
done
