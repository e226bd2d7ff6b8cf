#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Fuzz requests of an SEV-ES guest with clang's libFuzzer, ASan and UBSan.
#
# usage: run.sh [SECONDS]        (default 60; 'make build' first)
# MINIMIZE=1 folds what was found into the corpus.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
build=${BUILD:-$root/build}
seconds=${1:-60}
out=$build/fuzz/sev-es
es=$root/target/i386/sev/es

command -v clang > /dev/null || {
    echo "skip (clang is not installed)"
    exit 77
}
[ -e "$build/obj/libqemuutil.a" ] || {
    echo "error: $build/obj has no QEMU; run 'make build' first" >&2
    exit 1
}
mkdir -p "$out/found" "$out/crashes"
cd "$out/crashes"

# shellcheck disable=SC2046
clang -g -O1 -fwrapv -fsanitize=fuzzer,address,undefined -fno-sanitize=function \
    -fno-sanitize-recover=undefined -Wno-shift-negative-value \
    -D_GNU_SOURCE -DCOMPILING_PER_TARGET \
    -DCONFIG_TARGET='"x86_64-softmmu-config-target.h"' \
    -DCONFIG_DEVICES='"x86_64-softmmu-config-devices.h"' \
    -iquote "$es" -iquote "$root" -iquote "$build/qemu" \
    -I"$build/obj" -I"$build/qemu/include" -I"$build/qemu/target/i386" \
    -I"$build/qemu/linux-headers" -I"$build/qemu/tcg/i386" \
    -I"$build/qemu/host/include/x86_64" \
    -I"$build/qemu/host/include/generic" -I"$build/obj/qapi" \
    $(pkg-config --cflags glib-2.0 gnutls pixman-1) \
    "$here/fuzz-es.c" "$es"/{ghcb,ghcb-events,ghcb-io,ghcb-msr,end}.c \
    -Wl,--start-group "$build/obj/libqemuutil.a" "$build"/obj/libqom.a.p/*.o \
    "$build"/obj/lib{io,crypto,authz}.a.p/*.o \
    "$build"/obj/libevent-loop-base.a.p/*.o -Wl,--end-group \
    -Wl,--allow-multiple-definition \
    $(pkg-config --libs glib-2.0 gthread-2.0 gnutls zlib pixman-1 \
        nettle hogweed libgcrypt) \
    -lgmp -lrt -luring -lm -o "$out/fuzz"
"$out/fuzz" -max_total_time="$seconds" -max_len=16384 \
    -print_final_stats=1 "$out/found" "$here/corpus"
if [ "${MINIMIZE:-}" = 1 ]; then
    "$out/fuzz" -merge=1 -max_len=16384 "$here/corpus" "$out/found"
fi
