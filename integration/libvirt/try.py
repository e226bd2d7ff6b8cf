#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""An SEV guest under an unmodified libvirt: start, migrate, save, restore.

usage: try.py [--build DIR] [--keep]          as root; needs libvirtd and virsh

Two session daemons of the user "nobody" play two hosts: each has its own home,
so its own secure processor.  One line per step; exits 0 only if all are ok, 77
if libvirt is not here.
"""

import shutil
import sys

import steps
from domain import Domain
from hosts import USER, Failed, SessionHost


class Trial:
    """The guest, and the steps it goes through."""

    def __init__(self, folder, build):
        self.folder = folder
        self.a, self.b = SessionHost(folder, 1), SessionHost(folder, 2)
        self.domain = Domain('sev1', folder / 'screen', self.hosts())
        self.emulator = self._emulator(build)
        for name in ('vmlinuz', 'initrd.img'):
            shutil.copy(build / 'guest/bookworm' / name, folder / name)
        self.xml = folder / 'domain.xml'
        self.xml.write_text(self.domain.xml(
            kernel=folder / 'vmlinuz', initrd=folder / 'initrd.img',
            emulator=self.emulator, screen=self.domain.screen), 'utf-8')
        for path in (folder, *folder.rglob('*')):
            if not path.is_symlink():
                shutil.chown(path, USER, 'nogroup')
        for host in self.hosts():
            (host.folder / 'run').chmod(0o700)

    def hosts(self):
        return self.a, self.b

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
        for host in self.hosts():
            if not host.sev(self.emulator):
                raise Failed('domcapabilities says no')
        self.a.trust(self.b)
        self.b.trust(self.a)
        return f'cbitpos {self.a.sev(self.emulator)}'

    def platform(self):
        return f'PDH of {len(self.a.pdh())} characters'

    def boot(self):
        self.a.virsh('define', '--validate', self.xml)
        self.a.virsh('start', 'sev1')
        return self.domain.boots()

    def measured(self):
        return self.domain.measured(self.a)

    def measured_there(self):
        return self.domain.measured(self.b)

    def native(self):
        self.a.virsh('migrate', '--live', '--persistent', 'sev1', self.b.uri,
                     '--migrateuri', f'tcp://127.0.0.1:{self.b.port}')
        return self.domain.counts_on()

    def parallel(self):
        self.b.virsh('migrate', '--live', '--p2p', '--parallel',
                     '--parallel-connections', '2', '--persistent', 'sev1',
                     self.a.uri, f'tcp://127.0.0.1:{self.a.port}')
        return self.domain.counts_on()

    def tunnelled(self):
        return self.domain.is_not_tunnelled(self.a, self.b)

    def managed_save(self):
        self.a.virsh('managedsave', 'sev1')
        self.a.virsh('start', 'sev1')
        return self.domain.counts_on()

    def save(self):
        image = self.folder / 'host1/saved'
        self.a.virsh('save', 'sev1', image)
        self.a.virsh('restore', image)
        image.unlink()
        return self.domain.counts_on()

    def reset(self):
        return self.domain.boots_again(lambda: self.a.virsh('reset', 'sev1'))


if __name__ == '__main__':
    sys.exit(steps.main(__doc__.splitlines()[0], Trial,
                        ('libvirtd', 'virsh')))
