# SPDX-License-Identifier: GPL-2.0-or-later
"""How a check ends, and how long anything may take."""

import time

# Seconds; each wait has a limit, none is infinite.  A boot takes 2 to 10 on a quiet
# machine, and one whose test stops the guest all the time took over 240 at a load of 8.
BOOT_LIMIT = 480
MIGRATE_LIMIT = 120
TICK_LIMIT = 60


class Failed(Exception):
    """A check did not hold; the text is the sentence to print."""


class Skip(Exception):
    """This machine or build cannot run the test; the text says why."""


def check(condition, sentence):
    if not condition:
        raise Failed(sentence)


def wait_until(what, limit, probe, pause=0.02):
    """Call @probe until it returns something true; return that."""
    end = time.monotonic() + limit
    while True:
        found = probe()
        if found:
            return found
        if time.monotonic() > end:
            raise Failed(f'no {what} within {limit} seconds')
        time.sleep(pause)
