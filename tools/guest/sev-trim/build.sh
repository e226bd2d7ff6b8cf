#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Build the sev_trim module against Debian's kernel headers; nothing is
# installed.
#
# usage: build.sh SUITE VERSION FOLDER      leaves FOLDER/sev_trim.ko
. "$(dirname "${BASH_SOURCE[0]}")/../../../scripts/overlay/lib.sh"

suite=$1 version=$2 out=$3
here=$ROOT/tools/guest/sev-trim
headers=$out/headers
module=$out/sev_trim.ko

if [ ! -d "$headers/usr/src/linux-headers-$version" ]; then
    rm -rf "$headers"
    mkdir -p "$headers/debs" || disk_full
    step guest "kernel headers $version"
    (cd "$headers/debs" && logged guest-headers "$ROOT/scripts/overlay/apt.sh" \
        "$suite" download "linux-headers-$version" \
        "linux-headers-${version%-cloud-amd64}-common" \
        "linux-kbuild-$(cut -d. -f1,2 <<< "$version")") ||
        die "cannot download the kernel's headers; see $LOGS/guest-headers.log."
    for deb in "$headers"/debs/*.deb; do
        dpkg-deb -x "$deb" "$headers" || disk_full
    done
    rm -rf "$headers/debs"
    # The packages name each other by absolute paths.
    sed -i "s#/usr/src/#$headers/usr/src/#g" \
        "$headers/usr/src/linux-headers-$version/Makefile"
    for link in "$headers"/usr/src/linux-headers-*/{scripts,tools}; do
        [ -L "$link" ] || continue
        ln -sfn "$headers/usr/lib/$(basename "$(dirname "$(readlink "$link")")")/$(basename "$link")" "$link"
    done
fi
if [ "$here/sev_trim.c" -nt "$module" ]; then
    rm -rf "$out/sev-trim"
    mkdir -p "$out/sev-trim"
    cp "$here/sev_trim.c" "$here/Kbuild" "$out/sev-trim/"
    logged guest-trim make -C "$headers/usr/src/linux-headers-$version" \
        M="$out/sev-trim" CC="${CC:-gcc}" modules ||
        die "the sev_trim module does not compile; see $LOGS/guest-trim.log."
    strip --strip-debug -o "$module.new" "$out/sev-trim/sev_trim.ko"
    mv "$module.new" "$module"
fi
