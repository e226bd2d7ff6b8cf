# SPDX-License-Identifier: GPL-2.0-or-later
"""Devices of an SEV-ES guest: each access to a register of theirs is a #VC."""

import contextlib
import hashlib
import os
import shutil

import bulk
from registry import test
from stress import NETWORK
from test_es import ACTIVE, ES, POLICY
from verdict import BOOT_LIMIT, check

# The name of the disk in the guest, and the device
DISKS = {'/dev/nvme0n1': 'nvme,serial=1', '/dev/vda': 'virtio-blk-pci',
         '/dev/sda': 'ide-hd,bus=ahci.0', '/dev/sdb': 'usb-storage'}


def booted(env, stem, *extra, smp=2, **options):
    guest = env.lab.guest(env.name(stem), host=env.host('a'), mem=512, smp=smp,
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


@test('es: virtio-9p', slow=True)
def ninep(env):
    folder = env.lab.folder / env.name('es-9p')
    folder.mkdir()
    ours = os.urandom(bulk.MIB)
    (folder / 'ours').write_bytes(ours)
    guest = booted(env, 'es-9p', '-fsdev', f'local,id=fs0,path={folder},'
                   'security_model=none', '-device',
                   'virtio-9p-pci,fsdev=fs0,mount_tag=host',
                   kernel='bookworm-generic')
    with contextlib.closing(guest):
        must = guest.shell.must
        must('mount -t 9p -o trans=virtio,version=9p2000.L host /mnt')
        check(must('sha256sum < /mnt/ours').split()[0] ==
              hashlib.sha256(ours).hexdigest(), 'the guest reads otherwise')
        must('head -c 100000 /mnt/ours > /mnt/theirs; sync')
        check((folder / 'theirs').read_bytes() == ours[:100000],
              'the host reads otherwise')
    shutil.rmtree(folder)


# --- Another kernel -----------------------------------------------------------

@test('es: kexec into the same kernel, with one vCPU', slow=True)
def kexec(env):
    name = env.name('es-kexec')
    built = env.lab.kernel
    kernel, initrd = ((built / file).read_bytes()
                      for file in ('vmlinuz', 'tools.img'))
    disk = env.lab.large(f'{name}.boot')
    disk.write_bytes(kernel + initrd + bytes(-len(kernel + initrd) % 512))
    guest = booted(env, 'es-kexec', *bulk.drive(disk, 'virtio-blk-pci', 0), smp=1)
    with contextlib.closing(guest):
        shell = guest.shell
        shell.must(f'head -c {len(kernel)} /dev/vda > /tmp/vmlinuz')
        shell.must(f'tail -c +{len(kernel) + 1} /dev/vda | '
                   f'head -c {len(initrd)} > /tmp/initrd')
        shell.start('/tools kexec /tmp/vmlinuz /tmp/initrd "$(cat /proc/cmdline)"')
        guest.wait_text(ACTIVE, BOOT_LIMIT, times=2)
        guest.wait_text(r'^TICK 2 ', BOOT_LIMIT, times=2)
