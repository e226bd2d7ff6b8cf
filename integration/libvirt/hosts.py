# SPDX-License-Identifier: GPL-2.0-or-later
"""Two ways to play a host that runs libvirt: a user's daemon, the system's."""

import contextlib
import os
import pwd
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
USER = 'nobody'
LIMIT = 240             # seconds; the machine may be busy
PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
ENVIRONMENT = {'PATH': PATH, 'LC_ALL': 'C'}
PACKAGES = {'libvirtd': 'libvirt-daemon', 'virtlogd': 'libvirt-daemon',
            'virsh': 'libvirt-clients', 'virt-install': 'virtinst', 'unshare': 'util-linux',
            'nsenter': 'util-linux', 'ip': 'iproute2'}
DRIVER = ('lib*/libvirt/connection-driver/libvirt_driver_qemu.so',
          'lib/*/libvirt/connection-driver/libvirt_driver_qemu.so')


class Failed(Exception):
    """A step did not work; the text says which and why."""


def missing(programs):
    """Why it cannot be tried here; None when it can."""
    wanted = {PACKAGES[name] for name in programs if not shutil.which(name)}
    if not any(any(Path('/usr').glob(where)) for where in DRIVER):
        wanted.add('libvirt-daemon-driver-qemu')
    if wanted:
        return f'needs the packages {", ".join(sorted(wanted))}'
    return None if os.getuid() == 0 else 'needs root'


def wait_until(what, probe, check=lambda: None, limit=LIMIT):
    """What @probe returns once it is true; @check raises when it never will."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        for _ in range(20):
            found = probe()
            if found:
                return found
            time.sleep(0.1)
        check()
    raise Failed(f'no {what} within {limit} seconds')


def run(words, **how):
    """What a program prints; Failed with its error's words."""
    done = subprocess.run(words, text=True, check=False, capture_output=True,
                          timeout=LIMIT, **{'stdin': subprocess.DEVNULL, **how})
    if done.returncode:
        raise Failed(f'{Path(words[0]).name} {" ".join(map(str, words[1:]))}: '
                     f'{(done.stderr or done.stdout).strip()}')
    return done.stdout


def cgroups():
    """Where libvirt puts the cgroups of guests, when nobody else does."""
    return {*Path('/sys/fs/cgroup').glob('machine'),
            *Path('/sys/fs/cgroup').glob('*/machine')}


class Host:
    """A libvirtd; a subclass starts it."""

    uri = None

    def virsh(self, *words):
        done = subprocess.run(
            ['virsh', '-q', '-c', self.uri, *map(str, words)], text=True,
            check=False, stdin=subprocess.DEVNULL, capture_output=True,
            timeout=LIMIT, env={**ENVIRONMENT, 'HOME': '/nonexistent'})
        if done.returncode:
            raise Failed(f'virsh {" ".join(map(str, words))}: '
                         f'{done.stderr.strip()}')
        return done.stdout

    def pdh(self):
        """The platform that libvirt knows."""
        found = re.search(r'^pdh\s*:\s*(\S+)', self.virsh('nodesevinfo'), re.M)
        if not found:
            raise Failed('nodesevinfo names no PDH')
        return found.group(1)

    def sev(self, emulator):
        """The C-bit that domcapabilities names; None without SEV."""
        said = self.virsh('domcapabilities', '--virttype', 'qemu',
                          '--emulatorbin', emulator)
        found = re.search(r"<sev supported='yes'>\s*<cbitpos>(\d+)", said)
        return found and found.group(1)


class SessionHost(Host):
    """A user's libvirtd, with a home and a secure processor of its own."""

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
                     'PATH': f'{self.folder.parent}/bin:{PATH}'})
        wait_until(f'socket of {self.folder.name}', self.socket.exists,
                   limit=60)

    def stop(self):
        if self.daemon:
            with contextlib.suppress(Failed):
                self.virsh('destroy', 'sev1')
            self.daemon.send_signal(signal.SIGTERM)
            self.daemon.wait(60)

    def log(self, name):
        """QEMU's words of a domain."""
        return self.folder / f'cache/libvirt/qemu/log/{name}.log'

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


class SystemHost(Host):
    """The system's libvirtd as root, with nothing configured but the host's
    UUID, in namespaces that keep it from the machine (host.sh)."""

    def __init__(self, folder, number, prefix, other=None):
        """@other: the folder of another libvirt than this machine's."""
        self.folder, self.number = folder / f'host{number}', number
        self.prefix, self.shared = prefix, folder / 'shared'
        self.other = [other.resolve()] if other else []
        self.address = f'10.77.0.{number}'
        (self.folder / 'etc').mkdir(parents=True)
        # Two daemons of one machine would take themselves for one host.
        (self.folder / 'etc/libvirtd.conf').write_text(
            f'host_uuid = "4444444{number}-4444-4444-8444-444444444444"\n')
        self.socket = self.folder / 'run/libvirt/libvirt-sock'
        self.uri = f'qemu+unix:///system?socket={self.socket}'
        self.outer = self.init = None
        self.cgroups = cgroups()

    def start(self):
        self.outer = subprocess.Popen(
            ['unshare', '-m', '-n', '-u', '-p', '--fork', '--kill-child',
             HERE / 'host.sh', self.folder, f'host{self.number}', self.shared,
             self.prefix, *self.other], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, start_new_session=True)
        if self.outer.stdout.readline() != b'ready\n':
            said = self.outer.stderr.read().decode('utf-8', 'replace')
            raise Failed(f'no namespaces for a host of its own: {said.strip()}')
        children = f'/proc/{self.outer.pid}/task/{self.outer.pid}/children'
        self.init = Path(children).read_text('ascii').split()[0]
        self.start_daemons()

    def inside(self, *words):
        """Run it on this host, as root, in an environment as a service's."""
        return run(['nsenter', '-t', self.init, '-m', '-n', '-u', '-p',
                    'env', '-i', *(f'{k}={v}' for k, v in ENVIRONMENT.items()),
                    *map(str, words)])

    def start_daemons(self):
        for daemon in ('virtlogd', 'libvirtd'):
            self.inside(daemon, '-d')
        wait_until(f'socket of host{self.number}', self.socket.exists,
                   limit=60)
        self.virsh('version')

    def stop_daemons(self):
        for daemon in ('libvirtd', 'virtlogd'):
            pid = self.folder / f'run/{daemon}.pid'
            self.inside('sh', '-c', 'kill "$1"; while [ -d "/proc/$1" ]; do '
                        'sleep 0.1; done', 'sh', pid.read_text().strip())
        self.socket.unlink(missing_ok=True)

    def configure(self, **values):
        """What qemu.conf says from the daemon's next start on."""
        (self.folder / 'etc/qemu.conf').write_text(''.join(
            f'{name} = "{value}"\n' for name, value in values.items()))

    def connect(self, other):
        """A cable to the other host."""
        run(['ip', 'link', 'add', 'eth0', 'netns', self.init, 'type', 'veth',
             'peer', 'name', 'eth0', 'netns', other.init])
        for host in (self, other):
            host.inside('ip', 'address', 'add', f'{host.address}/24', 'dev',
                        'eth0')
            host.inside('ip', 'link', 'set', 'eth0', 'up')

    def psp(self, *words):
        """sev-psp as the user whose processor it is."""
        return self.inside('runuser', '-u', 'libvirt-qemu', '--', 'sev-psp',
                           *words)

    def log(self, name):
        """QEMU's words of a domain."""
        return self.folder / f'log/libvirt/qemu/{name}.log'

    def identities(self):
        """All that were made on this host."""
        return [str(path.parent) for path in (self.folder / 'lib').rglob('nv')
                if path.parent.name == 'sev-psp']

    def stop(self):
        if self.init:
            with contextlib.suppress(Failed, subprocess.TimeoutExpired):
                for name in self.virsh('list', '--name').split():
                    self.virsh('destroy', name)
        if self.outer:
            self.outer.stdin.close()
            self.outer.wait(60)
        for left in cgroups() - self.cgroups:
            run(['find', left, '-depth', '-type', 'd', '-exec', 'rmdir', '{}',
                 '+'])
