#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Fuzz the record decoder with clang's libFuzzer, ASan and UBSan.
#
# usage: run.sh [SECONDS]        (default 60; 'make build' first)
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
build=${BUILD:-$root/build}
seconds=${1:-60}
out=$build/fuzz/sev-record

command -v clang > /dev/null || {
    echo "skip (clang is not installed)"
    exit 77
}
[ -e "$build/obj/libqemuutil.a" ] || {
    echo "error: $build/obj has no QEMU; run 'make build' first" >&2
    exit 1
}
mkdir -p "$out/found" "$out/crashes"
# shellcheck disable=SC2046
clang -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize=function \
    -D_GNU_SOURCE -iquote "$root" -iquote "$build/qemu" -I"$build/obj" \
    -I"$build/qemu/include" -I"$build/qemu/host/include/x86_64" \
    -I"$build/qemu/host/include/generic" -I"$build/obj/qapi" \
    $(pkg-config --cflags glib-2.0) -o "$out/fuzz-record" \
    "$here/fuzz-record.c" "$root"/migration/sev/wire/record{,-fields,-table}.c \
    "$build/obj/libqemuutil.a" \
    $(pkg-config --libs glib-2.0 gthread-2.0 gnutls zlib pixman-1) -lm
# Half the limit of a PAGES record is enough to meet every field.
cd "$out/crashes"
exec "$out/fuzz-record" -max_total_time="$seconds" -max_len=140000 \
    -print_final_stats=1 "$out/found" "$here/corpus"
