#!/bin/sh
#
# Line coverage of hw/psp by its unit tests, file by file.
# usage: coverage.sh [BUILD-DIR] [MINIMUM-PERCENT]
#
# SPDX-License-Identifier: GPL-2.0-or-later

set -e
root=$(cd "$(dirname "$0")/../../.." && pwd)
build=${1:-$root/build/psp-coverage}
minimum=${2:-95}

[ -d "$build" ] || "${MESON:-meson}" setup "$build" "$root" -Db_coverage=true \
    --buildtype=debug > /dev/null
ninja -C "$build" > /dev/null
find "$build" -name '*.gcda' -delete
"${MESON:-meson}" test -C "$build" -t 4 --no-rebuild > "$build/test.log" || {
    cat "$build/test.log"
    exit 1
}
cd "$build/hw/psp/libpsp.a.p"
for f in *.gcda; do
    gcov -r -s "$root" -i -t "$f" 2>/dev/null
done | python3 -c '
import json, sys
total = {}
decoder = json.JSONDecoder()
text = sys.stdin.read()
at = 0
while at < len(text):
    doc, end = decoder.raw_decode(text, at)
    at = end
    while at < len(text) and text[at].isspace():
        at += 1
    for f in doc["files"]:
        name = f["file"].split("/")[-1]
        lines = total.setdefault(name, {})
        for line in f["lines"]:
            n = line["line_number"]
            lines[n] = lines.get(n, 0) + line["count"]
hit = everything = 0
for name in sorted(total):
    lines = total[name]
    good = sum(1 for c in lines.values() if c)
    missed = sorted(n for n, c in lines.items() if not c)
    print("%-18s %4d of %4d  %5.1f %%  %s" %
          (name, good, len(lines), 100 * good / len(lines),
           " ".join(map(str, missed[:20]))))
    hit += good
    everything += len(lines)
percent = 100 * hit / everything
print("%-18s %4d of %4d  %5.1f %%" % ("total", hit, everything, percent))
sys.exit(percent < float(sys.argv[1]))
' "$minimum"
