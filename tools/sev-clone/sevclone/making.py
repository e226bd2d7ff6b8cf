# SPDX-License-Identifier: GPL-2.0-or-later
"""sev-clone make: boot a guest, wait for the point worth keeping, seal it."""

import contextlib
import re
import shutil
import tempfile
import time
from pathlib import Path

from sevclone import Trouble, layout, machine, places, process, store
from sevclone.channel import Channel

HINT = ('its last line on the screen was "{}". --until TEXT waits for a text, '
        '--after SECONDS for a time')


def boot_arguments(options):
    if options.bare:
        return [], None
    kernel, initrd = places.kernel(options.kernel, options.initrd)
    boot = ['-kernel', kernel]
    if initrd:
        boot += ['-initrd', initrd]
    words = ['console=ttyS0', options.append or '']
    if not options.kernel:
        words.append('seal=1')          # the small guest of the tests
    if 'swiotlb=' not in words[1]:
        words.append(f'swiotlb={options.swiotlb}')
    return boot + ['-append', ' '.join(filter(None, words))], \
        places.firmware(options.firmware)


def flash_copy(firmware, folder):
    """The origin writes its variables; the system's files stay as they are."""
    code, variables = map(Path, firmware)
    copy = folder / 'vars.fd'
    shutil.copyfile(variables, copy)
    return (code, copy), [code.stat().st_size, variables.stat().st_size]


def wait_time(guest, seconds):
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if not guest.alive():
            raise Trouble(guest.ended())
        time.sleep(min(left, 0.2))
    return f'after {seconds:g} s'


def wait_text(guest, pattern, limit):
    end = time.monotonic() + limit
    while not re.search(pattern, guest.screen(), re.M):
        if time.monotonic() > end:
            raise Trouble(f'"{pattern}" did not appear within {limit} seconds; '
                          + HINT.format(guest.last_line()))
        time.sleep(0.02)
    return f'text {pattern}'


def wait_point(guest, channel, options):
    """Wait for the point worth keeping; says which it was."""
    if options.until:
        return wait_text(guest, options.until, options.limit)
    if options.after is not None:
        return wait_time(guest, options.after)
    try:
        channel.wait(('ready',), options.limit, guest.alive)
    except Trouble as error:
        if not guest.alive():
            raise Trouble(guest.ended()) from error
        raise Trouble(f'{error}; ' + HINT.format(guest.last_line())) from error
    return 'ready'


@contextlib.contextmanager
def booted(name, spec, options, folder):
    """A guest at the point worth keeping; @spec learns how it got there.

    @folder takes the flash variables, and loses them again.
    """
    boot, firmware = boot_arguments(options)
    boot += spec.pop('boot', [])
    with contextlib.ExitStack() as stack:
        flash = None
        if firmware:
            flash, spec['flash'] = flash_copy(firmware, folder)
            stack.callback(flash[1].unlink, missing_ok=True)
        who = process.identity()
        guest = process.spawn(places.qemu(options.qemu),
                              machine.origin(spec, who, boot, flash,
                                             options.session), who, name,
                              process.MAKING)
        stack.callback(guest.stop)
        stack.enter_context(guest.sentence())
        channel = Channel(guest.path('clone'))
        stack.callback(channel.close)
        guest.qmp()
        spec['point'] = wait_point(guest, channel, options)
        spec['boot_seconds'] = round(time.time() - guest.spawned, 3)
        yield guest


def cold_boot(options):
    """Seconds from exec to the point worth keeping; nothing is kept."""
    with tempfile.TemporaryDirectory() as folder:
        spec = machine.defaults(options)
        with booted('boot', spec, options, Path(folder)):
            return spec['boot_seconds']


def make(name, options, progress):
    """Returns the new template's spec."""
    spec = machine.defaults(options)
    with store.new_template(name, options.replace) as folder:
        progress.step(f'booting {name}')
        with booted(name, spec, options, folder) as guest:
            progress.done(f'booted     {spec["boot_seconds"]:.1f} s, '
                          f'{spec["point"]}')
            monitor = guest.qmp()
            monitor.cmd('stop')
            progress.step('sealing')
            spec['image'] = layout.seal(monitor, spec, folder)
            spec['qemu'] = monitor.cmd('query-version')['package'] or 'unknown'
        with folder.open(spec['image']['file']) as image:
            spec['image']['sha256'] = store.digest(
                image, lambda done, size: progress.bar('digest', done, size))
        return store.write_spec(folder, spec)
