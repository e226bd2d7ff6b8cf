# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests, hosts and the folder they live in, for the demo and the tests.

A Lab is one folder with everything a run makes: serial screens, QEMU's logs,
RAM files, identities.  A Host is one secure processor's identity.  A Guest
(guest.py) is one QEMU process.
"""

import base64
import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import guest
import hunt
import ownhome
from verdict import Failed, Skip, check

ROOT = Path(__file__).resolve().parents[3]

ACTIVE = r'Memory Encryption Features active: AMD SEV'


class Lab:
    """Where a run happens, and what it runs with."""

    def __init__(self, folder, build, binary=None, firmware=None, sev=True,
                 kernel='bookworm', silicon=False):
        self.folder, self.build = Path(folder), Path(build)
        self.sev, self.silicon = sev, silicon
        self.binary = Path(binary or self.build / 'obj/qemu-system-x86_64')
        self.kernel = self.build / 'guest' / kernel
        self.firmware = Path(firmware or self._find_firmware())
        self.variables = self.firmware.with_name(
            self.firmware.name.replace('CODE', 'VARS'))
        self.seed = int.from_bytes(os.urandom(8), 'little')
        self._guests, self._large = [], []
        for needed in (self.binary, self.firmware, self.variables,
                       self.kernel / 'vmlinuz'):
            if not needed.exists():
                raise Failed(f'{needed} is missing; "make demo" makes it')
        python = str(self.build / 'qemu/python')
        if python not in sys.path:
            sys.path.insert(0, python)
        self.folder.mkdir(parents=True, exist_ok=True)
        # For what has no Host, and so no identity that it should use.
        os.environ.update(ownhome.environment(self.folder))

    @staticmethod
    def _find_firmware():
        code = Path('/usr/share/OVMF/OVMF_CODE_4M.fd')
        if not code.exists():
            raise Failed(f'{code} is missing; install the package ovmf')
        return code

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for made in self._guests:
            with contextlib.suppress(Exception):    # the others must go too
                made.close()
        for path in self._large:
            path.unlink(missing_ok=True)
        for identity in (*self.folder.glob('psp-*'), self.folder / 'home'):
            shutil.rmtree(identity, ignore_errors=True)

    def large(self, name):
        """A file that is too big to be left behind."""
        path = self.folder / name
        self._large.append(path)
        return path

    def host(self, name):
        made = Host(self, name)
        return made.be_silicon(whole=True) if self.silicon else made

    def guest(self, name, **options):
        made = guest.Guest(self, name, **options)
        self._guests.append(made)
        return made

    def needle(self):
        return hunt.needle(self.seed)


def sev_psp(lab):
    """The tool; the library's build makes it."""
    tool = lab.build / 'lib/tools/sev-psp/sev-psp'
    if not tool.exists():
        raise Skip('sev-psp is not built; "make check-lib" builds it')
    return tool


class Host:
    """One platform: the identity that all QEMU processes of a host share."""

    def __init__(self, lab, name):
        self.lab, self.name = lab, name
        self.folder = lab.folder / f'psp-{name}'
        self.chip = None            # or what be_silicon() made of it
        self._answers = None

    def _ask(self, command):
        """The first use of an identity makes it."""
        if self._answers is None:
            vm = guest.machine(self.lab, f'identity-{self.name}', self)
            vm.add_args('-machine', 'none', '-accel', 'tcg')
            guest.launch(vm)
            try:
                self._answers = {c: vm.cmd(c) for c in (
                    'query-sev-capabilities', 'query-sev-platform-certs')}
            finally:
                vm.shutdown(hard=True)
        return self._answers[command]

    def tool(self, *words):
        """Run sev-psp for this platform, as its operator does; what it says."""
        done = subprocess.run([sev_psp(self.lab), '--dir', self.folder, *words],
                              text=True, capture_output=True, timeout=60,
                              check=False)
        check(not done.returncode, f'sev-psp {words}: {done.stderr.strip()}')
        self._answers = None                # may be another platform now
        return done.stdout

    def be_silicon(self, whole=False):
        """Make another chip, that exports no more than a real one.

        @whole: and its chain, from what AMD would publish.
        """
        shutil.rmtree(self.folder, ignore_errors=True)
        self.tool('identity', 'create', '--silicon')
        self.chip = 'whole' if whole else 'bare'
        return self.make_whole() if whole else self

    def published(self):
        """AMD's files of this chip: signed CEK; ASK and ARK."""
        amd = self.lab.folder / f'amd-{self.name}'
        self.tool('export', '--amd', '--out', amd)
        return amd / 'cek.cert', amd / 'ask_ark.cert'

    def make_whole(self):
        cek, ask_ark = self.published()
        self.tool('chain', 'import', '--cek', cek, '--ask-ark', ask_ark)
        return self

    def capabilities(self):
        return self._ask('query-sev-capabilities')

    def platform_certs(self):
        return self._ask('query-sev-platform-certs')

    def pdh(self):
        return base64.b64decode(self.capabilities()['pdh'])

    def trust(self, other):
        """What an operator does once: pin the other host's root here."""
        other.capabilities()
        self.capabilities()
        roots = self.folder / 'roots'
        roots.mkdir(mode=0o700, exist_ok=True)
        shutil.copy(other.folder / 'roots/self.cert',
                    roots / f'{other.name}.cert')
