# SPDX-License-Identifier: GPL-2.0-or-later
"""One of each device: how an SEV guest gets it, and how one sees that it works.

A probe runs in a guest that has all of them (Debian's generic kernel, 6.12), and
raises Failed, or says what else there is to know.
docs/system/i386/sev-devices.rst has the table.
"""

import contextlib
import hashlib
import os
import re
import struct
import subprocess
import time

import bulk
from bulk import MIB
from verdict import Skip, check, wait_until

SIZES = {'nvme': 9, 'ahci': 10, 'usb-storage': 11, 'pvscsi': 12,
         'virtio-scsi': 13, 'virtio-blk': 14}           # MiB: how they are found
NETS = {'virtio-net-pci': 'virtio_net', 'e1000e': 'e1000e', 'vmxnet3': 'vmxnet3'}
SOUNDS = {'AC97': 'Intel 82801AA', 'virtio-sound-pci': 'VirtIO',
          'hda-output': 'HDA'}          # what Linux calls the card
HEARTBEAT = 2
RANDOM = '80010000000c0000017b0010'         # TPM2_GetRandom, 16 bytes


class Fixture:
    """The arguments of the guest, and what is on the host's side of them."""

    def __init__(self, env):
        self.env, self.lab, self.tpm = env, env.lab, None
        self.name = env.name('zoo')
        self.short = env.short_folder()
        self.disks = {}
        self.args = ['-device', 'virtio-scsi-pci,id=vs', '-device',
                     'pvscsi,id=ps', '-device', 'ich9-ahci,id=sata',
                     '-device', 'qemu-xhci,id=usb']
        for number, (name, device) in enumerate((
                ('nvme', 'nvme,serial=n'), ('ahci', 'ide-hd,bus=sata.0'),
                ('usb-storage', 'usb-storage,bus=usb.0'),
                ('pvscsi', 'scsi-hd,bus=ps.0'),
                ('virtio-scsi', 'scsi-hd,bus=vs.0'),
                ('virtio-blk', 'virtio-blk-pci'))):
            path, sha = bulk.disk(self.lab, f'{self.name}.{name}',
                                  size=SIZES[name] * MIB)
            self.disks[name] = path, sha
            self.args += bulk.drive(path, device, number)
        for number, device in enumerate(NETS):
            self.args += ['-netdev', f'user,id=n{number},net=10.0.{number}.0/24',
                          '-device', f'{device},netdev=n{number},romfile=']
        self._memory()
        self._others()
        self._swtpm()

    def _memory(self):
        self.shared = self.lab.large(f'{self.name}.ivshmem')
        self.pmem, _ = bulk.disk(self.lab, f'{self.name}.pmem', size=16 * MIB)
        for name, path, size in (('shm', self.shared, 1), ('pmem', self.pmem, 16)):
            self.args += ['-object', f'memory-backend-file,id={name},size={size}M,'
                          f'mem-path={path},share=on']
        self.args += ['-device', 'ivshmem-plain,memdev=shm', '-m',
                      'maxmem=2G,slots=2', '-device',
                      'virtio-pmem-pci,memdev=pmem']

    def _others(self):
        self.sound = {}
        self.args += ['-device', 'intel-hda,id=hda']
        for device in SOUNDS:
            name = f'audio{len(self.sound)}'
            path = self.lab.large(f'{self.name}.{device}.wav')
            self.sound[device] = path
            self.args += ['-audiodev', f'wav,id={name},path={path}', '-device',
                          f'{device},audiodev={name}']
        self.args += ['-device', 'VGA,id=std', '-object', 'cryptodev-backend-builtin,id=crypto', '-device',
                      'virtio-crypto-pci,cryptodev=crypto', '-device',
                      'virtio-keyboard-pci,id=keys',
                      '-device', 'i6300esb', '-action', 'watchdog=none',
                      '-device', 'virtio-balloon-pci']

    def _swtpm(self):
        path = f'{self.short}/tpm'
        try:
            os.mkdir(f'{self.short}/tpm-state')
            self.tpm = subprocess.Popen(
                ['swtpm', 'socket', '--tpm2', '--tpmstate',
                 f'dir={self.short}/tpm-state', '--ctrl', f'type=unixio,path={path}',
                 '--flags', 'not-need-init,startup-clear'],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        except FileNotFoundError:
            return                              # the probe says so
        wait_until('socket of swtpm', 20, lambda: os.path.exists(path))
        self.args += ['-chardev', f'socket,id=tpm,path={path}', '-tpmdev',
                      'emulator,id=tpm0,chardev=tpm', '-device',
                      'tpm-crb,tpmdev=tpm0']

    def start(self):
        self.guest = self.lab.guest(
            self.name, host=self.env.host('a'), mem=512, shell=True,
            kernel='trixie-generic', extra=self.args, initrd='devices.img')
        self.guest.start()
        self.guest.wait_text(r'^TICK 1 ', 300)
        self.must = self.guest.shell.must

    def close(self):
        self.guest.close()
        if self.tpm:
            self.tpm.kill()
            self.tpm.wait()


# --- Disks and networks --------------------------------------------------------

def disk(made, name):
    """Read all of it, write the half of it turned around, look at the image."""
    path, sha = made.disks[name]
    sectors = SIZES[name] * 2048
    device = made.must(f'grep -lx {sectors} /sys/block/*/size').split('/')[3]
    bulk.both_ways(made, f'/dev/{device}', path, sha)


def network(made, device):
    number = list(NETS).index(device)
    links = made.must('ls -l /sys/class/net/*/device/driver').splitlines()
    found = [line for line in links if line.endswith('/' + NETS[device])]
    check(found, f'no interface of {NETS[device]}: {links}')
    name = re.search(r'/sys/class/net/(\w+)/', found[0]).group(1)
    with bulk.Server(MIB) as server:
        url = server.url.replace('10.0.2.2', f'10.0.{number}.2')
        got = made.must(f'ip addr add 10.0.{number}.15/24 dev {name}; '
                        f'ip link set {name} up; sleep 3; '
                        f'wget -q -O - {url} | sha256sum')
    check(got.split()[0] == server.sha256, 'received bytes differ')


# --- Memory that is a device's -------------------------------------------------

def bar_as_dev_mem(made, vendor, device, bar):
    """Let devmem map a PCI device's BAR as a driver in user space does."""
    slot = made.must(f'cd /sys/bus/pci/devices; for d in *; do '
                     f'grep -qx {vendor} $d/vendor && grep -qx {device} '
                     '$d/device && echo $d; done; true').split()[0]
    made.must(f'cd /sys/bus/pci/devices/{slot}; echo 1 > enable; '
              f'mount --bind resource{bar} /dev/mem')


def ivshmem(made):
    bar_as_dev_mem(made, '0x1af4', '0x1110', 2)
    try:
        with open(made.shared, 'r+b', buffering=0) as f:
            f.write(b'\x78\x56\x34\x12')
            said = made.must('devmem 0 32')
            check(int(said, 16) == 0x12345678, f'the guest reads {said}')
            made.must('devmem 4 32 0xcafe0001')
            f.seek(4)
            check(f.read(4) == b'\x01\x00\xfe\xca',
                  'the host reads something else')
    finally:
        made.must('umount /dev/mem')


def pmem(made):
    """Linux maps it shared: both sides read what the other wrote."""
    host = made.pmem.read_bytes()[:MIB]
    said = made.must('head -c 1048576 /dev/pmem0 | sha256sum').split()[0]
    check(said == hashlib.sha256(host).hexdigest(), 'the guest reads noise')
    made.must('dd if=/bin/busybox of=/dev/pmem0 bs=64k count=16 conv=fsync '
              '2> /dev/null')
    check(made.must('head -c 1048576 /bin/busybox | sha256sum').split()[0] ==
          hashlib.sha256(made.pmem.read_bytes()[:MIB]).hexdigest(),
          'the host reads something else')


# --- Screens, keys, sounds -----------------------------------------------------

def screen(made, device, name):
    """A white screen, written to its frame buffer, is what the host sees."""
    lines = made.must('cd /sys/class/graphics; for f in fb*; do test -e $f/name && '
                      'echo $f $(cat $f/name $f/virtual_size); done; true')
    found = re.search(rf'^(fb\d+) {name}\S* (\d+),(\d+)', lines, re.M)
    check(found, f'no frame buffer of {name}: {lines}')
    pixels = int(found[2]) * int(found[3])
    made.must(f'head -c {4 * pixels} /dev/zero | tr "\\000" "\\377" > /tmp/white; '
              f'dd if=/tmp/white of=/dev/{found[1]} bs=64k 2> /dev/null; true')
    path = made.lab.large(f'{made.name}.{device}.ppm')

    def white():
        made.guest.cmd('screendump', filename=str(path), device=device)
        data = path.read_bytes()[-3 * 200000:]
        return data.count(b'\xff') > 0.9 * len(data)
    wait_until(f'a white screen of {device}', 20, white)


class Screen:
    """A guest with one screen: Linux lights only that of its console."""

    def __init__(self, env, device):
        self.lab, self.name = env.lab, env.name('screen')
        self.guest = env.lab.guest(
            self.name, host=env.host('a'), mem=384, shell=True,
            kernel='trixie-generic', initrd='devices.img',
            extra=['-device', f'{device},id=screen'])

    def look(self, driver):
        with contextlib.closing(self.guest):
            self.guest.start()
            self.guest.wait_text(r'^TICK 1 ', 300)
            self.must = self.guest.shell.must
            screen(self, 'screen', driver)


def keys(made):
    made.must('for e in /dev/input/event*; do dd if=$e of=/tmp/${e##*/} bs=24 '
              'count=1 2> /dev/null & done; true')
    time.sleep(1)
    for down in (True, False):
        made.guest.cmd('input-send-event', events=[
            {'type': 'key', 'data': {'down': down,
                                     'key': {'type': 'qcode', 'data': 'a'}}}])
    wait_until('a key in the guest', 20, lambda: made.guest.shell.run(
        'cat /tmp/event* | xxd -p | grep -q 01001e0001000000')[0] == 0)


def sound(made, device):
    """What the host records is not silence."""
    card = SOUNDS[device]
    cards = made.must('cat /proc/asound/cards')
    found = re.search(rf'^ *(\d+) .*\n?.*{card}', cards, re.M)
    check(found, f'no card "{card}": {cards}')
    minor = 'dsp' + found[1].lstrip('0')
    made.must("awk 'BEGIN { for (i = 0; i < 40000; i++) printf \"%s\", "
              "i % 40 < 20 ? \"A\" : \"z\" }' > /tmp/tone; "
              f'cat /tmp/tone > /dev/{minor}', 120)
    wait_until(f'sound of {device}', 20,
               lambda: len(set(made.sound[device].read_bytes()[44:])) > 1)


# --- The rest ------------------------------------------------------------------

def tpm(made):
    if not made.tpm:
        raise Skip('no swtpm')
    said = [made.must(f'(exec 5<>/dev/tpm0; echo {words} | xxd -r -p >&5; '
                      'dd bs=4096 count=1 <&5 2> /dev/null | xxd -p -c 64)')
            for words in (RANDOM, RANDOM)]
    for line in said:
        data = bytes.fromhex(line.replace('\n', ''))
        check(struct.unpack('>HII', data[:10]) == (0x8001, 28, 0),
              f'it answers {line}')
    check(said[0] != said[1], 'it says the same twice')


def watchdog(made):
    made.must(f'(watchdog -F -T {HEARTBEAT} -t 1 /dev/watchdog & sleep 2; '
              'kill -9 $!) > /dev/null 2>&1')
    made.guest.wait_event('WATCHDOG', 30)


def crypto(made):
    """Linux' own test of it fails, as it does without SEV with bounce buffers
    (iommu_platform=on, swiotlb=force): its driver's fault, and so on silicon."""
    said = made.must('dmesg | grep "alg: .*virtio_crypto" || true')
    check('wrong result' in said, 'it works: LIMITATIONS.md and sev-devices.rst are to '
          f'be changed; Linux says "{said}"')
    return "Linux refuses the device's cipher"


def balloon(made):
    said = made.must('dmesg')
    check('device must provide VIRTIO_F_ACCESS_PLATFORM' in said,
          'Linux does not refuse it')
    check("SEV: device 'virtio-balloon-device': it has no effect" in
          made.guest.log(), 'QEMU does not warn')
    return 'refused by Linux, QEMU warns'


def probes():
    """{name: probe} of the guest that has everything."""
    found = {name: lambda made, name=name: disk(made, name) for name in SIZES}
    found |= {name: lambda made, name=name: network(made, name)
              for name in NETS}
    found |= {name: lambda made, name=name: sound(made, name) for name in
              SOUNDS}
    return found | {
        'virtio-crypto-pci': crypto,
        'ivshmem-plain': ivshmem, 'virtio-pmem-pci': pmem, 'tpm-crb': tpm,
        'VGA': lambda made: screen(made, 'std', 'bochs'),
        'virtio-keyboard-pci': keys,
        'i6300esb': watchdog, 'virtio-balloon-pci': balloon}


# Screens beside VGA, and the name of their frame buffer
SCREENS = {'virtio-gpu-pci': 'virtio_gpu'}

# Those that stop a guest: arguments, image, warning, what Linux says before.
HANGS = (
    ('vmcoreinfo', ('-device', 'vmcoreinfo'), 'tools.img',
     "'vmcoreinfo': Linux' qemu_fw_cfg driver",
     'Memory Encryption Features active: AMD SEV'),
    ('intel-iommu', ('-device', 'intel-iommu'), 'devices.img',
     "'intel-iommu': it reads ciphertext",
     'DMAR: VT-d detected Invalidation Queue Error'),
)
