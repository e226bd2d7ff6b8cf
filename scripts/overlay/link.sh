#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Link this repository's files into the source tree, as scripts/overlay/links
# says, and take away links whose file is gone.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
take_lock

wanted=$BUILD/.links.tmp
: > "$wanted" || disk_full
shopt -s nullglob
while read -r pattern; do
    case $pattern in ''|'#'*) continue ;; esac
    for path in $ROOT/$pattern; do
        [ -e "$path" ] && echo "${path#"$ROOT"/}" | sed 's|/$||' >> "$wanted"
    done
done < "$ROOT/scripts/overlay/links"

while read -r path; do
    if [ "$(readlink "$TREE/$path" || true)" = "$ROOT/$path" ]; then
        continue
    fi
    if [ -e "$TREE/$path" ] && [ ! -L "$TREE/$path" ]; then
        die "$path exists in the base too; give the overlay's own another name."
    fi
    mkdir -p "$(dirname "$TREE/$path")"
    ln -sfn "$ROOT/$path" "$TREE/$path"
done < "$wanted"

if [ -e "$BUILD/links" ]; then
    comm -13 <(sort "$wanted") <(sort "$BUILD/links") | while read -r path; do
        if [ -L "$TREE/$path" ]; then rm "$TREE/$path"; fi
    done
fi
cmp -s "$wanted" "$BUILD/links" || step link "$(wc -l < "$wanted") paths of the overlay into the tree"
mv "$wanted" "$BUILD/links"
