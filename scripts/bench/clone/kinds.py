# SPDX-License-Identifier: GPL-2.0-or-later
"""The kinds of clones that bench-clone.py compares.

Each has clone(): (process, {'resume': s, 'tick': s}), end(), pid(),
ramblocks(), close().  The guest counts from before it was sealed: every 5 ms
where times are measured, twice a second where memory is.
"""

import argparse
import contextlib
import os
import shutil
import socket
import tempfile
import time
from pathlib import Path

import player
import process
from sevclone import (Trouble, cloning, making, measuring, places, store,
                      ui)
from sevclone.cli import make_options

SEV, WAITING, BOOT = 'SEV clone', 'SEV clone, pool', 'SEV cold boot'
KATA, STOCK = 'SEV clone, Kata way', 'stock, Kata way'
FAST, IDLE = 5, 500     # ms between ticks
APPEND = 'quiet tick={} witness=0'
MARK = 'TICK 5 '
LIMIT = 300             # seconds for a boot or a tick


@contextlib.contextmanager
def listening(vm):
    """A connection to a clone's console, from before it runs."""
    with socket.socket(socket.AF_UNIX) as console:
        console.settimeout(LIMIT)
        console.connect(str(vm.path('console')))
        yield console


def first_tick(screen, since):
    """Seconds from @since until a clone's screen has a tick.

    To the millisecond, and with little work: ten of these run beside ten clones.
    """
    end = time.time() + LIMIT
    while time.time() < end:
        if os.stat(screen).st_size > len(b'TICK 1') and \
                b'TICK ' in screen.read_bytes():
            return time.time() - since
        time.sleep(0.001)
    raise Trouble('a clone does not tick')


def heard_tick(console, since):
    """The same by its console; sev-clone's have no file."""
    said = b''
    with contextlib.suppress(TimeoutError):
        while data := console.recv(4096):
            said += data
            if b'TICK ' in said:
                return time.time() - since
    raise Trouble('a clone does not tick')


def guest():
    """The small guest's kernel and initramfs, without its seal step."""
    kernel, initrd = places.kernel(None, None)
    return ['--kernel', kernel, '--initrd', initrd]


class Sev:
    """A new process per clone, by sev-clone's own code."""

    name, fresh = SEV, True

    def __init__(self, binary, memory, tick):
        name = f'bench-{tick}'
        parser = argparse.ArgumentParser()
        make_options(parser)
        self.options = parser.parse_args(
            [name, '--append', APPEND.format(tick), '-m', str(memory),
             '--until', f'^{MARK}', *guest()])
        self.options.qemu = binary
        self.binary = binary
        making.make(name, self.options, ui.Progress(quiet=True))
        self.template = store.open_template(name)

    def boot(self):
        """A cold boot of the same guest, until its first tick."""
        options = argparse.Namespace(**vars(self.options))
        options.until = r'^TICK 1 '
        return {'tick': making.cold_boot(options)}

    @contextlib.contextmanager
    def booted(self, count):
        """@count guests side by side that were booted, not cloned."""
        with tempfile.TemporaryDirectory() as top, \
                contextlib.ExitStack() as stack:
            made = []
            for i in range(count):
                folder = Path(top, str(i))
                folder.mkdir()
                spec = making.machine.defaults(self.options)
                made.append(stack.enter_context(making.booted(
                    f'boot-{i}', spec, self.options, folder)))
            yield made

    def clone(self):
        """As cloning.one(), with an ear at the console."""
        vm = cloning.start(self.binary, self.template)
        with listening(vm) as console:
            cloning.ready(vm, self.template)
            before = time.time() - vm.spawned
            times = cloning.fill(vm, self.template, None)
            times = {key: before + value for key, value in times.items()}
            times['tick'] = heard_tick(console, vm.spawned)
        return vm, times

    def end(self, vm):
        vm.stop()

    def pid(self, vm):
        return vm.pid

    def ramblocks(self, vm):
        return measuring.ramblocks_of(vm)

    def close(self):
        store.remove(self.template.name)


class Waiting(Sev):
    """The process waits; the clock starts at migrate-incoming."""

    name, fresh = WAITING, False

    def __init__(self, sev):            # pylint: disable=super-init-not-called
        self.binary, self.template = sev.binary, sev.template

    def clone(self):
        vm = cloning.start(self.binary, self.template)
        cloning.ready(vm, self.template)
        with listening(vm) as console:
            began = time.time()
            times = cloning.fill(vm, self.template, None)
            times['tick'] = heard_tick(console, began)
        return vm, times

    def close(self):
        pass


class Stock:
    """The unpatched base and an ordinary guest, as Kata drives it."""

    name, fresh = STOCK, True
    case = 'ordinary-4.1.0'
    POLL = 0.001        # the runtime polls every 100 ms: that is not QEMU's time

    def __init__(self, binary, scratch, memory, tick):
        kernel, _ = places.kernel(None, None)
        folder = Path(scratch) / f'{self.case}-{tick}'   # a socket's name is short
        self.kata = player.Kata(
            process.installed(folder / 'bin', binary, player.WRAPPER),
            self.case, folder / 'template', folder / 'vms',
            Path(kernel).parent, memory, APPEND.format(tick), limit=LIMIT)
        self.kata.prepare()
        origin = self.kata.boot_template()
        end = time.time() + LIMIT
        while MARK.encode() not in origin.screen.read_bytes():
            if time.time() > end:
                origin.kill()
                raise Trouble('the guest of the Kata way does not boot')
            time.sleep(0.02)
        self.kata.save(origin)

    def clone(self):
        vm, resumed = self.kata.clone(self.POLL)
        return vm, {'resume': resumed - vm.spawned,
                    'tick': first_tick(vm.screen, vm.spawned)}

    def end(self, vm):
        vm.kill()
        shutil.rmtree(vm.store)

    def pid(self, vm):
        return vm.process.pid

    def ramblocks(self, vm):
        with vm.monitor() as monitor:
            return monitor.cmd('human-monitor-command',
                               **{'command-line': 'info ramblock'})

    def close(self):
        shutil.rmtree(self.kata.folder.parent, ignore_errors=True)


class KataSev(Stock):
    """The same command line and commands, with an SEV guest and this QEMU."""

    name, case = KATA, 'sev-by-machine-4.1.0'
