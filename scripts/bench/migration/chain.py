# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest that hops from QEMU process to QEMU process, and what a hop costs.

The destination of one hop is the source of the next. Its memory is allocated
before the clock starts: the first touch of fresh memory costs more than
anything that is measured here.
"""

import time
from dataclasses import dataclass

import pki
from guest import free_port
from shape import Shape
from verdict import Failed, check, wait_until

PREALLOCATED = Shape(backend='prealloc')
FAST = 100 << 30                # bytes per second: no limit
BOOT_LIMIT = 600


@dataclass(frozen=True)
class Mode:
    """One way to migrate; @chain names the guest it is done with."""
    name: str
    chain: str
    transport: str = 'tcp'
    channels: int = 0
    tls: bool = False
    bandwidth: int = FAST


@dataclass
class Hop:
    """Seconds, bytes, and processor seconds of both ends together."""
    total: float
    gap: float                  # STOP on the source to RESUME on the target
    downtime: float             # as query-migrate says
    sent: int
    cpu: float
    pages: int                  # sent with content, private and shared
    packets: int
    rounds: int

    @property
    def cpu_per_page(self):
        return self.cpu / max(self.pages, 1)


class Chain:
    """A booted guest of one kind, wherever it is now."""

    def __init__(self, lab, name, mem, boot, certificates, environment=()):
        self.lab, self.name, self.mem, self.boot = lab, name, mem, boot
        self.certificates = certificates
        self.environment = environment
        self.hosts = ['a', 'b']
        self.hops = 0
        self.here = self._guest()

    def _guest(self, **options):
        host = None
        if self.lab.sev:
            host = self.lab.host(f'{self.name}-{self.hosts[self.hops % 2]}')
        guest = self.lab.guest(f'{self.name}-{self.hops}', host=host,
                               mem=self.mem, ram_file=False, boot=self.boot,
                               shape=PREALLOCATED,
                               environment=self.environment, **options)
        return guest.start()

    def wait_booted(self):
        self.here.wait_text(r'^TICK 1 ', BOOT_LIMIT)

    def close(self):
        self.here.close()

    def hop(self, mode, downtime_limit=300):
        """Move the guest once; a Hop."""
        source = self.here
        self.hops += 1
        target = self._guest(incoming='defer')
        if self.lab.sev:
            source.host.trust(target.host)
        uri = self._listen(mode, source, target, downtime_limit)
        _alive(source)
        source.vm.get_qmp_events()
        before = source.cpu_seconds() + target.cpu_seconds()
        source.cmd('migrate', uri=uri)
        info = source.wait_migration(BOOT_LIMIT)
        cpu = source.cpu_seconds() + target.cpu_seconds() - before
        check(info['status'] == 'completed', f'{mode.name}: {info}')
        gap = _event(target, 'RESUME') - _event(source, 'STOP')
        source.close()
        self.here = target
        self._reset(mode)
        _alive(target)
        return self._measured(info, gap, cpu)

    def _listen(self, mode, source, target, downtime_limit):
        for end, endpoint in ((source, 'client'), (target, 'server')):
            end.cmd('migrate-set-parameters', max_bandwidth=mode.bandwidth,
                    downtime_limit=downtime_limit)
            if mode.channels:
                end.capability('multifd')
                end.cmd('migrate-set-parameters',
                        multifd_channels=mode.channels)
            if mode.tls:
                pki.use(end, self.certificates, endpoint)
        target.came_from = source
        uri = (f'tcp:127.0.0.1:{free_port()}' if mode.transport == 'tcp' else
               f'unix:{self.lab.large(f"{target.name}.sock")}')
        target.cmd('migrate-incoming', uri=uri, exit_on_error=False)
        return uri

    def _reset(self, mode):
        """The target of this hop is the source of another kind of hop."""
        if mode.channels:
            self.here.capability('multifd', False)
        if mode.tls:
            pki.drop(self.here)

    @staticmethod
    def _measured(info, gap, cpu):
        ram, sev = info['ram'], info.get('sev', {})
        return Hop(total=info['total-time'] / 1e3, gap=gap,
                   downtime=info['downtime'] / 1e3, sent=ram['transferred'],
                   cpu=cpu, pages=ram['normal'], packets=sev.get('packets', 0),
                   rounds=ram['dirty-sync-count'])


def _alive(guest):
    """One tick more; that its memory is sound is for the tests to say."""
    seen = len(guest.ticks())
    wait_until(f'tick from {guest.name}', 60,
               lambda: len(guest.ticks()) > seen or guest.alive() and None)


def _event(guest, name):
    event = guest.vm.event_wait(name, timeout=60)
    if not event:
        raise Failed(f'{guest.name}: no event {name}')
    stamp = event['timestamp']
    return stamp['seconds'] + stamp['microseconds'] / 1e6


def slow(lab, delay_us, mib, memory, channels):
    """One migration with slow secure processors at both ends.

    (share of the time that the source's was busy, query-migrate)
    """
    ends = []
    for name in ('slow-a', 'slow-b'):
        ends.append(lab.guest(f'{name}-{mib}-{channels}', host=lab.host(name),
                              mem=memory, ram_file=False,
                              boot={'mib': mib, 'tick': 1000},
                              incoming='defer' if ends else False).start())
    source, target = ends
    source.host.trust(target.host)
    source.wait_text(r'^TICK 1 ', BOOT_LIMIT)
    time.sleep(2)
    for end in ends:
        end.cmd('qom-set', path='/objects/sev0', property='x-psp-delay-us',
                value=delay_us)
        if channels:
            end.capability('multifd')
            end.cmd('migrate-set-parameters', multifd_channels=channels)
    source.cmd('migrate', uri=f'tcp:127.0.0.1:{target.listen(source)}')
    info = source.wait_migration(BOOT_LIMIT)
    check(info['status'] == 'completed', f'slow: {info}')
    _alive(target)
    for end in ends:
        end.close()
    sev = info['sev']
    busy = sev['packets-per-second'] * delay_us / 1e6
    return busy, info
