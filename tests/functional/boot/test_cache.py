# SPDX-License-Identifier: GPL-2.0-or-later
"""The emulated cache keeps its rules, and only the working set in plaintext."""

from cacherules import Rules
from registry import test
from verdict import check, wait_until

IDLE_LIMIT = 60             # seconds until idle pages must have left
WORKING_SET = 12288         # pages; the guest has touched three times as many


@test('cache: four processors keep its rules; idle pages leave it')
def rules(env):
    cache = Rules(env.lab.folder / 'cache.trace')
    guest = env.boot('cache', smp=4, boot={'mib': 64, 'tick': 1000},
                     extra=cache.args)
    try:
        def at_rest():
            looks = cache.looks()
            return looks and looks[-1][0] < WORKING_SET and looks

        guest.wait_ticks(3)
        looks = wait_until('small cache', IDLE_LIMIT, at_rest)
        check(looks[-1][1] == 0,
              f'{looks[-1][1]} pages changed behind the cache')
        guest.wait_ticks(9)                 # every page is read again
        cache.since(len(looks))
    finally:
        guest.close()
