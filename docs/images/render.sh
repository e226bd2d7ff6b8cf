#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Draw the pictures of this folder anew; needs Debian's graphviz.
# Each names the SHA-256 of its source, which lint compares.
set -eu
cd "$(dirname "$0")"
for source in *.dot; do
    svg=${source%.dot}.svg
    dot -Tsvg "$source" > "$svg.new"
    sum=$(sha256sum < "$source" | cut -d ' ' -f 1)
    echo "<!-- SPDX-License-Identifier: GPL-2.0-or-later; of $source, SHA-256 $sum -->" >> "$svg.new"
    mv "$svg.new" "$svg"
done
