# SPDX-License-Identifier: GPL-2.0-or-later
"""Did a guest run on at its source after it ran at its target?"""

import os
import threading
import time

from verdict import check

LOOK = 0.01             # seconds; a guest prints ten times a second or more


class Watch(threading.Thread):
    """Look at both screens; a context manager.

    A guest prints all the time.  Once the target's screen has grown, the
    source's may not grow any more: then both run, or ran in turn.
    """

    def __init__(self, source, target):
        super().__init__(daemon=True)
        self._screens = source.screen, target.screen
        self._over = False
        self.twice = ''

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, *_):
        self._over = True
        self.join(10)
        if kind is None:
            check(not self.twice, self.twice)

    def _sizes(self):
        """The target's is looked at first: what the source printed before is seen."""
        source, target = self._screens
        there = os.path.getsize(target)
        return os.path.getsize(source), there

    def run(self):
        _, before = self._sizes()
        there = None            # of the source's screen when the target's grew
        while not self._over and not self.twice:
            here, now = self._sizes()
            if there is None:
                there = here if now > before else None
            elif here > there:
                self.twice = 'the source runs after the target did'
            time.sleep(LOOK)
