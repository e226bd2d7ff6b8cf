#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Install to $DESTDIR$PREFIX. QEMU finds its files relative to the binary, so
# a prefix other than the configured one is a move, not a rebuild.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
take_lock
umask 022                   # what is installed is for all users

configured=$(sed -n 's/^--prefix=//p' "$OBJ/.overlay-configured")
stage=$BUILD/stage
target=${DESTDIR:-}$PREFIX
rm -rf "$stage"
logged install env DESTDIR="$stage" "$OBJ/pyvenv/bin/meson" install -C "$OBJ" --no-rebuild ||
    die "the install step failed ($(tail -1 "$LOGS/install.log" | cut -c1-160)); see $LOGS/install.log."
logged install-lib env DESTDIR="$stage/lib" "$BUILD/lib/meson" install -C "$BUILD/lib" --no-rebuild ||
    die "sev-psp cannot be installed ($(tail -1 "$LOGS/install-lib.log" | cut -c1-160)); see $LOGS/install-lib.log."
mkdir -p "$target" 2>/dev/null && [ -w "$target" ] ||
    die "cannot write to $target; run 'make install' as root or choose DESTDIR= or PREFIX=."
# A guest may run from what is there: it keeps its file, new ones get a new one.
put() { logged install-copy cp -a --remove-destination "$1/." "$target/" ||
            die "cannot install to $target ($(tail -1 "$LOGS/install-copy.log" | cut -c1-160))."; }
put "$stage$configured"
put "$stage/lib/usr/local"
rm -rf "${stage:?}/lib"
install -D -m 755 "$ROOT/tools/sev-clone/sev-clone" "$target/bin/sev-clone"
install -D -m 755 -t "$target/bin" "$ROOT/integration/kata/qemu-kata"
install -D -m 644 -t "$target/share/sev-clone/kata" "$ROOT"/integration/kata/configuration-*.toml
install -D -m 644 -t "$target/share/sev-clone/sevclone" "$ROOT"/tools/sev-clone/sevclone/*.py
install -D -m 755 -t "$target/libexec" "$ROOT/tools/sev-clone/sev-clone-qemu"
mkdir -p "$target/share/man/man1"
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$ROOT/tools/sev-clone "$PYTHON" -m sevclone.man > "$target/share/man/man1/sev-clone.1"
install -D -m 755 -t "$target/share/sev-clone" "$ROOT/scripts/analyze-sev-stream.py"
"$ROOT/tools/guest/build.sh" "$BUILD/guest-tools"
install -D -m 755 -t "$target/share/sev-clone/guest" "$BUILD/guest-tools/sev-reseed"
install -D -m 755 -t "$target/share/sev-clone/guest/sev-clone.d" "$ROOT"/tools/guest/hooks/*
install -D -m 644 -t "$target/share/sev-clone/guest" "$ROOT"/tools/guest/*.service
# /var and /etc, when meson put some outside the prefix.
rm -rf "${stage:?}$configured"
find "$stage" -type d -empty -delete 2>/dev/null || true
if [ -d "$stage" ]; then cp -a "$stage/." "${DESTDIR:-}/"; fi
rm -rf "$stage"
step install "$target/bin/qemu-system-x86_64"
# Below DESTDIR it is the package's business, and without root nobody's.
if [ -z "${DESTDIR:-}" ] && [ "$(id -u)" = 0 ]; then
    "$ROOT/scripts/overlay/system-identity.sh"
fi
