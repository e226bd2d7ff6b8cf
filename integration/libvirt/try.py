#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""An SEV guest under an unmodified libvirt: start, migrate, save, restore.

usage: try.py [--build DIR] [--keep]          as root; needs libvirtd and virsh

Two session daemons of the user "nobody" play two hosts: each has its own home,
so its own secure processor.  One line per step; exits 0 only if all are ok, 77
if libvirt is not here.
"""

import argparse
import contextlib
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
USER = 'nobody'
LIMIT = 240             # seconds; the machine may be busy
ENVIRONMENT = {'PATH': '/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin',
               'LC_ALL': 'C'}


class Failed(Exception):
    """A step did not work; the text says which and why."""


def wait_until(what, probe, limit=LIMIT):
    end = time.monotonic() + limit
    while time.monotonic() < end:
        found = probe()
        if found:
            return found
        time.sleep(0.1)
    raise Failed(f'no {what} within {limit} seconds')


class Host:
    """One libvirtd, with a home and a secure processor of its own."""

    def __init__(self, folder, number):
        self.folder = folder / f'host{number}'
        self.port = 49300 + number
        for name in ('home', 'run', 'cfg/libvirt', 'cache', 'data'):
            (self.folder / name).mkdir(parents=True)
        (self.folder / 'cfg/libvirt/libvirtd.conf').write_text(
            f'host_uuid = "3333333{number}-3333-4333-8333-333333333333"\n')
        (self.folder / 'cfg/libvirt/qemu.conf').write_text(
            'stdio_handler = "file"\n')         # no virtlogd
        self.socket = self.folder / 'run/libvirt/libvirt-sock'
        self.uri = f'qemu+unix:///session?socket={self.socket}'
        self.daemon = None

    def start(self):
        at = {f'XDG_{name}': str(self.folder / folder) for name, folder in (
            ('RUNTIME_DIR', 'run'), ('CONFIG_HOME', 'cfg'),
            ('CACHE_HOME', 'cache'), ('DATA_HOME', 'data'))}
        user = pwd.getpwnam(USER)
        with (self.folder / 'libvirtd.log').open('wb') as log:
            self.daemon = subprocess.Popen(
                ['libvirtd'], stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, cwd=self.folder, user=user.pw_uid,
                group=user.pw_gid, extra_groups=[], start_new_session=True,
                env={**ENVIRONMENT, **at, 'HOME': str(self.folder / 'home'),
                     # nodesevinfo asks the emulator that it finds there
                     'PATH': f'{self.folder.parent}/bin:'
                             + ENVIRONMENT['PATH']})
        wait_until(f'socket of {self.folder.name}', self.socket.exists, 60)

    def stop(self):
        if self.daemon:
            with contextlib.suppress(Failed):
                self.virsh('destroy', 'sev1')
            self.daemon.send_signal(signal.SIGTERM)
            self.daemon.wait(60)

    def virsh(self, *words):
        done = subprocess.run(
            ['virsh', '-q', '-c', self.uri, *words], text=True, check=False,
            stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT,
            env={**ENVIRONMENT, 'HOME': str(self.folder)})
        if done.returncode:
            raise Failed(f'virsh {" ".join(words)}: {done.stderr.strip()}')
        return done.stdout

    def identity(self):
        """The folder of its secure processor, where QEMU makes it."""
        found = list((self.folder / 'home').rglob('self.cert'))
        if not found:
            raise Failed(f'{self.folder.name} made no identity')
        return found[0].parent

    def trust(self, other):
        """What an operator does once."""
        root = self.identity() / f'{other.folder.name}.cert'
        shutil.copy(other.identity() / 'self.cert', root)
        shutil.chown(root, USER)


class Trial:
    """The guest, and the steps it goes through."""

    def __init__(self, folder, build):
        self.folder, self.measurement = folder, ''
        self.screen = folder / 'screen'
        self.screen.write_bytes(b'')
        self.emulator = self._emulator(build)
        for name in ('vmlinuz', 'initrd.img'):
            shutil.copy(build / 'guest/bookworm' / name, folder / name)
        self.xml = folder / 'domain.xml'
        text = (HERE / 'domain.xml').read_text('utf-8')
        for name, value in (('KERNEL', folder / 'vmlinuz'),
                            ('INITRD', folder / 'initrd.img'),
                            ('EMULATOR', self.emulator),
                            ('SCREEN', self.screen)):
            text = text.replace(f'@{name}@', str(value))
        self.xml.write_text(text, 'utf-8')
        self.a, self.b = Host(folder, 1), Host(folder, 2)

    def _emulator(self, build):
        """A copy that "nobody" may run, with QEMU's data beside it."""
        to = self.folder / 'bin'
        to.mkdir()
        shutil.copy(build / 'obj/qemu-system-x86_64', to)
        data = build / 'obj/qemu-bundle'
        if data.exists():
            shutil.copytree(data, to / 'qemu-bundle',
                            ignore_dangling_symlinks=True)
        return to / 'qemu-system-x86_64'

    # --- The screen ---

    def ticks(self):
        return [(int(n), good) for n, good in re.findall(
            r'^TICK (\d+) t=\d+ sum=(\w+ hot=\w+) ',
            self.screen.read_text('utf-8', 'replace'), re.M)]

    def counts_on(self, more=4):
        """More ticks, one by one, memory as it was."""
        aim = len(self.ticks()) + more
        wait_until(f'{more} more ticks', lambda: len(self.ticks()) >= aim)
        ticks = self.ticks()
        for before, tick in zip(ticks, ticks[1:]):
            if tick[0] != before[0] + 1 or tick[1] != 'ok hot=ok':
                raise Failed(f'tick {tick} came after {before}')
        return f'tick {ticks[-1][0]}'

    # --- The steps ---

    def steps(self):
        yield 'libvirt says that SEV is supported', self.capabilities
        yield 'nodesevinfo names the platform', self.platform
        yield 'define --validate, start: the guest counts', self.boot
        yield 'domlaunchsecinfo has the measurement', self.measured
        yield 'migrate --live, to the other host', self.native
        yield 'domlaunchsecinfo is the same there', self.measured_there
        yield 'migrate --p2p --parallel, and back', self.parallel
        yield 'migrate --p2p --tunnelled: refused in words, it runs on', \
            self.tunnelled
        yield 'managedsave, start', self.managed_save
        yield 'save, restore', self.save
        yield 'reset: it boots again', self.reset

    def capabilities(self):
        said = self.a.virsh('domcapabilities', '--virttype', 'qemu',
                            '--emulatorbin', str(self.emulator))
        found = re.search(r"<sev supported='yes'>\s*<cbitpos>(\d+)", said)
        if not found:
            raise Failed(re.sub(r'\s+', ' ', said[-200:]))
        self.b.virsh('domcapabilities', '--virttype', 'qemu',
                     '--emulatorbin', str(self.emulator))
        self.a.trust(self.b)
        self.b.trust(self.a)
        return f'cbitpos {found.group(1)}'

    def platform(self):
        said = self.a.virsh('nodesevinfo')
        pdh = re.search(r'^pdh\s*:\s*(\S+)', said, re.M)
        if not pdh:
            raise Failed(said)
        return f'PDH of {len(pdh.group(1))} characters'

    def boot(self):
        self.a.virsh('define', '--validate', str(self.xml))
        self.a.virsh('start', 'sev1')
        wait_until('kernel with SEV', lambda: b'Features active: AMD SEV'
                   in self.screen.read_bytes())
        return self.counts_on()

    def measured(self, host=None):
        said = (host or self.a).virsh('domlaunchsecinfo', 'sev1')
        found = re.search(r'^sev-measurement\s*:\s*(\S{40,})', said, re.M)
        if not found:
            raise Failed(said)
        self.measurement = found.group(1)
        return self.measurement[:16] + '...'

    def measured_there(self):
        before = self.measurement
        if self.measured(self.b) != before[:16] + '...' or \
                self.measurement != before:
            raise Failed(f'{before} became {self.measurement}')
        return before[:16] + '...'

    def native(self):
        self.a.virsh('migrate', '--live', '--persistent', 'sev1', self.b.uri,
                     '--migrateuri', f'tcp://127.0.0.1:{self.b.port}')
        return self.counts_on()

    def parallel(self):
        self.b.virsh('migrate', '--live', '--p2p', '--parallel',
                     '--parallel-connections', '2', '--persistent', 'sev1',
                     self.a.uri, f'tcp://127.0.0.1:{self.a.port}')
        return self.counts_on()

    def tunnelled(self):
        """No return path: the target's certificates cannot come."""
        try:
            self.a.virsh('migrate', '--live', '--p2p', '--tunnelled', 'sev1',
                         self.b.uri)
        except Failed as error:
            said = str(error)
            if 'sealed to the platform' not in said:
                raise
            return self.counts_on() + ': ' + said[-60:]
        raise Failed('it was accepted')

    def managed_save(self):
        self.a.virsh('managedsave', 'sev1')
        self.a.virsh('start', 'sev1')
        return self.counts_on()

    def save(self):
        image = self.folder / 'host1/saved'
        self.a.virsh('save', 'sev1', str(image))
        self.a.virsh('restore', str(image))
        image.unlink()
        return self.counts_on()

    def reset(self):
        os.truncate(self.screen, 0)
        self.a.virsh('reset', 'sev1')
        wait_until('the first tick', lambda: re.search(
            rb'^TICK 1 ', self.screen.read_bytes(), re.M))
        return self.counts_on()


def run(trial):
    """All steps, until one fails."""
    for host in (trial.a, trial.b):
        host.start()
    for name, step in trial.steps():
        began = time.monotonic()
        try:
            said = step()
        except (Failed, subprocess.TimeoutExpired) as error:
            print(f'not ok {name}: {error}')
            return 1
        print(f'ok {name} ({time.monotonic() - began:.1f} s): {said}',
              flush=True)
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--build', type=Path, default=Path(
        os.environ.get('BUILD', ROOT / 'build')))
    parser.add_argument('--keep', action='store_true',
                        help='leave the folder with the logs')
    args = parser.parse_args()
    if os.getuid():
        sys.exit('error: root starts the daemons as another user')
    if not shutil.which('libvirtd') or not shutil.which('virsh'):
        print('skip: needs libvirt-daemon, libvirt-daemon-driver-qemu and '
              'libvirt-clients')
        return 77
    folder = Path(tempfile.mkdtemp(prefix='sev-lv-', dir='/var/tmp'))
    trial = Trial(folder, args.build.resolve())
    for path in (folder, *folder.rglob('*')):
        if not path.is_symlink():
            shutil.chown(path, USER, 'nogroup')
    (folder / 'host1/run').chmod(0o700)
    (folder / 'host2/run').chmod(0o700)
    try:
        return run(trial)
    finally:
        for host in (trial.a, trial.b):
            host.stop()
        if args.keep:
            print(f'logs: {folder}')
        else:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == '__main__':
    sys.exit(main())
