#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# QEMU's manual as HTML, with our pages in it: $BUILD/manual/index.html.
#
# Fails on every warning about a page of ours or an index that names one. Sphinx may
# find something in upstream's other pages; that is only counted.
. "$(dirname "${BASH_SOURCE[0]}")/../overlay/lib.sh"

out=$BUILD/manual
warnings=$out/warnings.txt

mkdir -p "$out"
step manual "QEMU's documentation, some minutes at the first time"
logged manual "$PYTHON" -m sphinx -q -j auto -b html -d "$out/.trees" -w "$warnings" \
    "$TREE/docs" "$out" < /dev/null ||
    die "Sphinx failed; see $LOGS/manual.log."

# Our pages, and the pages of upstream's that the series changes.
ours() {
    (cd "$ROOT" && find docs -name '*.rst')
    sed -n 's/^+++ b\/\(docs\/.*\.rst\)$/\1/p' "$ROOT"/patches/*.patch
}
found=$(ours | sed "s|^|$TREE/|" | grep -F -f - "$warnings") || true
if [ -n "$found" ]; then
    printf '%s\n' "${found//$TREE\//}" >&2
    die "the manual has warnings about pages of ours."
fi
step ready "$out/index.html ($(wc -l < "$warnings") warnings about other pages)"
