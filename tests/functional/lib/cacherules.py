# SPDX-License-Identifier: GPL-2.0-or-later
"""The rules of the emulated cache, as QEMU checks them twice a second.

docs/devel/sev-cache.rst has them.  Where one is broken QEMU names the page and
aborts; what is left for a test is that QEMU did look.
"""

import re

from verdict import check

LOOK = re.compile(r'sev_cache_check (\d+) pages cached, .* (\d+) changed '
                  r'behind the cache, (\d+) times a rule held')


class Rules:
    """What QEMU said of the rules of its cache, each time it looked."""

    args = ()

    def __init__(self, path=None):
        self.path = path
        if path:
            self.args = ('-trace', 'sev_cache_check', '-D', str(path))

    def looks(self):
        """[(pages cached, changed behind the cache, times a rule held)]"""
        if not self.path:
            return []
        return [tuple(map(int, look)) for look in
                LOOK.findall(self.path.read_text('ascii'))]

    def since(self, earlier):
        """How often it looked since; Linux leaves no page behind."""
        looks = self.looks()[earlier:]
        if not self.path:
            return 'not checked'
        check(looks, 'nobody looked at the rules of the cache')
        behind = max(look[1] for look in looks)
        check(not behind, f'{behind} pages changed behind the cache')
        held = sum(look[2] for look in looks)
        check(held > len(looks), f'{held} rules in {len(looks)} looks')
        return (f'{len(looks)} looks at up to {max(look[0] for look in looks)} '
                f'cached pages, {held} times a rule held, 0 broken')
