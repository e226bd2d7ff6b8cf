# SPDX-License-Identifier: GPL-2.0-or-later
"""The remaining views a host has of a guest (hunt.py has the plain files).

Each function of a VIEW returns how many secrets it saw.  The same function
must see none in an SEV guest and some in an ordinary one.
"""

import contextlib
import os
import re
import resource
import signal
import struct
import subprocess
from pathlib import Path

import hunt
from gdbremote import Gdb
from netlab import noise
from registry import test
from shape import Shape
from test_tamper import Pages
from verdict import Skip, check, wait_until

WORDS = 4
DIRECT_MAP = 0xffff888000000000         # of a kernel with "nokaslr"
NOKASLR = {'nokaslr': None}


def words(pages):
    """The first words of each known page, as the guest wrote them."""
    seed = int(pages.seed, 16)
    return [struct.pack(f'<{WORDS}Q', *(noise(seed, n * 512 + i)
                                        for i in range(WORDS)))
            for n in range(pages.count)]


# Of the guest that several views are of, one after the other.
COMMON = {'boot': NOKASLR, 'shape': Shape(backend='memfd')}


def both(name, look, common=False, **options):
    """Register the hunt and its control."""
    @contextlib.contextmanager
    def guest(env, sev):
        how = dict(sev=sev, shell=True, ram_file=False, **options)
        if common:
            with env.booted(**how, **COMMON) as kept:
                yield kept
        else:
            with contextlib.closing(env.boot('view', **how)) as fresh:
                yield fresh

    @test(f'hunt: {name}')
    def hunt_sev(env):
        with guest(env, None) as found_in:
            found = look(found_in)
        check(not found, f'{found} secrets seen')

    @test(f'hunt: {name}, the control without SEV', sev=False)
    def hunt_plain(env):
        with guest(env, False) as found_in:
            found = look(found_in)
        check(found, 'an ordinary guest\'s secret was not seen')


def debugger(guest):
    """gdb's physical and virtual reads, the monitor's xp and x."""
    pages = Pages(guest)
    secrets = words(pages)
    seen = 0
    for physical, base in ((True, 0), (False, DIRECT_MAP)):
        with Gdb(guest, physical) as gdb:
            seen += sum(gdb.read(base + at, 8 * WORDS) == secret
                        for at, secret in zip(pages.at, secrets))
    for command, base in (('xp', 0), ('x', DIRECT_MAP)):
        for at, secret in zip(pages.at, secrets):
            said = guest.cmd('human-monitor-command', command_line=
                             f'{command} /{WORDS}xg {base + at:#x}')
            found = re.findall(r'0x([0-9a-f]{16})\b', said.replace(':', ' :'))
            values = [int(v, 16) for v in found[-WORDS:]]
            seen += values == list(struct.unpack(f'<{WORDS}Q', secret))
    guest.wait_ticks(2)
    want = 0 if guest.sev else 4 * pages.count
    check(seen == want, f'{seen} of {4 * pages.count} reads showed the secret')
    return seen


def memory_file(guest):
    """QEMU's memfd through /proc/PID/fd, while the guest runs and stopped."""
    needle = guest.lab.needle()
    seen = hunt.backing(guest, needle)
    guest.cmd('stop')
    seen += hunt.backing(guest, needle)
    guest.cmd('cont')
    check(list(hunt.memory_files(guest)), 'QEMU has no memfd')
    return seen


def core_file(guest):
    """A core dump of QEMU, taken while the guest runs."""
    folder = guest.lab.folder
    pattern = Path('/proc/sys/kernel/core_pattern').read_text().strip()
    if '/' in pattern or pattern.startswith('|'):
        raise Skip(f'core files go elsewhere here ({pattern})')
    pid = guest.vm.get_pid()
    where = Path(os.readlink(f'/proc/{pid}/cwd'))
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    resource.prlimit(pid, resource.RLIMIT_CORE, unlimited)
    before = set(where.glob('core*'))
    os.kill(pid, signal.SIGABRT)
    wait_until('end of QEMU', 120, lambda: not guest.vm.is_running())
    cores = set(where.glob('core*')) - before
    check(len(cores) == 1, f'{len(cores)} core files in {folder}')
    core = cores.pop()
    try:
        check(core.stat().st_size > guest.mem << 20, 'guest RAM is not in it')
        return hunt.count(core, guest.lab.needle())
    finally:
        core.unlink()


def gcore(guest):
    """gdb's own core file, of the live process."""
    out = guest.lab.large(f'{guest.name}.gcore')
    try:
        done = subprocess.run(['gcore', '-o', str(out),
                               str(guest.vm.get_pid())], capture_output=True,
                              timeout=300, check=False)
    except FileNotFoundError as error:
        raise Skip('no gcore; install the package gdb') from error
    core = guest.lab.large(f'{guest.name}.gcore.{guest.vm.get_pid()}')
    check(done.returncode == 0 and core.exists(),
          f'gcore failed: {done.stderr[-200:]}')
    guest.wait_ticks(2)
    hits = hunt.count(core, guest.lab.needle())
    core.unlink()
    return hits


def streams(guest):
    """A template, which leaves the guest running, and a migration, in files."""
    def secrets(kind):
        path = guest.lab.large(f'{guest.name}.{kind}')
        info = guest.migrate(f'file:{path}')
        check(info['status'] == 'completed', f'{kind}: {info}')
        check(path.stat().st_size > 1 << 20, f'no guest in the {kind}')
        hits = hunt.count(path, guest.lab.needle())
        path.unlink()
        return hits

    hits = 0
    if guest.sev:
        guest.cmd('stop')
        guest.capability('sev-template')
        hits += secrets('template')
        guest.capability('sev-template', False)
        guest.cmd('cont')
        guest.wait_ticks(2)
    return hits + secrets('stream')


both('gdbstub, x and xp', debugger, common=True)
both('the memfd of another process', memory_file, common=True)
both('gcore of a running QEMU', gcore, common=True)
both('a core file of QEMU', core_file)
both('template and migration stream', streams)
