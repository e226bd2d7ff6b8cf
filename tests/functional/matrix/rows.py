# SPDX-License-Identifier: GPL-2.0-or-later
"""The shapes of guest that must boot, and those that are refused in words.

Not every combination: each value of each column, and the pairs that have
something to do with each other (SMM needs q35, the 4 GiB hole needs memory).
"""

import re
from dataclasses import dataclass

import hunt
from sevlib import ACTIVE
from shape import Shape
from verdict import BOOT_LIMIT, Failed, check

NO_TABLE = r'SEV: (kernel specified but )?guest firmware (has no )?hashes table'
NOT_OVMF = r'warning: SEV: this firmware does not say that it knows SEV'
ES_POLICY = 0x4
ES_ACTIVE = r'Memory Encryption Features active: (AMD )?SEV SEV-ES'
LINUX = {'bullseye': '5.10', 'bookworm': '6.1', 'trixie': '6.12',
         'unstable': 'newest'}
COLUMNS = ('linux', 'firmware', 'machine', 'cpu', 'smp', 'tcg', 'MiB',
           'backend', 'nodes')


@dataclass(frozen=True)
class Row:
    shape: Shape = Shape(backend='ram')
    kernel: str = 'bookworm'
    smp: int = 1
    mem: int = 256
    core: bool = False          # in "make check"
    refused: str = ''           # what QEMU has to say instead
    policy: int = 0x1           # bit 2: SEV-ES

    def cells(self):
        shape = self.shape
        return (LINUX[self.kernel],
                shape.firmware + shape.sev.replace(',', '+'), shape.machine,
                shape.cpu, self.smp,
                'single' if 'single' in shape.accel else 'multi', self.mem,
                shape.backend, shape.nodes)

    def name(self):
        linux, firmware, machine, cpu, smp, tcg, mem, *_ = self.cells()
        return (f'Linux {linux}, {machine}, {firmware}, -cpu {cpu}, {smp} '
                f'vCPUs {tcg}, {mem} MiB {self.shape.backend}'
                + (f', {self.shape.nodes} nodes' if self.shape.nodes > 1 else ''))


def row(kernel='bookworm', smp=1, mem=256, core=False, refused='', single=False,
        backend='ram', policy=0x1, **shape):
    accel = 'tcg,thread=single' if single else 'tcg'
    return Row(Shape(backend=backend, accel=accel, **shape), kernel, smp, mem,
               core, refused, policy)


ROWS = (
    # The core: each column has at least two of its values here.
    row(machine='pc', cpu='qemu64', smp=2, single=True, backend='memfd', core=True),
    row(kernel='trixie', firmware='smm', cpu='max', backend='file', core=True),
    row(sev=',kernel-hashes=on', refused=NO_TABLE, core=True),
    row(machine='microvm', firmware='none', refused=NOT_OVMF, core=True),
    # CPU models
    row(smp=4, cpu='EPYC', backend='file'),
    row(machine='pc', cpu='qemu64'),
    row(kernel='trixie', cpu='host', smp=2, single=True, backend='memfd'),
    row(kernel='trixie', firmware='smm', cpu='max', smp=2),
    row(cpu='EPYC-Milan', smp=2),
    row(cpu='host', smp=4),
    row(kernel='trixie', cpu='qemu64', smp=2),
    row(kernel='trixie', cpu='max', smp=4, machine='pc'),
    row(kernel='trixie', cpu='EPYC-Milan', machine='pc', backend='file'),
    # Processors
    row(cpu='max', smp=4, single=True),
    row(kernel='trixie', smp=4, cpu='EPYC'),
    row(machine='pc', smp=4, cpu='EPYC-Milan', single=True),
    # Firmware
    row(firmware='bios', cpu='EPYC', smp=2),
    row(kernel='trixie', firmware='bios', machine='pc', cpu='max'),
    row(firmware='smm', cpu='EPYC-Milan', smp=4),
    row(firmware='amdsev', sev=',kernel-hashes=on', cpu='EPYC'),
    row(kernel='trixie', firmware='amdsev', sev=',kernel-hashes=on', smp=2,
        cpu='max', machine='pc'),
    row(machine='pc', firmware='none', refused=NOT_OVMF),
    # Memory: below and above the hole under 4 GiB, other kinds
    row(kernel='trixie', mem=2304, cpu='EPYC', machine='q35'),
    row(mem=4096, smp=2, cpu='EPYC', machine='pc'),
    row(mem=6144, smp=2, cpu='EPYC-Milan'),
    row(kernel='trixie', mem=6144, smp=4, cpu='max', backend='memfd'),
    row(mem=512, smp=2, backend='hugetlb', cpu='EPYC'),
    row(mem=512, smp=2, nodes=2, cpu='EPYC'),
    row(kernel='trixie', mem=512, smp=4, nodes=2, cpu='host', backend='memfd'),
    row(mem=6144, smp=2, nodes=2, cpu='max', machine='pc'),
)



def es_row(*, firmware='es', policy=0x5, **rest):
    return row(firmware=firmware, policy=policy, **rest)


# SEV-ES: kernels and firmware, old and new, with each number of vCPUs.
ES_ROWS = (
    es_row(kernel='bullseye'),
    es_row(kernel='bullseye', smp=4, cpu='EPYC'),
    es_row(),
    es_row(smp=8, cpu='EPYC'),
    es_row(kernel='trixie', smp=2),
    es_row(kernel='trixie', smp=8, cpu='EPYC-Milan'),
    es_row(kernel='unstable', smp=1, mem=512),
    es_row(kernel='unstable', smp=4, mem=512, cpu='EPYC-Milan'),
    # The newest firmware
    es_row(firmware='es-new', smp=1, mem=512),
    es_row(firmware='es-new', smp=4, mem=512, cpu='EPYC'),
    es_row(kernel='bullseye', firmware='es-new', smp=2, mem=512),
    es_row(kernel='trixie', firmware='es-new', smp=4, mem=512),
    es_row(kernel='unstable', firmware='es-new', smp=2, mem=512, policy=0x7),
    es_row(kernel='unstable', firmware='es-new', smp=8, mem=512),
    # Other machines, CPU models, memory; GHCB version 2
    es_row(smp=2, machine='pc', cpu='qemu64'),
    es_row(smp=2, cpu='max', sev=',legacy-vm-type=off', backend='memfd'),
    es_row(kernel='trixie', smp=4, cpu='host', single=True),
    es_row(smp=2, mem=6144, policy=0x7),
    es_row(kernel='trixie', smp=4, mem=512, nodes=2, cpu='max'),
)

# What the 50 boots in a row are made of.
FOUR_VCPUS = row(smp=4, cpu='EPYC', backend='file')
ES_FOUR_VCPUS = row(smp=4, cpu='EPYC', backend='file', firmware='es', policy=0x5)


def run(lab, host, name, wanted, limit=BOOT_LIMIT):
    """Boot one row, look at it, wait until it powers itself off."""
    guest = lab.guest(name, host=host, shape=wanted.shape, smp=wanted.smp,
                      mem=wanted.mem, ram_file=wanted.shape.backend == 'file',
                      kernel=wanted.kernel, policy=wanted.policy,
                      boot=dict(mib=8, tick=100, poweroff_at=6))
    try:
        if wanted.refused:
            refused(guest, wanted.refused)
            return
        guest.start()
        guest.wait_more(2, limit)
        hits = hunt.backing(guest, lab.needle())
        guest.wait_off(limit)
        ticks = guest.sound_ticks()
        check(len(ticks) == 6, f'it counted to {len(ticks)}, not 6')
        looks(guest, wanted, hits)
    finally:
        guest.close()


def refused(guest, sentence):
    try:
        guest.start()
    except Failed:
        pass                            # refused at once
    check(re.search(sentence, guest.log()),
          f'not refused as agreed: "{guest.log()[-300:]}"')


def looks(guest, wanted, hits):
    """What Linux says of itself."""
    active = ES_ACTIVE if wanted.policy & ES_POLICY else ACTIVE
    check(guest.find_text(active), f'Linux does not say "{active}"')
    found = re.search(rb'smp: Brought up (\d+) nodes?, (\d+) CPU', guest.text())
    check(found and (int(found[1]), int(found[2])) ==
          (wanted.shape.nodes, wanted.smp),
          f'Linux says "{found and found.group().decode()}"')
    found = re.search(rb'Memory: \d+K/(\d+)K', guest.text())
    mib = int(found[1]) >> 10 if found else 0
    check(0.8 * wanted.mem < mib <= wanted.mem,
          f'Linux has {mib} MiB of {wanted.mem}')
    check(not hits, f'the secret is {hits} times in the memory backend')
