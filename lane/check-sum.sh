#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Is the image the one that lane.sha256 names for this compiler?  TAP output.
#
# usage: check-sum.sh IMAGE SUMS COMPILER
#
# SUMS has a line for each compiler that is known: GCC, BINUTILS, SHA-256.
# Other compilers make other bytes, which their users measure; so that is a skip.
set -eu
gcc=$("$3" -dumpfullversion)
binutils=$("$3" -print-prog-name=ld)
binutils=$("$binutils" --version | sed -n '1s/.* \([0-9][0-9.]*\).*/\1/p')
sum=$(sha256sum "$1")
sum=${sum%% *}
wanted=$(awk -v g="$gcc" -v b="$binutils" '$1 == g && $2 == b { print $3 }' "$2")

echo "1..1"
echo "# $gcc $binutils $sum"
case "$wanted" in
"")     echo "ok 1 image # SKIP no sum is known for gcc $gcc and binutils $binutils" ;;
"$sum") echo "ok 1 image" ;;
*)      echo "not ok 1 image: wanted $wanted"
        exit 1 ;;
esac
