# SPDX-License-Identifier: GPL-2.0-or-later
"""Memory and processors that come and go while the guest runs."""

import contextlib
import re
import struct

import hunt
from netlab import noise
from registry import test
from verdict import check, wait_until

MIB = 1 << 20
DIMM = 128                                  # MiB: one memory block of Linux
PAGES = 512
SEED = 0xd1
NEEDLE = struct.pack('<4Q', *(noise(SEED, i) for i in range(4)))
FILE = '/mnt/pages'

# New memory is for movable pages: a file's, and it can be taken away again.
SHAPE = dict(shell=True, boot={'memhp_default_state': 'online_movable'})
SLOTS = ('-m', '256M,slots=2,maxmem=1G')
SOCKETS = ('-smp', '1,maxcpus=3,sockets=3')


def cold_args(path):
    """The same memory and processor, for a target's command line."""
    return (*SLOTS, *SOCKETS, '-device',
            'EPYC-v4-x86_64-cpu,id=cpu1,socket-id=1,core-id=0,thread-id=0',
            '-object', f'memory-backend-file,id=mem1,size={DIMM}M,share=on,'
            f'mem-path={path}', '-device', 'pc-dimm,id=dimm1,memdev=mem1')


def shadows(guest):
    """How many caches QEMU has for the new memory."""
    tree = guest.cmd('human-monitor-command', command_line='info mtree')
    return tree.count('sev-shadow.mem1')


def total(guest):
    """The guest's memory in MiB, as it says."""
    return int(guest.shell.must("sed -n 's/MemTotal: *//p' /proc/meminfo")
               .split()[0]) // 1024


def plug(guest, path):
    """Add the memory; it is online when this returns."""
    before = total(guest)
    guest.cmd('object-add', qom_type='memory-backend-file', id='mem1',
              size=DIMM * MIB, share=True, mem_path=str(path))
    guest.cmd('device_add', driver='pc-dimm', id='dimm1', memdev='mem1')
    wait_until('memory that the guest was given', 60,
               lambda: total(guest) >= before + DIMM - 8, 0.3)
    check(shadows(guest) == bool(guest.sev), 'the memory has no cache')


def unplug(guest):
    before = total(guest)
    guest.cmd('device_del', id='dimm1')
    guest.wait_event('DEVICE_DELETED')
    check(total(guest) <= before - DIMM + 8, 'the guest still has the memory')
    guest.cmd('object-del', id='mem1')
    wait_until('end of the cache', 20, lambda: not shadows(guest))


def place(guest):
    """First address of the memory that was added."""
    return guest.cmd('query-memory-devices')[0]['data']['addr']


def fill(guest):
    """Fill a file in the new memory."""
    guest.shell.must(f'mount -t tmpfs none /mnt; '
                     f'/tools fill {FILE} {PAGES} {SEED:x}')
    said = guest.shell.must(f'/tools where {FILE}')
    at = [int(gpa, 16) for gpa in re.findall(r' at (0x\w+)', said)]
    first = place(guest)
    inside = sum(first <= gpa < first + DIMM * MIB for gpa in at)
    check(len(at) == PAGES and inside >= PAGES // 2,
          f'{inside} of {len(at)} pages are in the new memory')


def intact(guest):
    said = guest.shell.must(f'/tools check {FILE} {SEED:x}')
    check(len(re.findall(r'^PAGE \d+ bad *$', said, re.M)) == PAGES,
          'memory changed')


def look(env, guest, path):
    """What the host sees of the new memory."""
    dump = env.lab.large(f'{guest.name}.pmemsave')
    guest.cmd('stop')
    guest.cmd('pmemsave', val=place(guest), size=DIMM * MIB,
              filename=str(dump))
    seen = [hunt.count(view, NEEDLE) for view in (path, dump)]
    dump.unlink()
    guest.cmd('cont')
    return seen


@test('hotplug: memory added to a running guest is private to it', sev=False)
def memory(env):
    path = env.lab.large('dimm')
    guest = env.boot('dimm', extra=SLOTS, **SHAPE)
    with contextlib.closing(guest):
        for _ in range(2):          # the second has the first's place
            plug(guest, path)
            fill(guest)
            seen = look(env, guest, path)
            check(any(seen) != env.lab.sev and all(seen) == any(seen),
                  f'file and pmemsave show the secret {seen} times')
            intact(guest)
            guest.shell.must('umount /mnt')
            unplug(guest)
            guest.wait_ticks(2)
    path.unlink()


def add_cpu(guest, socket):
    free = [cpu for cpu in guest.cmd('query-hotpluggable-cpus')
            if 'qom-path' not in cpu and cpu['props']['socket-id'] == socket]
    guest.cmd('device_add', driver=free[0]['type'], id=f'cpu{socket}',
              **{k.replace('-', '_'): v for k, v in free[0]['props'].items()})
    where = f'/sys/devices/system/cpu/cpu{socket}'
    guest.shell.must(f'until [ -e {where}/online ]; do usleep 100000; done; '
                     f'echo 1 > {where}/online')
    check(guest.shell.must('nproc') == str(socket + 1),
          'the guest does not use the processor')


def work_on(guest, cpu):
    """Write on one processor, read on another, and the other way round."""
    for writer, reader in ((cpu, 0), (0, cpu)):
        guest.shell.must(f'taskset {1 << writer} /tools fill /work 64 77')
        said = guest.shell.must(f'taskset {1 << reader} /tools check /work 77')
        check(len(re.findall(r'^PAGE \d+ bad *$', said, re.M)) == 64,
              f'processor {reader} reads other than {writer} wrote')
    guest.shell.must('rm /work')


@test('hotplug: processors added to a running guest work, and go', sev=False)
def processors(env):
    guest = env.boot('cpus', extra=SOCKETS, shell=True)
    with contextlib.closing(guest):
        for socket in (1, 2):
            add_cpu(guest, socket)
            work_on(guest, socket)
        guest.cmd('device_del', id='cpu2')
        guest.wait_event('DEVICE_DELETED')
        check(guest.shell.must('nproc') == '2', 'the processor is still there')
        work_on(guest, 1)
        guest.wait_ticks(2)


@test('hotplug: a guest with added memory and processor migrates', sev=False,
      slow=True)
def migrate(env):
    path, there = env.lab.large('dimm-here'), env.lab.large('dimm-there')
    source = env.boot('plugged', extra=(*SLOTS, *SOCKETS), **SHAPE)
    plug(source, path)
    add_cpu(source, 1)
    fill(source)
    with env.target(extra=cold_args(there), **SHAPE) as target:
        info = source.migrate(f'tcp:127.0.0.1:{target.listen(source)}')
        check(info['status'] == 'completed', f'it ended: {info}')
        source.close()
        target.wait_ticks(3)
        intact(target)
        seen = look(env, target, there)
        check(any(seen) != env.lab.sev, f'the target shows the secret {seen}')
        work_on(target, 1)
        target.shell.must('umount /mnt')
        unplug(target)
        target.cmd('device_del', id='cpu1')
        target.wait_event('DEVICE_DELETED')
        target.wait_ticks(3)
    path.unlink()
    there.unlink()
