#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Four vCPUs write, check, reload drivers and move data for a while; then
kexec, reboot, sleep and power-off.  Nothing may be lost or changed.

    stress.py --build DIR [--seconds 600] [--unchecked]

The rules of the emulated cache (docs/devel/sev-cache.rst) are checked twice a
second all the while; QEMU aborts where one is broken.
"""

import argparse
import os
import re
import sys
import time
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parents[1] / 'lib'))

# pylint: disable=wrong-import-position
import bulk                             # noqa: E402
import registry                         # noqa: E402
from cacherules import Rules            # noqa: E402
from sevlib import ACTIVE, ROOT, Lab    # noqa: E402
from verdict import BOOT_LIMIT, Failed, check # noqa: E402

VCPUS = 4
NETWORK = ['-netdev', 'user,id=user0', '-device',
           'virtio-net-pci,netdev=user0,romfile=']

# Each loop writes a line per round to its log; BAD is what must not be there.
# Reloading a driver makes its queues and buffers shared and private again.
LOOPS = r"""
end=$(( $(date +%s) + {seconds} ))
disk() {{
    for disk in vda vdb; do
        until [ -b /dev/$disk ]; do sleep 0.1; done
    done
    [ "$(sha256sum < /dev/vda)" = "{disk_sha}  -" ] || echo BAD read
    dd if=/dev/vda of=/dev/vdb bs=64k conv=fsync 2> /dev/null || echo BAD write
    echo 3 > /proc/sys/vm/drop_caches
    [ "$(sha256sum < /dev/vdb)" = "{disk_sha}  -" ] || echo BAD read back
}}
reload() {{
    rmmod $1 && insmod /modules/$1.ko || echo BAD reload $1
}}
drivers() {{
    while [ $(date +%s) -lt $end ]; do
        disk
        reload virtio_blk
        dd if=/dev/hwrng of=/dev/null bs=512 count=4 2> /dev/null || echo BAD rng
        reload virtio_rng
        echo round
    done
    disk
}}
network() {{
    while [ $(date +%s) -lt $end ]; do
        wget -q -O /tmp/net {url} || echo BAD get
        [ "$(sha256sum < /tmp/net)" = "{net_sha}  -" ] || echo BAD got
        head -c 1000000 /tmp/net | base64 > /tmp/text
        [ "$(wget -q -O - --post-file=/tmp/text {url})  -" = \
            "$(sha256sum < /tmp/text)" ] || echo BAD post
        echo round
    done
}}
drivers > /tmp/drivers.log 2>&1 & drivers=$!
network > /tmp/network.log 2>&1 & network=$!
/tools stress {seconds} {mib} {writers}; wait $drivers $network
"""


class Stress:
    """One guest and what it is put through."""

    def __init__(self, lab, host, name, seconds, say=lambda _: None,
                 checked=True):
        self.lab, self.seconds, self.say = lab, seconds, say
        self.rules = Rules(checked and lab.sev and lab.folder / f'{name}.trace')
        self.kernel = (lab.kernel / 'vmlinuz').read_bytes()
        self.initrd = (lab.kernel / 'tools.img').read_bytes()
        source, self.disk_sha = bulk.disk(lab, f'{name}.source')
        self.copy, _ = bulk.disk(lab, f'{name}.copy')
        boot, _ = bulk.disk(lab, f'{name}.boot', self.kernel + self.initrd)
        disks = [word for number, path in enumerate((source, self.copy, boot))
                 for word in bulk.drive(path, 'virtio-blk-pci', number)]
        self.guest = lab.guest(name, host=host, smp=VCPUS, mem=512, shell=True,
                               boot=dict(mib=32, tick=200,
                                         address='10.0.2.15/24'),
                               extra=disks + NETWORK + list(self.rules.args))
        self.boots = 0

    def run(self, changes=('kexec', 'reboot', 'sleep')):
        """Load, then each change and load again."""
        try:
            self.guest.start()
            self._up('booted')
            with bulk.Server() as server:
                self._loops(server)
                for change in changes:
                    getattr(self, f'_{change}')()
                    self._loops(server, brief=True)
            self._power_off()
        finally:
            self.guest.close()

    def _up(self, how):
        self.boots += 1
        self.guest.wait_text(r'^UP ', 3 * BOOT_LIMIT, times=self.boots)
        self.guest.wait_text(r'^TICK 2 ', 3 * BOOT_LIMIT, times=self.boots)
        if self.guest.sev:
            self.guest.wait_text(ACTIVE, times=self.boots)
        self.guest.shell.again()
        self.say(how)

    def _loops(self, server, brief=False):
        seconds = min(self.seconds // 4, 10) if brief else self.seconds
        script = LOOPS.format(seconds=seconds, disk_sha=self.disk_sha,
                              net_sha=server.sha256, url=server.url, mib=64,
                              writers=VCPUS - 1)
        began, looks = time.monotonic(), len(self.rules.looks())
        said = self.guest.shell.must(script, seconds + 4 * BOOT_LIMIT)
        writers = re.findall(r'^STRESS writer \d+: ok, (\d+) rounds, (\d+) MiB',
                             said, re.M)
        check(len(writers) == VCPUS - 1 and 'BAD' not in said,
              f'the writers said: {said[-300:]}')
        rounds = {}
        for loop in ('drivers', 'network'):
            log = self.guest.shell.must(f'cat /tmp/{loop}.log')
            rounds[loop] = log.count('round')
            check('BAD' not in log and rounds[loop],
                  f'the {loop} said: {log[-300:]}')
        check(bulk.digest(self.copy) == self.disk_sha,
              'the disk that was written is not what was written')
        self._ticks()
        self.say(f'{time.monotonic() - began:.0f} s of load: '
                 f'{sum(int(w[1]) for w in writers)} MiB written and checked '
                 f'in {sum(int(w[0]) for w in writers)} rounds, '
                 f'{rounds["drivers"]} driver reloads and disk copies, '
                 f'{rounds["network"]} network round trips, 0 bad')
        self.say(f'rules of the cache: {self.rules.since(looks)}')

    def _ticks(self):
        """The agent's own memory, on every boot so far."""
        for tick in self.guest.ticks():
            check(tick[2:4] == ('ok', 'ok'), f'memory changed at tick {tick[0]}')

    def _kexec(self):
        shell, blocks = self.guest.shell, len(self.kernel)
        shell.must(f'head -c {blocks} /dev/vdc > /tmp/vmlinuz')
        shell.must(f'tail -c +{blocks + 1} /dev/vdc | '
                   f'head -c {len(self.initrd)} > /tmp/initrd')
        shell.start('/tools kexec /tmp/vmlinuz /tmp/initrd '
                    '"$(cat /proc/cmdline)"')
        self._up('kexec into the same kernel')

    def _reboot(self):
        self.guest.shell.start('reboot -f')
        self._up('rebooted')

    def _sleep(self):
        before = len(self.guest.ticks())
        self.guest.shell.start('echo mem > /sys/power/state')
        self.guest.wait_event('SUSPEND', BOOT_LIMIT)
        self.guest.cmd('system_wakeup')
        self.guest.wait_event('WAKEUP', BOOT_LIMIT)
        self.guest.wait_more(before + 5, BOOT_LIMIT)
        self.guest.shell.again()
        self._ticks()
        self.say('slept (S3) and woke up')

    def _power_off(self):
        self.guest.shell.start('poweroff -f')
        self.guest.wait_off()
        self.say('powered off')


def main():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--build', type=Path, metavar='DIR',
                        default=Path(os.environ.get('BUILD', ROOT / 'build')))
    parser.add_argument('--qemu', type=Path, metavar='BINARY')
    parser.add_argument('--seconds', type=int, default=600)
    parser.add_argument('--kernel', default='bookworm', metavar='SUITE')
    parser.add_argument('--unchecked', action='store_true')
    parser.add_argument('--no-sev', action='store_true')
    args = parser.parse_args()
    began = time.monotonic()

    def say(what):
        print(f'{time.monotonic() - began:7.1f} s  {what}', flush=True)

    folder = args.build.resolve() / 'functional-stress'
    registry.clear(folder)
    try:
        with Lab(folder, args.build.resolve(), args.qemu, sev=not args.no_sev,
                 kernel=args.kernel) as lab:
            Stress(lab, lab.host('a'), 'stress', args.seconds, say,
                   not args.unchecked).run()
    except Failed as error:
        print(f'not ok stress: {error}\nScreens and logs: {folder}')
        return 1
    print('ok stress')
    return 0


if __name__ == '__main__':
    sys.exit(main())
