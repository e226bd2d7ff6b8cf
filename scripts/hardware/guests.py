# SPDX-License-Identifier: GPL-2.0-or-later
"""The guests that QEMU runs, of two kinds with one face.

Linux is the guest of this project's other tests. Where KVM cannot run it, with
the stand-in for Linux' SEV (tests/kvm), a guest of 64 KiB takes its place; the
stand-in is preloaded around all of this and need not be known here.
"""

import base64
import dataclasses
import os
import sys

import guest
import tinyguest
from sevlib import Lab
from shape import Shape
from verdict import Failed, Skip

MIB = 1 << 20
POLICY = 0x1            # no debugging; sending and key sharing allowed
BESIDE = 24 * MIB       # firmware, video and option ROMs are pinned as well


class Moving:
    """What the steps ask of a guest, beside start(), close() and cmd()."""

    def last(self):
        """The number it counted to"""
        raise NotImplementedError

    def goes_on(self, more, limit):
        """Wait for @more ticks; its memory must be sound at each so far."""
        raise NotImplementedError

    def migration(self):
        return self.cmd('query-migrate')


class LinuxGuest(guest.Guest, Moving):
    """Linux, which checks its memory at every tick."""

    def last(self):
        return self.ticks()[-1][0]

    def goes_on(self, more, limit):
        self.wait_more(len(self.ticks()) + more, limit)
        self.sound_ticks()


class TinyGuest(tinyguest.Tiny, Moving):
    """The guest of 64 KiB."""

    came_from = None

    def start(self):
        try:
            return super().start()
        except Exception as error:
            said = self.log().strip().splitlines()
            raise Failed(said[-1] if said else str(error)) from error

    def cmd(self, command, **arguments):
        try:
            return self.vm.cmd(command, {k.replace('_', '-'): v
                                         for k, v in arguments.items()})
        except Exception as error:
            said = self.log().strip().splitlines()
            if said and not self.vm.is_running():
                raise Failed(f'QEMU ended: {said[-1]}') from error
            raise Failed(f'{command}: {error}') from error

    def last(self):
        return int(self.ticks()[-1][0], 16)

    def goes_on(self, more, limit):
        before = self.came_from.last() if self.came_from else 0
        self.wait_ticks(len(self.ticks()) + more, limit)
        if int(self.ticks()[0][0], 16) <= before:
            raise Failed(f'it went back to {self.ticks()[0][0]} from {before}')


class Place:
    """Where the guests' screens, logs and files lie, and what they run on."""

    def __init__(self, args, folder, cbitpos, chain):
        self.args, self.folder, self.cbitpos = args, folder, cbitpos
        self.chain = chain
        self.build = args.build
        self.binary = args.qemu or self.build / 'obj/qemu-system-x86_64'
        self.lab, self._made = self, 0
        python = str(self.build / 'qemu/python')
        if python not in sys.path:
            sys.path.insert(0, python)
        if not os.access(self.binary, os.X_OK):
            raise Failed(f'{self.binary} is missing; "make build" makes it')

    def name(self, stem):
        self._made += 1
        return f'{self._made:02d}-{stem}'


def properties(place, sev):
    """Of sev-guest: @sev, and where the chain is that this chip does not
    export. The one place that says so: both ends need it, to seal to this
    platform and to answer who it is."""
    words = dict(sev)
    if place.chain:
        words['platform_chain'] = place.chain
    return ''.join(f',{name.replace("_", "-")}={str(value).replace(",", ",,")}'
                   for name, value in words.items())


class TinyKind:
    """Guests of 64 KiB, under KVM."""

    mem, need = 16, 16 * MIB + BESIDE
    limit = 30                  # seconds until it runs, and for its ticks

    def __init__(self, *where):
        self.place = Place(*where)
        self.firmware = self.place.build / 'guest/bookworm/sev-linux.fd'
        if not self.firmware.exists():
            raise Failed(f'{self.firmware} is missing; "tests/guest/build.sh" '
                         'makes it')

    def make(self, stem, incoming=None, came_from=None, **sev):
        """A guest that is launched, or waits; start() and close() are left.
        @sev: more properties of sev-guest"""
        waits = ('-incoming', incoming) if incoming else ()
        made = TinyGuest(
            self.place, stem, '-object', f'sev-guest,id=sev0,cbitpos='
            f'{self.place.cbitpos},reduced-phys-bits=1,policy={POLICY:#x}'
            + properties(self.place, sev), *waits,
            machine='q35,confidential-guest-support=sev0',
            cpu=self.place.args.cpu or 'qemu64', mem=f'{self.mem}M',
            firmware=self.firmware)
        made.came_from = came_from
        return made


class LinuxKind:
    """Debian's cloud kernel; @accel: kvm, or tcg to rehearse without SEV."""

    mem, need = 256, 256 * MIB + BESIDE
    limit = 240

    def __init__(self, *where, accel='kvm'):
        self.place = place = Place(*where)
        self.lab = Lab(place.folder, place.build, place.binary,
                       place.args.firmware)
        self.firmware = self.lab.firmware
        self.shape = Shape(accel=accel, cpu=place.args.cpu or 'EPYC',
                           backend='ram', cbitpos=place.cbitpos)

    def make(self, stem, incoming=None, came_from=None, **sev):
        """The same"""
        shape = dataclasses.replace(self.shape, sev=properties(self.place, sev))
        made = LinuxGuest(self.lab, self.place.name(stem), policy=POLICY,
                          mem=self.mem, ram_file=False, shape=shape,
                          incoming=incoming or False)
        made.came_from = came_from
        return made

    def software_chain(self):
        """To rehearse: a new chip, and what it says of itself"""
        chip = self.lab.host('rehearsal')
        os.environ['SEV_PSP_DIR'] = str(chip.folder)
        answer = chip.platform_certs()
        return [base64.b64decode(answer[f'sev-{part}']) for part in
                ('pdh', 'plat-cert', 'amd-cert')]


def kind_of(args, folder, cbitpos, chain=None):
    """What --guest asks for; @chain: a file, or None"""
    try:
        if args.guest == 'tiny':
            return TinyKind(args, folder, cbitpos, chain)
        if args.guest == 'rehearse':
            return LinuxKind(args, folder, 51, chain, accel='tcg')
        return LinuxKind(args, folder, cbitpos, chain)
    except Skip as skip:
        raise Failed(str(skip)) from skip
