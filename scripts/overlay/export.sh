#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The whole overlay as one upstream-style series: new files first, by folder,
# then the hooks. Written to $BUILD/export; applies to the base with 'git am'.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

out=$BUILD/export
work=$BUILD/export.tmp
trap 'rm -rf "$work"' EXIT
rm -rf "$out" "$work"
mkdir -p "$work"
cd "$work" || exit 1

export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
quiet() { git -c core.autocrlf=false -c commit.gpgsign=false -c gc.auto=0 "$@"; }
author() { git -C "$ROOT" config "user.$1" || echo "sev-clone"; }
git init -q .
git config user.name "$(author name)"
git config user.email "$(author email)"

# The base's side of every file a patch touches is all the history we need.
if [ -d "$BUILD/pristine" ]; then cp -a "$BUILD/pristine/." .; fi
quiet add -A .
quiet commit -q --allow-empty -m base
base=$(git rev-parse HEAD)

# One commit per folder of ours; what git does not track is not exported.
mapfile -t roots < <(sed '/^#/d' "$ROOT/scripts/overlay/links")
for folder in $(git -C "$ROOT" ls-files "${roots[@]}" | xargs -rn1 dirname | sort -u); do
    git -C "$ROOT" ls-files "$folder" | awk -v d="$folder" '
        { n = $0; sub("^" d "/", "", n); if (n !~ "/") print }' |
    while read -r path; do
        if [ -e "$path" ]; then
            die "$path is in the overlay and in the base."
        fi
        mkdir -p "$(dirname "$path")"
        cp -a "$ROOT/$path" "$path"
    done
    quiet add -A .
    quiet diff --cached --quiet || quiet commit -q -s -m "$folder: add the SEV overlay's part"
done

sed 's/#.*//; /^ *$/d' "$ROOT/patches/series" | while read -r name; do
    patch -s -p1 -F0 --no-backup-if-mismatch -i "$ROOT/patches/$name" ||
        die "patches/$name does not apply; run 'make patch' first."
    quiet add -A .
    quiet commit -q -s \
        -m "$(sed -n 's/^Subject: *\([0-9]\{4\} *\)\?//p' "$ROOT/patches/$name" | head -1)" \
        -m "$(awk 'body && /^(--- |diff |Index: )/ { exit } body; /^$/ { body = 1 }' "$ROOT/patches/$name")"
done

quiet format-patch -q -N --zero-commit --cover-letter -o "$out" "$base"
say "$(find "$out" -name '*.patch' | wc -l) mails in $out, to apply to $(sed -n 2p "$TREE/.overlay-base")"
