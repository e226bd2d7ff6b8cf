# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU warns of devices that take private memory of an SEV guest for shared."""

import contextlib

import bulk
from registry import test
from shape import Shape
from verdict import check

# The arguments, and how its warning begins.
WARNED = (
    (('-device', 'vmcoreinfo'), "'vmcoreinfo': Linux' qemu_fw_cfg driver"),
    (('-device', 'intel-iommu'), "'intel-iommu': it reads ciphertext"),
    (('-device', 'virtio-rng-pci,iommu_platform=off'),
     "'virtio-rng-device': with iommu_platform=off"),
    (('-device', 'virtio-balloon-pci'), "'virtio-balloon-device': it has no "),
    (('-device', 'ramfb'), "'ramfb': firmware draws into private memory"),
    (('-device', 'vmgenid'), "'vmgenid': QEMU writes the generation ID"),
)


def said_of(env, name, extra, **options):
    """The warnings of a guest that does not run, but for those of its CPU."""
    made = env.lab.guest(env.name(name), host=env.host('a'),
                         extra=('-S', *extra), **options)
    with contextlib.closing(made):
        made.start()
        return [line.partition('SEV: device ')[2]
                for line in made.log().splitlines() if 'SEV: device ' in line]


@test('device advice: each device that meets ciphertext is named once')
def warned(env):
    extra = [word for words, _ in WARNED for word in words]
    wanted = [begins for _, begins in WARNED]
    said = said_of(env, 'warned', [*extra, '-device',
                                   'virtio-keyboard-pci,iommu_platform=off'])
    for begins in wanted:
        check(sum(line.startswith(begins) for line in said) == 1,
              f'"{begins}" is not said once: {said}')
    check(len(said) == len(wanted), f'more is said: {said}')


@test('device advice: an IOMMU of virtio or of AMD, a diskette that is there')
def others(env):
    floppy, _ = bulk.disk(env.lab, env.name('diskette'), size=1440 << 10)
    for extra, begins, shape in (
            (('-device', 'virtio-iommu-pci'), "'virtio-iommu-device'", Shape()),
            (('-device', 'amd-iommu'), "'amd-iommu'", Shape()),
            (('-drive', f'if=floppy,format=raw,file={floppy}'), "'floppy'",
             Shape(machine='pc'))):
        said = said_of(env, 'other', extra, shape=shape)
        check(len(said) == 1 and said[0].startswith(begins),
              f'instead of {begins}: {said}')


@test('device advice: nothing of devices that work, or without SEV')
def silent(env):
    fine = ['-device', 'virtio-scsi-pci', '-device', 'qemu-xhci', '-device',
            'virtio-gpu-pci', '-device', 'e1000e,romfile=', '-device', 'VGA',
            '-object', 'memory-backend-ram,id=pmem,size=16M', '-device',
            'virtio-pmem-pci,memdev=pmem', '-m', 'maxmem=1G,slots=2']
    said = said_of(env, 'fine', fine)
    check(not said, f'it is said: {said}')
    said = said_of(env, 'off', ['-device', 'vmcoreinfo', '-device',
                                'virtio-balloon-pci'], sev=False)
    check(not said, f'without SEV it is said: {said}')


@test('device advice: a device that is added later is named, too')
def added(env):
    made = env.lab.guest(env.name('later'), host=env.host('a'), extra=(
        '-S', '-device', 'pcie-root-port,id=slot0,chassis=1'))
    with contextlib.closing(made):
        made.start()
        check('SEV: device' not in made.log(), f'before: {made.log()}')
        made.cmd('device_add', driver='virtio-balloon-pci', bus='slot0')
        check("SEV: device 'virtio-balloon-device'" in made.log(),
              f'it says {made.log()}')
