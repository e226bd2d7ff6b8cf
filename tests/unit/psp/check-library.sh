#!/bin/sh
#
# Does the library stand alone?  usage: check-library.sh SOURCE-DIR LIBRARY
#
# Linking proves that nothing is missing (test-psp-link); this shows that it
# takes no name from others and no header from QEMU.
#
# SPDX-License-Identifier: GPL-2.0-or-later

src=$1
lib=$2
bad=0
echo "1..3"

check()
{
    if [ -n "$3" ]; then
        echo "not ok $1 $2"
        echo "$3" | sed 's/^/# /'
        bad=1
    else
        echo "ok $1 $2"
    fi
}

check 1 "every global name starts with psp_" \
    "$(nm -g --defined-only "$lib" 2>/dev/null |
       awk 'NF == 3 && $3 !~ /^(psp_|__|_GLOBAL|asan)/ { print $3 }')"

check 2 "headers of its own folder, glib, the C library and crypto alone" \
    "$(grep -Hn '^#include' "$src"/*.c "$src"/*.h |
       grep -Ev '#include "[a-z-]+\.h"' |
       grep -Ev '#include <(glib|nettle/|gcrypt|gmp|intel-ipsec-mb)' |
       grep -Ev '#include <((sys/)?[a-z]+)\.h>')"

check 3 "crypto libraries behind crypto.h and packet.h alone" \
    "$(grep -Hn '#include <\(nettle\|gmp\|gcrypt\|intel-ipsec\)' \
            "$src"/*.c "$src"/*.h |
       grep -Ev '/(crypto-nettle|crypto-hash|crypto-gcrypt|packet-ipsec-mb)\.c:')"

exit $bad
