#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Configure (once per set of flags) and build.
#
# usage: build.sh [--installed | NINJA TARGETS...]
#        --installed: what 'make install' needs, without tests
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$ROOT/scripts/overlay/meson-lib.sh"
take_lock

PREFIX=${CONFIGURED_PREFIX:-/usr/local}
JOBS=${JOBS:-$(nproc)}
NINJA=$(command -v ninja || command -v ninja-build) ||
    die "ninja is missing; install the package ninja-build."

# Debian's firmware, found without -L. Relative: ours. QEMU looks in order.
firmware_dirs="share/qemu share/qemu-firmware /usr/share/seabios /usr/share/qemu /usr/lib/ipxe/qemu /usr/share/OVMF /usr/share/ovmf"

# --- configure ---------------------------------------------------------------

flags() {
    local dirs=() dir origin
    for dir in $firmware_dirs; do
        case $dir in /*) dirs+=("$dir") ;; *) dirs+=("$PREFIX/$dir") ;; esac
    done
    origin=$(sed -n 2p "$TREE/.overlay-base")
    printf '%s\n' \
        --python="$PYTHON" \
        --prefix="$PREFIX" \
        --with-pkgversion="sev-clone $VERSION, $origin" \
        --firmwarepath="$(IFS=:; echo "${dirs[*]}")" \
        --target-list=x86_64-softmmu \
        --without-default-features \
        --disable-docs --disable-user --disable-werror \
        --disable-download --disable-install-blobs \
        --enable-system --enable-tcg --enable-kvm --enable-tools \
        --enable-slirp --enable-gnutls --enable-nettle --enable-zstd \
        --enable-pixman --enable-vnc --enable-png --enable-fdt=system \
        --enable-vhost-user --enable-vhost-kernel --enable-vhost-net \
        --enable-seccomp --enable-cap-ng --enable-linux-aio \
        --enable-linux-io-uring --enable-virtfs --enable-attr \
        --enable-tpm --enable-avx2 --enable-avx512bw --enable-malloc-trim \
        --extra-cflags=-Werror=implicit-function-declaration
    if [ "${FEATURES:-}" = distribution ]; then
        awk '$1 ~ /^(module|inside)$/ { gsub(",", "\n", $2); print $2 }' \
            "$ROOT/scripts/overlay/features"
    fi
    if command -v ccache > /dev/null; then
        printf '%s\n' --cc='ccache cc'
    fi
    # Words of the user's own, from ./configure or EXTRA_CONFIGURE=
    if [ -n "${EXTRA_CONFIGURE:-}" ]; then
        xargs -n1 <<< "$EXTRA_CONFIGURE"
    fi
}

configure() {
    local wanted
    wanted=$(flags; sha256sum < "$TREE/configure")
    if [ -e "$OBJ/build.ninja" ] && [ "$(cat "$OBJ/.overlay-configured" 2>/dev/null)" = "$wanted" ]; then
        return 0
    fi
    need_disk 1000
    mkdir -p "$OBJ"
    rm -f "$OBJ/.overlay-configured"
    step configure "x86_64-softmmu, $(sed -n 2p "$TREE/.overlay-base")"
    mapfile -t words < <(flags)
    (cd "$OBJ" && logged configure ../qemu/configure "${words[@]}") ||
        die "configure failed: $(grep -hE 'ERROR' "$LOGS/configure.log" | tail -1 | cut -c1-200); 'make deps' installs what is known to be needed, $LOGS/configure.log has the rest."
    # Let a bare 'ninja' find our meson as well.
    if [ -n "${PYTHONPATH:-}" ]; then
        for site in "$OBJ"/pyvenv/lib/python3*/site-packages; do
            echo "$PYTHONPATH" > "$site/overlay-meson.pth"
        done
    fi
    printf '%s\n' "$wanted" > "$OBJ/.overlay-configured"
}

# What 'make install' copies out of the build tree, as ninja's targets.
installed() {
    "$OBJ/pyvenv/bin/meson" introspect --targets "$OBJ" | "$PYTHON" -c '
import json, os, sys
for target in json.load(sys.stdin):
    if target["installed"]:
        for path in target["filename"]:
            print(os.path.relpath(path, sys.argv[1]))' "$OBJ"
}

# In the build tree QEMU looks below qemu-bundle/ for every data folder.
link_firmware() {
    local dir
    for dir in $firmware_dirs; do
        if [ -d "$OBJ/qemu-bundle$dir" ] && [ ! -L "$OBJ/qemu-bundle$dir" ]; then
            find "$dir" -maxdepth 1 -type f -exec \
                ln -sft "$OBJ/qemu-bundle$dir" {} + 2>/dev/null || true
        elif [ -d "$dir" ] && [ "${dir#/}" != "$dir" ]; then
            mkdir -p "$OBJ/qemu-bundle$(dirname "$dir")"
            ln -sfn "$dir" "$OBJ/qemu-bundle$dir"
        fi
    done
}

# --- build -------------------------------------------------------------------

find_meson
find_cache
configure
link_firmware

if [ "${1:-}" = --installed ]; then
    mapfile -t wanted < <(installed)
    set -- "${wanted[@]}"
fi
export CCACHE_BASEDIR=$BUILD CCACHE_NOHASHDIR=1
if [ -t 1 ] || [ "${V:-0}" = 1 ]; then
    "$NINJA" -C "$OBJ" -j "$JOBS" "$@" || failed=1
else
    logged ninja "$NINJA" -C "$OBJ" -j "$JOBS" "$@" || failed=1
fi
if [ -n "${failed:-}" ]; then
    if [ "$(df -Pm "$BUILD" | awk 'NR == 2 { print $4 }')" -lt 20 ] ||
       grep -qs 'No space left on device' "$LOGS/ninja.log"; then
        disk_full
    fi
    if tail -1 "$LOGS/ninja.log" 2>/dev/null | grep -q 'interrupted by user'; then
        die "the build was interrupted; run the same command again, it goes on where it stopped."
    fi
    grep -A12 -m1 '^FAILED' "$LOGS/ninja.log" 2>/dev/null >&2 || true
    die "the build failed; the first error is above, fix it and run the same command again, it goes on where it stopped."
fi
