#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The other ways to build the patched tree: does each configure, compile and
# start? Only emulators are built. One line per build; logs in $BUILD/logs.
#
# usage: builds.sh [NAME...]        all of them without a name
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$ROOT/scripts/overlay/meson-lib.sh"
take_lock

JOBS=${JOBS:-$(nproc)}
NINJA=$(command -v ninja || command -v ninja-build) ||
    die "ninja is missing; install the package ninja-build."

# NAME TARGETS WORDS OF configure: what is turned off is on in 'make build'.
builds() {
    cat << 'END'
tcg-only     x86_64-softmmu                   --enable-tcg --disable-kvm
kvm-only     x86_64-softmmu                   --disable-tcg --enable-kvm
no-sev       x86_64-softmmu                   --enable-tcg --enable-kvm --with-devices-x86_64=no-sev
i386         i386-softmmu                     --enable-tcg --enable-kvm
user         x86_64-linux-user,i386-linux-user --enable-tcg --disable-system --enable-linux-user
aarch64      aarch64-softmmu                  --enable-tcg --disable-kvm
END
}

configured() {
    local name=$1 targets=$2 obj=$BUILD/builds/$1 wanted
    shift 2
    wanted=$(echo "$targets $*"; sha256sum < "$TREE/configure")
    if [ -e "$obj/build.ninja" ] && [ "$(cat "$obj/.overlay-configured" 2> /dev/null)" = "$wanted" ]; then
        return 0
    fi
    need_disk 1000
    mkdir -p "$obj"
    (cd "$obj" && logged "configure-$name" "$TREE/configure" \
        --python="$PYTHON" --target-list="$targets" \
        --without-default-features --disable-docs --disable-werror \
        --disable-download --disable-install-blobs --disable-tools \
        --enable-gnutls --enable-nettle --enable-pixman --enable-fdt=system \
        ${cc:+--cc="$cc"} "$@") || return 1
    if [ -n "${PYTHONPATH:-}" ]; then
        for site in "$obj"/pyvenv/lib/python3*/site-packages; do
            echo "$PYTHONPATH" > "$site/overlay-meson.pth"
        done
    fi
    echo "$wanted" > "$obj/.overlay-configured"
}

# What each emulator says about SEV must fit the build.
speaks() {
    local name=$1 binary=$2 said
    said=$("$binary" --version) || return 1
    case $binary in *-system-*) ;; *) return 0 ;; esac
    said=$("$binary" -object help 2>&1)
    case $name in
        no-sev|aarch64) ! grep -q 'sev-guest' <<< "$said" ;;
        *) grep -q 'sev-guest' <<< "$said" ;;
    esac
}

build_one() {
    local name=$1 targets=$2 obj=$BUILD/builds/$1 binaries=() target began=$SECONDS
    shift 2
    for target in ${targets//,/ }; do
        case $target in
            *-softmmu) binaries+=("qemu-system-${target%-softmmu}") ;;
            *) binaries+=("qemu-${target%-linux-user}") ;;
        esac
    done
    if ! configured "$name" "$targets" "$@"; then
        say "not ok $name: configure failed: $(grep -h ERROR "$LOGS/configure-$name.log" | tail -1 | cut -c1-160)"
        return 1
    fi
    if ! logged "build-$name" "$NINJA" -C "$obj" -j "$JOBS" "${binaries[@]}"; then
        say "not ok $name: $(grep -hm1 -E 'error:|undefined reference' "$LOGS/build-$name.log" | cut -c1-200)"
        return 1
    fi
    for target in "${binaries[@]}"; do
        if ! speaks "$name" "$obj/$target"; then
            say "not ok $name: $target does not start, or says the wrong thing about SEV"
            return 1
        fi
    done
    say "ok $name: ${binaries[*]} ($((SECONDS - began)) s)"
}

find_meson
cc=
find_cache
if command -v ccache > /dev/null; then
    cc='ccache cc'
fi
export CCACHE_BASEDIR=${CCACHE_BASEDIR:-$BUILD} CCACHE_NOHASHDIR=1
failed=0 found=0
while read -r name targets words; do
    if [ $# = 0 ] || [[ " $* " == *" $name "* ]]; then
        found=1
        # shellcheck disable=SC2086
        build_one "$name" "$targets" $words < /dev/null || failed=1
    fi
done < <(builds)
[ "$found" = 1 ] || die "no build is called '$*'; they are: $(builds | awk '{ print $1 }' | xargs)."
exit "$failed"
