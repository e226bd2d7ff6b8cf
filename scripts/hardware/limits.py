# SPDX-License-Identifier: GPL-2.0-or-later
"""What this user may do, and what there is room for beside other guests."""

import contextlib
import resource
import shutil
from pathlib import Path

from . import ioctls
from .host import read
from .ledger import PASS

CAP_IPC_LOCK = 14
MIB = 1 << 20
KEPT_FREE = 512 * MIB           # of memory and disk, for the others
GUESTS = 2                      # at a time, source and target


# --- Devices ---------------------------------------------------------------


def probe_kvm_device(ledger):
    try:
        with ioctls.Kvm():
            return ledger.check('dev-kvm', True, 'opened')
    except FileNotFoundError:
        return ledger.check('dev-kvm', False, 'there is no /dev/kvm',
                            'load kvm_amd, and switch virtualisation (SVM) on '
                            'in the BIOS')
    except OSError as error:
        return ledger.check('dev-kvm', False, error.strerror,
                            'join the group that owns it (often "kvm"), and '
                            'log in anew')


def probe_sev_device(ledger):
    """Opening it is no command: nothing reaches the firmware."""
    try:
        with ioctls.Device(writable=True):
            return ledger.check('dev-sev', True, 'opened for reading and '
                                'writing')
    except FileNotFoundError:
        return ledger.check('dev-sev', False, 'there is no /dev/sev',
                            'load the module ccp (CONFIG_CRYPTO_DEV_SP_PSP); '
                            'it makes the device where the BIOS has switched '
                            'SEV on')
    except OSError as error:
        return ledger.check('dev-sev', False, error.strerror,
                            'as root: setfacl -m u:USER:rw /dev/sev, or a '
                            'udev rule that gives it to the group "kvm"')


# --- Locked memory ---------------------------------------------------------


def may_lock_all(root):
    """CAP_IPC_LOCK: the limit does not count."""
    for line in read(root / 'proc/self/status').splitlines():
        name, _, value = line.partition(':')
        if name == 'CapEff':
            with contextlib.suppress(ValueError):
                return bool(int(value, 16) >> CAP_IPC_LOCK & 1)
    return False


def raise_memlock():
    """The soft limit up to the hard one, which everybody may; (soft) bytes"""
    _, hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]


def probe_memlock(ledger, root, need):
    """@need: bytes that one guest pins"""
    limit, free = raise_memlock(), may_lock_all(root)
    unlimited = limit == resource.RLIM_INFINITY
    said = 'no limit' if unlimited else f'RLIMIT_MEMLOCK {limit // MIB} MiB'
    said += ', CAP_IPC_LOCK' if free else ''
    return ledger.check(
        'memlock', unlimited or free or limit >= need,
        f'{said}; a guest needs {-(-need // MIB)} MiB',
        f'raise it to {-(-need // MIB)} MiB: "memlock" in '
        '/etc/security/limits.conf, LimitMEMLOCK= of a service, or ulimit -l '
        'as root',
        limit=None if unlimited else limit, need=need, ipc_lock=free)


# --- Keys ------------------------------------------------------------------


def misc_values(path):
    """{name: number} of a file of the cgroup controller "misc\""""
    found = {}
    for line in read(path).splitlines():
        name, _, value = line.partition(' ')
        if value.strip().isdigit():
            found[name] = int(value)
    return found


def own_cgroups(root):
    """The folders of this process' cgroup and of those above it."""
    top = root / 'sys/fs/cgroup'
    for line in read(root / 'proc/self/cgroup').splitlines():
        number, _, path = line.split(':', 2) if line.count(':') > 1 else '---'
        if number == '0':
            here = top / path.lstrip('/')
            while here != top and top in here.parents:
                yield here
                here = here.parent
    yield top


def free_asids(root):
    """(free, of how many) as the cgroups know them, or None"""
    top = root / 'sys/fs/cgroup'
    all_of_them = misc_values(top / 'misc.capacity').get('sev')
    used = misc_values(top / 'misc.current').get('sev')
    if all_of_them is None:
        return None
    free = all_of_them - used if used is not None else None
    for folder in own_cgroups(root):
        limit = misc_values(folder / 'misc.max').get('sev')
        current = misc_values(folder / 'misc.current').get('sev', 0)
        if limit is not None:
            left = limit - current
            free = left if free is None else min(free, left)
    return (free, all_of_them) if free is not None else None


def probe_asids(ledger, root, leaf, guests):
    """@guests: how many the firmware counts now, or None"""
    if not ledger.needs(['asids'], ['cpu']):
        return False
    known = free_asids(root)
    if known:
        free, total, how = *known, 'cgroup "misc"'
    elif leaf.asids and guests is not None:
        total, how = leaf.asids, 'CPUID, less the guests that run'
        free = total - guests
    else:
        return ledger.say('asids', PASS, 'neither a cgroup "misc" nor CPUID '
                          'says how many there are; a launch shows it',
                          free=None)
    return ledger.check('asids', free >= GUESTS,
                        f'{free} of {total} are free ({how})',
                        'stop an SEV guest, raise misc.max of the cgroup, or '
                        'give SEV more ASIDs in the BIOS ("minimum SEV non-ES '
                        'ASID")', free=free, total=total)


# --- Memory and disk -------------------------------------------------------


def available(root):
    """Bytes that can be had without swapping, or None"""
    for line in read(root / 'proc/meminfo').splitlines():
        name, _, value = line.partition(':')
        if name == 'MemAvailable':
            return int(value.split()[0]) * 1024
    return None


def probe_room(ledger, root, need, folder):
    """@need: bytes that one guest pins; a saved one takes as much disk"""
    memory = available(root)
    disk = shutil.disk_usage(folder).free
    held = disk >= need + KEPT_FREE and (
        memory is None or memory >= GUESTS * need + KEPT_FREE)
    seen = f'{disk // MIB} MiB of disk'
    if memory is not None:
        seen = f'{memory // MIB} MiB of memory, {seen}'
    return ledger.check(
        'room', held, f'{seen} are free', 'the test takes '
        f'{GUESTS * need // MIB} MiB of memory and {need // MIB} MiB of disk, '
        f'and leaves {KEPT_FREE // MIB} MiB of both to others: come back when '
        'there is more, or name another folder with TMPDIR', memory=memory,
        disk=disk, need=need)


def probe(ledger, need, leaf, guests, folder, root=Path('/')):
    """All rows of this file but those of the devices."""
    probe_memlock(ledger, root, need)
    probe_asids(ledger, root, leaf, guests)
    probe_room(ledger, root, need, folder)
