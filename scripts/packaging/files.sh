#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The files of this repository, one a line: what git has, or what the release
# tarball came with.
cd "$(dirname "$0")/../.." || exit 1
if [ -e .git ]; then
    git ls-files -co --exclude-standard | while read -r path; do
        if [ -e "$path" ]; then printf '%s\n' "$path"; fi
    done
else
    cat .release-files
fi
