# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest that is tried: domain.xml filled in, and what its screen says."""

import re
from pathlib import Path

from hosts import HERE, Failed, wait_until


class Domain:
    """A guest that counts and checks its memory at every tick."""

    def __init__(self, name, screen, hosts):
        self.name, self.screen, self.hosts = name, Path(screen), hosts
        self.screen.write_bytes(b'')
        self.measurement = None
        self.starts = 1                 # boots until now

    def xml(self, **values):
        """The text of domain.xml with each @NAME@ filled in."""
        text = (HERE / 'domain.xml').read_text('utf-8')
        for name, value in values.items():
            text = text.replace(f'@{name.upper()}@', str(value))
        return text

    def ticks(self):
        """Those of the last boot that is known of."""
        ticks = [(int(n), good) for n, good in re.findall(
            r'^TICK (\d+) t=\d+ sum=(\w+ hot=\w+) ',
            self.screen.read_text('utf-8', 'replace'), re.M)]
        first = [i for i, tick in enumerate(ticks) if tick[0] == 1]
        return ticks[first[self.starts - 1]:] if first[self.starts - 1:] else []

    def check_runs(self):
        """On one of the hosts."""
        if not any(self.name in host.virsh('list', '--name').split()
                   for host in self.hosts):
            raise Failed(f'{self.name} has ended; its logs say how')

    def counts_on(self, more=4):
        """More ticks, one by one, memory as it was."""
        aim = len(self.ticks()) + more
        wait_until(f'{more} more ticks of {self.name}',
                   lambda: len(self.ticks()) >= aim, self.check_runs)
        ticks = self.ticks()
        for before, tick in zip(ticks, ticks[1:]):
            if tick[0] != before[0] + 1 or tick[1] != 'ok hot=ok':
                raise Failed(f'tick {tick} came after {before}')
        return f'tick {ticks[-1][0]}'

    def boots(self):
        wait_until('kernel with SEV', lambda: b'Features active: AMD SEV'
                   in self.screen.read_bytes(), self.check_runs)
        return self.counts_on()

    def boots_again(self, reset):
        """After @reset()."""
        self.counts_on(1)
        self.starts += 1
        reset()
        return self.counts_on()

    def is_not_tunnelled(self, host, other):
        """No return path: the target's certificates cannot come.

        libvirt shows QEMU's sentence, or only that the target ended; the
        target's log has it in any case.
        """
        try:
            host.virsh('migrate', '--live', '--p2p', '--tunnelled', self.name,
                       other.uri)
        except Failed as error:
            log = other.log(self.name).read_text('utf-8', 'replace')
            if 'sealed to the platform' not in log:
                raise Failed(f'the reason is not in the log: {error}') from None
            return self.counts_on()
        raise Failed('it was accepted')

    def measured(self, host, name=None):
        """The launch measurement, the same wherever it is asked for."""
        said = host.virsh('domlaunchsecinfo', name or self.name)
        found = re.search(r'^sev-measurement\s*:\s*(\S{40,})', said, re.M)
        if not found:
            raise Failed(said)
        if self.measurement not in (None, found.group(1)):
            raise Failed(f'{self.measurement} became {found.group(1)}')
        self.measurement = found.group(1)
        return self.measurement[:16] + '...'
