# SPDX-License-Identifier: GPL-2.0-or-later
"""Where things are: QEMU, kernel, firmware, templates, running clones."""

import os
import shutil
import stat
from pathlib import Path

from sevclone import Trouble
from sevclone.folder import Place

# Of the sources, or the prefix that this was installed below.
ROOT = Path(__file__).resolve().parents[3]
FIRMWARE = ('/usr/share/OVMF/OVMF_CODE_4M.fd', '/usr/share/OVMF/OVMF_CODE.fd',
            '/usr/share/edk2/x64/OVMF_CODE.4m.fd')


def builds():
    return [Path(p) for p in (os.environ.get('BUILD'), ROOT / 'build') if p]


def first(candidates):
    return next((p for p in map(Path, candidates) if p.exists()), None)


def qemu(given=None):
    """The QEMU to use: the one named, built, installed with us, or in PATH."""
    given = given or os.environ.get('SEV_CLONE_QEMU')
    if given:
        found = shutil.which(given)
        if not found:
            raise Trouble(f'there is no QEMU at {given}')
        return str(Path(found).absolute())
    found = first([b / 'obj/qemu-system-x86_64' for b in builds()] +
                  [ROOT / 'bin/qemu-system-x86_64'])          # installed
    found = found or shutil.which('qemu-system-x86_64')
    if not found:
        raise Trouble('no qemu-system-x86_64 found: run "make build", or name '
                      'one with --qemu')
    return str(found)


def emulator():
    """What starts a clone for libvirt; beside the QEMU that was installed."""
    found = ROOT / 'libexec/sev-clone-qemu'
    if not found.exists():
        raise Trouble('libvirt needs what is installed: "make install", and '
                      'the sev-clone from there')
    return str(found)


def kernel(given, initrd):
    """(kernel, initrd or None): those named, or the test guest's."""
    if given:
        for path in filter(None, (given, initrd)):
            if not os.access(path, os.R_OK):
                raise Trouble(f'{path} cannot be read')
        return given, initrd
    for build in builds():
        folder = build / 'guest/bookworm'
        if (folder / 'initrd-clone.img').exists():
            return (str(folder / 'vmlinuz'),
                    initrd or str(folder / 'initrd-clone.img'))
    raise Trouble('which kernel? Name one with --kernel (and --initrd); '
                  'tests/guest/build.sh makes a small guest to try')


def firmware(given):
    """(code, variables) of a UEFI firmware in two flash files."""
    code = first([given] if given else FIRMWARE)
    if not code:
        raise Trouble(f'there is no firmware at {given or FIRMWARE[0]}: '
                      'install the package ovmf, or use --firmware')
    variables = code.with_name(code.name.replace('CODE', 'VARS'))
    if variables == code or not variables.exists():
        raise Trouble(f'no flash variables beside {code}; split firmware is '
                      'needed (OVMF_CODE and OVMF_VARS)')
    return str(code), str(variables)


def _mine(path):
    """Whether there is such a folder, and it is ours."""
    try:
        about = os.stat(path)
    except OSError:
        return False
    return stat.S_ISDIR(about.st_mode) and about.st_uid == os.geteuid()


def _base(variable, default):
    """A base folder of the XDG specification; a relative one does not count."""
    named = os.environ.get(variable, '')
    if os.path.isabs(named):
        return Path(named)
    found = os.environ.get('HOME', os.path.expanduser('~'))
    if not os.path.isabs(found):
        raise Trouble(f'we have no home: set HOME, or {variable}')
    return Path(found) / default


def home(make=False):
    """Where templates live: a Folder, or None when there is none yet."""
    return _home().open(make)


def home_path():
    """Its name, for people."""
    return _home().path


def _home():
    named = os.environ.get('SEV_CLONE_HOME')
    return Place(named or _base('XDG_DATA_HOME', '.local/share') / 'sev-clone',
                 'SEV_CLONE_HOME')


def run(make=False):
    """Where running clones have their sockets and logs; a Folder, or None."""
    named = os.environ.get('SEV_CLONE_RUN')
    return Place(named or _run_path(), 'SEV_CLONE_RUN').open(make)


def _run_path():
    """Never below /tmp: whoever is first there would have our name.

    XDG_RUNTIME_DIR may be another user's, after su or with sudo -E.
    """
    named = os.environ.get('XDG_RUNTIME_DIR', '')
    if os.path.isabs(named) and _mine(named):
        return Path(named) / 'sev-clone'
    if os.geteuid() == 0:
        return Path('/run/sev-clone')
    if _mine(f'/run/user/{os.geteuid()}'):
        return Path(f'/run/user/{os.geteuid()}/sev-clone')
    return home_path() / f'.run-{_here()}'


def _here():
    """Where a process id means a process: this boot, this PID namespace.

    A home may be that of several machines, and outlives a boot.
    """
    boot = Path('/proc/sys/kernel/random/boot_id').read_text('ascii')
    return f'{boot[:8]}-{os.stat("/proc/self/ns/pid").st_ino:x}'
