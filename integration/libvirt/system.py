#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""An SEV guest under libvirt's system daemon, with what is installed.

usage: system.py [--build DIR] [--keep] [--other DIR]        as root

Two hosts, each in namespaces of its own: a libvirtd of root that nothing was
configured for, /usr/local as "make install" fills it, and a cable between them.
Nothing of this machine is changed.  One line per step; exits 0 only if all are
ok, 77 if it cannot be tried here.  DIR of --other: a second version of libvirt,
its packages unpacked ("dpkg -x"), for the second host.
"""

import os
import re
import shutil
import sys

import steps
from domain import Domain
from guide import POLICY, Guide
from hosts import Failed, SystemHost, run

sys.path.insert(1, str(steps.ROOT / 'tests/functional/lib'))
import pki                              # noqa: E402

EMULATOR = '/usr/local/bin/qemu-system-x86_64'
FIRMWARE = '/usr/share/OVMF/OVMF_CODE_4M.fd'
FLASH_ES = '/usr/share/OVMF/OVMF_CODE.fd', '/usr/share/OVMF/OVMF_VARS.fd'
OVERLAY = steps.ROOT / 'scripts/overlay'
IDENTITY = '/var/lib/sev-psp'
SHAPES = ('OpenStack', 'KubeVirt')       # tests/data/libvirt


class Trial:
    """The guest, and the steps it goes through."""

    def __init__(self, folder, build, other):
        self.folder, self.build = folder, build
        shared = folder / 'shared'              # /srv on both hosts
        shared.mkdir()
        prefix = folder / 'root/usr/local'
        self.a = SystemHost(folder, 1, prefix)
        self.b = SystemHost(folder, 2, prefix, other)
        self.domain = Domain('sev1', shared / 'screen', self.hosts())
        for name in ('vmlinuz', 'initrd.img', 'initrd-clone.img'):
            shutil.copy(build / 'guest/bookworm' / name, shared / name)
        (shared / 'sev1.xml').write_text(self.domain.xml(
            kernel='/srv/vmlinuz', initrd='/srv/initrd.img',
            emulator=EMULATOR, screen='/srv/screen'), 'utf-8')
        self.xml = shared / 'sev1.xml'
        self._install(folder / 'root')
        self.guide = Guide(shared, self.domain, self.xml, self.hosts())
        self.platform = self.cloned = None

    def _install(self, root):
        """As "make install" does."""
        self.how = {'BUILD': str(self.build), 'PREFIX': '/usr/local',
                    'PYTHON': sys.executable}
        for script, *words in (('lib-build.sh', 'tools/sev-psp/sev-psp'),
                               ('install.sh',)):
            run([OVERLAY / script, *words],
                env={**os.environ, **self.how, 'DESTDIR': str(root)})
        if os.listdir(root) != ['usr']:     # else host.sh has to hide more
            raise Failed(f'something was installed outside {root}/usr')

    def hosts(self):
        return self.a, self.b

    def steps(self):
        yield 'without a system identity: no SEV, and none is made', \
            self.nothing
        yield 'make install makes it for libvirt-qemu', self.identity
        yield 'each host trusts the other', self.trust
        yield 'policy 0x07 (SEV-ES), virt-install\'s own, starts', self.es
        if shutil.which('virt-install'):
            yield 'the line for virt-install works as pasted', \
                self.guide.virt_install
        yield 'a session for another platform: refused in words', \
            self.guide.another_session
        yield 'domsetlaunchsecstate: without an address refused in words', \
            self.guide.secret
        for shape in SHAPES:
            yield f'a domain of {shape}\'s shape starts', \
                lambda shape=shape: self.shaped(shape)
        yield 'start: the guest counts', self.boot
        yield 'managedsave, the daemon restarts, start', self.managed_save
        yield 'migrate --live, to the other host', self.there
        yield 'migrate --p2p --parallel, and back', self.back
        if not self.b.other:            # 11.3's daemon ends itself there
            yield 'migrate --p2p --tunnelled: refused in words, it runs on', \
                lambda: self.domain.is_not_tunnelled(self.a, self.b)
        yield 'save, both daemons restart with certificates, restore', self.save
        yield 'migrate --live --tls, native and --p2p --parallel', self.over_tls
        if shutil.which('lzop'):
            yield 'save compressed, restore', self.compressed
        yield 'sev-clone make, with the owner\'s session', self.template
        yield 'a clone from its XML is there, paused', self.clone
        yield 'virt-qemu-sev-validate accepts its measurement', self.attested
        yield 'sev-clone resume: it re-seeds and counts on', self.resumed
        yield 'migrate the clone there and back', self.clone_moves
        yield 'managedsave and start, save and restore the clone', \
            self.clone_saved
        yield 'the guide\'s section about clones works as pasted', \
            self.guide.clones
        yield 'nodesevinfo names the same platform', self.same_platform

    def nothing(self):
        """Also when somebody insists."""
        for host in self.hosts():
            if host.sev(EMULATOR):
                raise Failed('domcapabilities says that SEV is supported')
        try:
            self.a.virsh('create', self.xml)
            raise Failed('it started')
        except Failed as error:
            if 'SEV launch security is not supported' not in str(error):
                raise
        if self.a.identities():
            raise Failed(f'identities were made: {self.a.identities()}')

    def identity(self):
        for host in self.hosts():
            made = host.inside(
                'env', *(f'{k}={v}' for k, v in self.how.items()),
                OVERLAY / 'install.sh')
            again = host.inside(OVERLAY / 'system-identity.sh')
            if 'is there' not in again:
                raise Failed(f'a second time it said: {again}')
            # What libvirt found out about an emulator it keeps until that
            # file changes.
            host.inside('touch', EMULATOR)
            if not host.sev(EMULATOR):
                raise Failed('domcapabilities says that SEV is not supported')
        self.platform = self.a.pdh()
        if self.platform not in self.a.psp('export', '--json'):
            raise Failed('nodesevinfo names another platform than sev-psp')
        return made.strip().splitlines()[-1].strip()

    def trust(self):
        """Roots are public; the folder they go to is libvirt-qemu's."""
        for host, other in (self.hosts(), self.hosts()[::-1]):
            name = f'host{other.number}'
            other.inside('install', '-m', '644', f'{IDENTITY}/roots/self.cert',
                         f'/srv/{name}.cert')
            host.psp('root', 'trust', name, f'/srv/{name}.cert')

    def es(self):
        """What virt-install asks for by default.

        Debian 12's OVMF of 4 MiB cannot boot it.  The one of 2 MiB can, with
        its variables: it reads them where nothing answers without.
        """
        text = self.xml.read_text('utf-8').replace(POLICY,
                                                   '<policy>0x0007</policy>')
        boots = all(map(os.path.exists, FLASH_ES))
        if boots:
            code, variables = FLASH_ES
            text = text.replace('<vcpu>2', '<vcpu>1')
            text = re.sub(r'<loader.*</loader>', '<loader readonly="yes" '
                          f'type="pflash">{code}</loader>'
                          f'<nvram template="{variables}"/>', text)
        xml = self.folder / 'shared/es.xml'
        xml.write_text(text, 'utf-8')
        self.a.virsh('create', xml)
        said = self.domain.counts_on() if boots else None
        try:
            self.a.virsh('destroy', 'sev1')
        except Failed:
            if boots:
                raise
        if self.a.virsh('list', '--all', '--name').strip():
            raise Failed('the domain is still there')
        self.domain.screen.write_bytes(b'')
        return said

    def shaped(self, shape):
        """With all of its devices; firmware and kernel are as in others."""
        disk = self.folder / 'shared/disk.qcow2'
        if not disk.exists():
            self.a.inside('qemu-img', 'create', '-q', '-f', 'qcow2',
                          '/srv/disk.qcow2', '64M')
            self.a.inside('install', '-d', '-o', 'libvirt-qemu',
                          '/srv/kubevirt')
        xml = steps.ROOT / f'tests/data/libvirt/{shape.lower()}.xml'
        self.a.virsh('create', xml)
        name, = self.a.virsh('list', '--name').split()
        said = self.domain.measured(self.a, name)
        self.domain.measurement = None
        self.a.virsh('destroy', name)
        return said

    def boot(self):
        self.a.virsh('define', '--validate', self.xml)
        self.a.virsh('start', 'sev1')
        return self.domain.boots()

    def managed_save(self):
        self.a.virsh('managedsave', 'sev1')
        self.restart(self.a)
        self.a.virsh('start', 'sev1')
        return self.domain.counts_on()

    @staticmethod
    def restart(*hosts):
        for host in hosts:
            host.stop_daemons()
            host.start_daemons()

    def there(self):
        self.a.connect(self.b)
        self.a.virsh('migrate', '--live', '--persistent', 'sev1', self.b.uri,
                     '--migrateuri', f'tcp://{self.b.address}')
        said = self.a.virsh('domjobinfo', '--completed', 'sev1')
        for field in ('Memory processed', 'Normal pages', 'Total downtime'):
            if field not in said:
                raise Failed(f'domjobinfo says nothing of "{field}": {said}')
        return self.domain.counts_on()

    def back(self):
        self.b.virsh('migrate', '--live', '--p2p', '--parallel', '--persistent',
                     'sev1', self.a.uri, f'tcp://{self.a.address}')
        return self.domain.counts_on()

    def save(self):
        self.a.virsh('save', 'sev1', '/srv/saved')
        pki.make(self.folder / 'shared/pki')
        self.a.inside('chown', '-R', 'libvirt-qemu:', '/srv/pki')
        for host in self.hosts():
            host.configure(migrate_tls_x509_cert_dir='/srv/pki',
                           save_image_format='lzop')
        self.restart(*self.hosts())
        self.a.virsh('restore', '/srv/saved')
        return self.domain.counts_on()

    def over_tls(self):
        """The certificates, both hosts', are for "localhost"."""
        tls = ('--live', '--tls', '--tls-destination', 'localhost',
               '--persistent')
        self.a.virsh('migrate', *tls, 'sev1', self.b.uri,
                     '--migrateuri', f'tcp://{self.b.address}')
        self.domain.counts_on()
        self.b.virsh('migrate', *tls, '--p2p', '--parallel', 'sev1',
                     self.a.uri, f'tcp://{self.a.address}')
        return self.domain.counts_on()

    def compressed(self):
        self.a.virsh('save', 'sev1', '/srv/saved')
        image = self.folder / 'shared/saved'
        self.a.virsh('restore', '/srv/saved')
        return (f'{image.stat().st_size >> 20} MiB, '
                f'{self.domain.counts_on()}')

    def sev_clone(self, *words):
        """As libvirt-qemu, whose secure processor seals and opens."""
        return self.a.inside(
            'runuser', '-u', 'libvirt-qemu', '--', 'env',
            'SEV_CLONE_HOME=/srv/templates', 'SEV_CLONE_RUN=/srv/run',
            'sev-clone', *words)

    def template(self):
        self.a.inside('install', '-d', '-m', '700', '-o', 'libvirt-qemu',
                      '/srv/templates', '/srv/run', '/srv/owner')
        self.a.psp('session', '--policy', '0x1', '--out', '/srv/owner')
        said = self.sev_clone('make', 'base', '--kernel', '/srv/vmlinuz',
                              '--initrd', '/srv/initrd-clone.img', '--session',
                              '/srv/owner', '--append', 'seal=1 seed=c10e '
                              'mib=16 tick=200')
        return said.strip().replace('  ', '')

    def clone(self):
        """Its screen goes to one file, wherever it runs."""
        made = Domain('clone1', self.folder / 'shared/clone1.screen',
                      self.hosts())
        self.cloned = made
        text = self.sev_clone('xml', 'base', '--name', made.name)
        screen = ('<serial type="file"><source path="/srv/clone1.screen" '
                  'append="on" />')
        xml = self.folder / 'shared/clone1.xml'
        xml.write_text(text.replace('<serial type="pty">', screen), 'utf-8')
        self.a.virsh('define', '--validate', xml)
        self.a.virsh('start', '--paused', made.name)
        state = self.a.virsh('domstate', made.name).strip()
        if state != 'paused' or made.ticks():
            raise Failed(f'it is {state}, {made.ticks()}')
        return made.measured(self.a)

    def attested(self):
        return self.a.inside(
            'virt-qemu-sev-validate', '--insecure', '--ignore-config',
            '--domain', self.cloned.name, '--firmware', FIRMWARE,
            '--tik', '/srv/owner/tik', '--tek', '/srv/owner/tek').strip()

    def resumed(self):
        self.a.inside('sev-clone', 'resume', self.cloned.name)
        return self.cloned.counts_on()

    def clone_moves(self):
        for host, other in (self.hosts(), self.hosts()[::-1]):
            host.virsh('migrate', '--live', self.cloned.name, other.uri,
                       '--migrateuri', f'tcp://{other.address}')
            said = self.cloned.counts_on()
            self.cloned.measured(other)
        return said

    def clone_saved(self):
        self.a.virsh('managedsave', self.cloned.name)
        self.a.virsh('start', self.cloned.name)
        self.cloned.counts_on()
        self.a.virsh('save', self.cloned.name, '/srv/saved')
        self.a.virsh('restore', '/srv/saved')
        return self.cloned.counts_on()

    def same_platform(self):
        if self.a.pdh() != self.platform:
            raise Failed('it is another one')
        for host in self.hosts():
            made = host.identities()
            if made != [f'{host.folder}/lib/sev-psp']:
                raise Failed(f'identities on host{host.number}: {made}')


if __name__ == '__main__':
    sys.exit(steps.main(__doc__.splitlines()[0], Trial,
                        ('libvirtd', 'virtlogd', 'virsh', 'unshare', 'nsenter',
                         'ip'), other=True))
