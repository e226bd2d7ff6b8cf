# SPDX-License-Identifier: GPL-2.0-or-later
"""Devices of an SEV-ES guest: each access to a register of theirs is a #VC."""

import bulk
from registry import test
from stress import NETWORK
from test_es import ES, POLICY
from verdict import check

# The name of the disk in the guest, and the device
DISKS = {'/dev/nvme0n1': 'nvme,serial=1', '/dev/vda': 'virtio-blk-pci',
         '/dev/sda': 'ide-hd,bus=ahci.0', '/dev/sdb': 'usb-storage'}


def booted(env, stem, *extra, **options):
    guest = env.lab.guest(env.name(stem), host=env.host('a'), mem=512, smp=2,
                          shell=True, shape=ES, policy=POLICY, extra=extra,
                          boot=dict(address='10.0.2.15/24'), **options)
    guest.start()
    guest.wait_text(r'^TICK 2 ')
    guest.shell.again()
    return guest


@test('es: virtio disk, network and port')
def virtio(env):
    disk, digest = bulk.disk(env.lab, f'{env.name("es")}.blk')
    guest = booted(env, 'es-virtio', *bulk.drive(disk, 'virtio-blk-pci', 0),
                   *NETWORK)
    bulk.both_ways(guest.shell, '/dev/vda', disk, digest)
    guest.shell.must('ping -c 2 -W 10 10.0.2.2')
    guest.close()


@test('es: NVMe, AHCI, USB and e1000e', slow=True)
def registers(env):
    extra, images = ['-device', 'ahci,id=ahci', '-device', 'qemu-xhci'], {}
    for number, (name, device) in enumerate(DISKS.items()):
        images[name] = bulk.disk(env.lab, f'{env.name("es")}.disk')
        extra += bulk.drive(images[name][0], device, number)
    guest = booted(env, 'es-mmio', *extra, '-netdev', 'user,id=net', '-device',
                   'e1000e,netdev=net,romfile=', kernel='bookworm-generic')
    guest.shell.must('until [ -b /dev/sdb ]; do usleep 100000; done')
    for name, (image, digest) in images.items():
        bulk.both_ways(guest.shell, name, image, digest)
    guest.shell.must('ping -c 2 -W 10 10.0.2.2')
    check(not guest.find_text('#VC'), 'its console complains of a #VC')
    guest.close()
