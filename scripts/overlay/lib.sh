# SPDX-License-Identifier: GPL-2.0-or-later
# What every overlay script shares: words for the user, paths, errors.
# Sourced, with BUILD (the build directory) in the environment.

set -euo pipefail
export LC_ALL=C.UTF-8

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BUILD=$(mkdir -p "${BUILD:-$ROOT/build}" 2>/dev/null && cd "${BUILD:-$ROOT/build}" && pwd) || {
    echo "error: cannot create the build directory ${BUILD:-$ROOT/build}; choose another with 'make BUILD=DIR ...'" >&2
    exit 1
}
TREE=$BUILD/qemu            # the unpacked, linked and patched source
OBJ=$BUILD/obj              # objects and binaries
LOGS=$BUILD/logs            # what the tools said
PYTHON=${PYTHON:-/usr/bin/python3}
export ROOT BUILD

VERSION=$(sed -n 's/^\([0-9][0-9.]*\).*/\1/p' "$ROOT/CHANGES" | head -1)

say()  { printf '%s\n' "$*"; }
step() { printf '  %-10s %s\n' "$1" "$2"; }

# One sentence: what is wrong and what to do about it.
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

disk_full() {
    local free
    free=$(df -Pm "$BUILD" | awk 'NR == 2 { print $4 }')
    die "the disk that holds $BUILD is full (${free} MB left, a build needs about 2500); free some space or choose another disk with 'make BUILD=DIR ...', then run the same command again."
}

need_disk() {
    local free
    free=$(df -Pm "$BUILD" | awk 'NR == 2 { print $4 }')
    [ "$free" -ge "$1" ] || disk_full
}

# logged NAME COMMAND...: quiet; the output goes to logs/NAME.log.
logged() {
    local name=$1
    shift
    mkdir -p "$LOGS" 2>/dev/null || disk_full
    if "$@" > "$LOGS/$name.log" 2>&1; then
        return 0
    fi
    if grep -qE 'No space left on device|Disk quota exceeded' "$LOGS/$name.log" ||
       [ "$(df -Pm "$BUILD" | awk 'NR == 2 { print $4 }')" -lt 20 ]; then
        disk_full
    fi
    return 1
}

# ccache fails where its folder cannot be made, as in a home nobody may write to.
find_cache() {
    local dir
    dir=$(ccache -k cache_dir 2>/dev/null) || return 0
    mkdir -p "$dir" 2>/dev/null && [ -w "$dir" ] || export CCACHE_DIR=$BUILD/ccache
}

lock_field() { awk -v k="$1" '$1 == k { print $2; exit }' "$ROOT/upstream.lock"; }

# One overlay command at a time per build directory.
take_lock() {
    [ "${OVERLAY_LOCK:-}" = "$BUILD" ] && return 0
    exec 9> "$BUILD/.lock" || disk_full
    if ! flock -n 9; then
        say "  waiting    for another command that uses $BUILD"
        flock 9
    fi
    export OVERLAY_LOCK=$BUILD
}
