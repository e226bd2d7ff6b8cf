# SPDX-License-Identifier: GPL-2.0-or-later
"""What guests go through beside a boot: panic and dump, hibernation, much memory, huge
pages, a migration before the first instruction.  In "make check-matrix"."""

import contextlib
import re

import bulk
from matrix import HUGE_PAGES
from registry import test
from sevlib import ACTIVE
from shape import Shape
from verdict import BOOT_LIMIT, Failed, Skip, check

LONG = 4 * BOOT_LIMIT
NEVER_RAN = 'the guest has not run yet, and its launch ends when it first runs'
HUGE = 2 * 128              # of 2 MiB, for two guests of 256 MiB


def moved(env, source, target):
    """Migrate; the target counts on."""
    info = source.migrate(f'tcp:127.0.0.1:{target.listen(source)}')
    check(info['status'] == 'completed', f'{info}')
    target.wait_loaded(LONG)
    target.wait_more(len(target.ticks()) + 3, LONG)
    return target.sound_ticks()


@test('state: a guest that was started with -S and never ran is not migrated, and runs',
      slow=True)
def never_ran(env):
    with contextlib.closing(env.start('never', extra=('-S',))) as source, \
            env.target() as target:
        port = target.listen(source)
        try:
            source.cmd('migrate', uri=f'tcp:127.0.0.1:{port}')
        except Failed as error:
            check(NEVER_RAN in str(error), f'it says "{error}"')
        else:
            check(False, 'it migrates')
        source.cmd('cont')
        source.wait_text(r'^TICK 1 ', LONG)
        check(source.find_text(ACTIVE), 'Linux does not say that SEV is active')


@test('state: a guest of 8 GiB migrates', sev=False, slow=True)
def much_memory(env):
    options = dict(mem=8192, smp=2, ram_file=False, shape=Shape(backend='memfd'))
    with contextlib.closing(env.start('large', **options)) as source, \
            env.target(**options) as target:
        source.wait_text(r'^TICK 2 ', LONG)
        moved(env, source, target)
        found = target.find_text(r'Memory: \d+K/\d+K')
        check(int(re.search(r'/(\d+)', found)[1]) > 7 << 20, f'Linux has {found}')


@contextlib.contextmanager
def huge_pages(wanted):
    before = int(HUGE_PAGES.read_text())
    try:
        with contextlib.suppress(OSError):
            HUGE_PAGES.write_text(f'{before + wanted}\n')
        if int(HUGE_PAGES.read_text()) < before + wanted:
            raise Skip(f'no {wanted} huge pages to be had')
        yield
    finally:
        with contextlib.suppress(OSError):
            HUGE_PAGES.write_text(f'{before}\n')


@test('state: a guest in huge pages migrates', sev=False, slow=True)
def huge(env):
    options = dict(ram_file=False, shape=Shape(backend='hugetlb'))
    with huge_pages(HUGE), contextlib.closing(env.start('huge', **options)) as source, \
            env.target(**options) as target:
        source.wait_text(r'^TICK 2 ', LONG)
        moved(env, source, target)


class Kernels:
    """A disk with a guest's own kernel and initramfs, to be started by itself."""

    def __init__(self, env, name):
        folder = env.lab.kernel
        kernel, initrd = ((folder / part).read_bytes()
                          for part in ('vmlinuz', 'tools.img'))
        self.sizes = len(kernel), len(initrd)
        path, _ = bulk.disk(env.lab, name, kernel + initrd)
        self.args = bulk.drive(path, 'virtio-blk-pci', 0)

    def unpack(self, must):
        kernel, initrd = self.sizes
        must('until [ -b /dev/vda ]; do usleep 100000; done')
        must(f'head -c {kernel} /dev/vda > /tmp/vmlinuz; '
             f'tail -c +{kernel + 1} /dev/vda | head -c {initrd} > /tmp/initrd')


@test('state: a panic starts the kernel of kdump, which has the memory', sev=False,
      slow=True)
def kdump(env):
    kernels = Kernels(env, env.name('kdump.disk'))
    guest = env.start('kdump', shell=True, mem=768, extra=kernels.args,
                      boot={'crashkernel': '256M', 'mib': 8})
    with contextlib.closing(guest):
        guest.wait_text(r'^TICK 1 ', LONG)
        kernels.unpack(guest.shell.must)
        # The dump's own kernel has no use for a bounce buffer of the first's size.
        guest.shell.must('/tools kdump /tmp/vmlinuz /tmp/initrd '
                         '"$(sed "s/crashkernel=[^ ]*//" /proc/cmdline) reset_devices '
                         'nr_cpus=1"')
        check(guest.shell.must('cat /sys/kernel/kexec_crash_loaded') == '1', 'no kernel')
        guest.shell.start('echo c > /proc/sysrq-trigger')
        guest.wait_text(r'^TICK 1 ', LONG, times=2)
        guest.shell.again()
        size = int(guest.shell.must('stat -c %s /proc/vmcore', LONG))
        check(size > 400 << 20, f'/proc/vmcore has {size} bytes')
        said = guest.shell.must('head -c 4096 /proc/vmcore | head -c 4 | xxd -p')
        check(said == '7f454c46', f'/proc/vmcore begins with {said}')
        # The first kernel's log is in its private memory, and this one reads it.
        said = guest.shell.must('grep -a -c -m1 "Linux version" /proc/vmcore', LONG)
        check(said == '1', f'the first kernel\'s memory is noise here: {said}')


@test('state: hibernation', sev=False, slow=True)
def hibernate(env):
    path = env.lab.large(env.name('swap'))
    with open(path, 'wb') as file:
        file.truncate(600 << 20)
    options = dict(shell=True, mem=384, boot={'mib': 8},
                   extra=bulk.drive(path, 'virtio-blk-pci', 0))
    slept = asleep(env, options)
    guest = env.start('awake', **options)
    with contextlib.closing(guest):
        guest.wait_text(r'^TICK 1 ', LONG)
        with contextlib.suppress(Failed):
            guest.shell.start('echo $(cat /sys/class/block/vda/dev) > /sys/power/resume')
        found = guest.wait_text(rf'^TICK {slept + 1} ', LONG)
        check(found, 'it does not go on where it was')


def asleep(env, options):
    """The last tick of a guest that wrote itself to its swap disk."""
    guest = env.start('asleep', **options)
    with contextlib.closing(guest):
        guest.wait_text(r'^TICK 20 ', LONG)
        guest.shell.must('until [ -b /dev/vda ]; do usleep 100000; done; '
                         'mkswap /dev/vda; swapon /dev/vda')
        guest.shell.must('echo shutdown > /sys/power/disk')
        guest.shell.start('echo disk > /sys/power/state; dmesg | tail -5 > /dev/console')
        guest.wait_off(LONG)
        return guest.ticks()[-1][0]
