#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Fuzz the chip and the lane with clang's libFuzzer, ASan and UBSan, one target at
# a time.
#
# usage: run.sh BUILD-DIR [SECONDS [TARGET...]]
#
# The default is 60 seconds for each of the targets exec, chain, nv and lane.
#
# What it finds is left in BUILD-DIR/found and ends the run.
set -euo pipefail

root=$(cd "$(dirname "$0")/../../.." && pwd)
build=${1:?usage: run.sh BUILD-DIR [SECONDS [TARGET...]]}
seconds=${2:-60}
targets=("${@:3}")
[ ${#targets[@]} -gt 0 ] || targets=(exec chain nv lane)

command -v clang > /dev/null || {
    echo "error: clang is missing; install clang and libclang-rt-14-dev." >&2
    exit 1
}
[ -e "$build/build.ninja" ] ||
    CC=clang "${MESON:-meson}" setup "$build" "$root" -Dfuzz=true \
        -Db_sanitize=address,undefined -Db_lundef=false > /dev/null
ninja -C "$build" > /dev/null
mkdir -p "$build/found"
for target in "${targets[@]}"; do
    part=psp/fuzz-psp-$target
    seeds=psp/corpus/$target
    [ "$target" != lane ] || { part=lane/fuzz-lane; seeds=lane/corpus; }
    corpus=$build/corpus-$target
    mkdir -p "$corpus"
    "$build/tests/fuzz/$part" "$corpus" \
        "$root/tests/fuzz/$seeds" -max_total_time="$seconds" \
        -max_len=4096 -rss_limit_mb=4096 -print_final_stats=1 \
        -artifact_prefix="$build/found/$target-" 2> "$build/$target.log" || {
        tail -20 "$build/$target.log" >&2
        exit 1
    }
    sed -n "s/^stat::number_of_executed_units: */$target: nothing found in /p" \
        "$build/$target.log" | sed 's/$/ executions/'
done
