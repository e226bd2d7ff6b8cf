#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Fuzz query-sev-template with clang's libFuzzer, ASan and UBSan.
#
# usage: run.sh [SECONDS]        (default 60; 'make build' first)
# MINIMIZE=1 folds what was found into the corpus; COVERAGE=1 says what lines
# the corpus reaches, without fuzzing.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
build=${BUILD:-$root/build}
seconds=${1:-60}
out=$build/fuzz/sev-query
sources=(wire/record wire/record-fields wire/record-table)
sources+=(template/query template/inspect template/inspect-blocks template/inspect-pages)
sources+=(template/file template/shared-sum template/wrap)

command -v clang > /dev/null || {
    echo "skip (clang is not installed)"
    exit 77
}
[ -e "$build/obj/libqemuutil.a" ] || {
    echo "error: $build/obj has no QEMU; run 'make build' first" >&2
    exit 1
}
mkdir -p "$out/found" "$out/crashes"
sources=("${sources[@]/%/.c}")

compile() {
    # shellcheck disable=SC2046
    clang -g -O1 -fno-sanitize=function \
        -Wno-shift-negative-value "$@" \
        -D_GNU_SOURCE -DCOMPILING_PER_TARGET \
        -DCONFIG_TARGET='"x86_64-softmmu-config-target.h"' \
        -DCONFIG_DEVICES='"x86_64-softmmu-config-devices.h"' \
        -iquote "$root" -iquote "$build/qemu" \
        -iquote "$build/qemu/migration" -iquote "$build/qemu/migration/sev" \
        -I"$build/obj" -I"$build/qemu/include" -I"$build/qemu/target/i386" \
        -I"$build/qemu/linux-headers" \
        -I"$build/qemu/host/include/x86_64" \
        -I"$build/qemu/host/include/generic" -I"$build/obj/qapi" \
        $(pkg-config --cflags glib-2.0 gnutls pixman-1) \
        "$here/fuzz-query.c" "${sources[@]/#/$root/migration/sev/}" \
        -Wl,--start-group "$build/obj/libqemuutil.a" "$build"/obj/libqom.a.p/*.o \
        "$build"/obj/lib{io,crypto,authz}.a.p/*.o \
        "$build"/obj/libevent-loop-base.a.p/*.o -Wl,--end-group \
        $(pkg-config --libs glib-2.0 gthread-2.0 gnutls zlib pixman-1 \
            nettle hogweed libgcrypt) \
        -lgmp -lrt -luring -lm
}

cd "$out/crashes"
if [ "${COVERAGE:-}" = 1 ]; then
    compile -fsanitize=fuzzer -fprofile-instr-generate -fcoverage-mapping \
        -o "$out/cover"
    LLVM_PROFILE_FILE=$out/cover.raw "$out/cover" -runs=0 "$here/corpus" \
        2> /dev/null
    llvm-profdata merge -o "$out/cover.data" "$out/cover.raw"
    exec llvm-cov report "$out/cover" -instr-profile="$out/cover.data" \
        "${sources[@]/#/$root/migration/sev/}"
fi
compile -fsanitize=fuzzer,address,undefined -o "$out/fuzz"
"$out/fuzz" -max_total_time="$seconds" -max_len=150000 -timeout=20 \
    -print_final_stats=1 "$out/found" "$here/corpus"
if [ "${MINIMIZE:-}" = 1 ]; then
    "$out/fuzz" -merge=1 -max_len=70000 "$here/corpus" "$out/found"
fi
