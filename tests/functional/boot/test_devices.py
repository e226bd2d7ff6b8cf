# SPDX-License-Identifier: GPL-2.0-or-later
"""Devices of an SEV guest move the right bytes (iommu_platform=on by default).

One guest has most of them; the tests take turns with it.
"""

import contextlib
import hashlib
import os
import shutil
import socket
import subprocess
from pathlib import Path

import bulk
from bulk import MIB
from registry import test
from shape import Shape
from stress import NETWORK
from verdict import Failed, Skip, check, wait_until
from vhostproxy import Proxy

_guests = {}                    # Env -> Zoo


class Zoo:
    """A guest with one of each."""

    def __init__(self, env):
        lab, self.name = env.lab, env.name('devices')
        self.disk, self.disk_sha = bulk.disk(lab, f'{self.name}.blk')
        self.scsi, self.scsi_sha = bulk.disk(lab, f'{self.name}.scsi')
        self.rng = lab.large(f'{self.name}.rng')
        self.rng.write_bytes(os.urandom(MIB))
        self.blob = lab.large(f'{self.name}.fw_cfg')
        self.blob.write_bytes(os.urandom(100000))
        self.port = lab.large(f'{self.name}.port')
        extra = [*bulk.drive(self.disk, 'virtio-blk-pci,serial=BLK', 0),
                 '-device', 'virtio-scsi-pci,id=scsi',
                 *bulk.drive(self.scsi, 'scsi-hd,bus=scsi.0', 1), *NETWORK,
                 '-object', f'rng-random,id=rng1,filename={self.rng}',
                 '-device', 'virtio-rng-pci,rng=rng1',
                 '-chardev', f'socket,id=port,path={self.port},server=on,'
                 'wait=off', '-device', 'virtio-serial-pci,id=serial-bus',
                 '-device', 'virtserialport,bus=serial-bus.0,nr=1,'
                 'chardev=port,name=test',
                 '-fw_cfg', f'name=opt/test/blob,file={self.blob}']
        self.guest = lab.guest(self.name, host=env.host('a'), mem=384, smp=2,
                               shell=True, boot=dict(address='10.0.2.15/24'),
                               extra=extra)
        self.guest.start()
        self.boots = 0
        self.up()
        self.must = self.guest.shell.must

    def up(self):
        self.boots += 1
        self.guest.wait_text(r'^TICK 2 ', times=self.boots)
        self.guest.shell.again()


def zoo(env):
    if env not in _guests:
        _guests[env] = Zoo(env)
    return _guests[env]


def has_access_platform(must):
    features = must('cat /sys/bus/virtio/devices/*/features')
    check(features and all(line[33] == '1' for line in features.splitlines()),
          f'VIRTIO_F_ACCESS_PLATFORM is not on everywhere: {features}')


@test('device: virtio devices of an SEV guest use the platform\'s IOMMU')
def access_platform(env):
    has_access_platform(zoo(env).must)


@test('device: virtio-blk', sev=False)
def block(env):
    made = zoo(env)
    bulk.both_ways(made, '/dev/vda', made.disk, made.disk_sha)


@test('device: virtio-scsi', sev=False)
def scsi(env):
    made = zoo(env)
    bulk.both_ways(made, '/dev/sda', made.scsi, made.scsi_sha)


@test('device: virtio-net with the user network', sev=False)
def net(env):
    made = zoo(env)
    with bulk.Server() as server:
        got = made.must(f'wget -q -O - {server.url} | tee /tmp/net | sha256sum')
        check(got.split()[0] == server.sha256, 'received bytes differ')
        # as text: busybox posts no more than a string
        sent = made.must('base64 /tmp/net > /tmp/text; sha256sum < /tmp/text; '
                         f'wget -q -O - --post-file=/tmp/text {server.url}')
        check(sent.split()[0] == sent.split()[-1], 'sent bytes differ')


@test('device: virtio-rng hands over the host\'s bytes', sev=False)
def rng(env):
    made = zoo(env)
    names = made.must('cat /sys/class/misc/hw_random/rng_available').split()
    found = False
    for name in names:
        made.must(f'echo {name} > /sys/class/misc/hw_random/rng_current')
        said = made.must('dd if=/dev/hwrng bs=32 count=4 2> /dev/null | '
                         'xxd -p | tr -d "\\n"')
        data, source = bytes.fromhex(said), made.rng.read_bytes()
        found |= any(data[at:at + 16] in source
                     for at in range(0, len(data), 16))
    check(found, f'none of {names} reads what the host\'s source holds')


@test('device: virtio-serial', sev=False)
def serial(env):
    made = zoo(env)
    data = os.urandom(200000)
    with socket.socket(socket.AF_UNIX) as port:
        port.settimeout(60)
        port.connect(str(made.port))
        name = made.must('grep -l "^test$" /sys/class/virtio-ports/*/name')
        device = '/dev/' + name.split('/')[-2]
        made.must(f'head -c {len(data)} {device} > /tmp/port &')
        port.sendall(data)
        sha = hashlib.sha256(data).hexdigest()
        check(made.must('wait; sha256sum < /tmp/port').split()[0] == sha,
              'the guest received something else')
        made.must(f'cat /tmp/port > {device} &')
        back = b''
        while len(back) < len(data):
            back += port.recv(65536)
        check(back == data, 'the guest sent something else')


@test('device: fw_cfg, ACPI tables', sev=False)
def firmware_tables(env):
    made = zoo(env)
    blob = '/sys/firmware/qemu_fw_cfg/by_name/opt/test/blob/raw'
    check(made.must(f'sha256sum < {blob}').split()[0] ==
          bulk.digest(made.blob), 'fw_cfg: the blob differs')
    tables = made.must('ls /sys/firmware/acpi/tables').split()
    check({'DSDT', 'FACP', 'APIC', 'MCFG'} <= set(tables),
          f'ACPI tables are {tables}')
    said = made.must('dmesg | grep -iE "ACPI.*(error|invalid checksum)" || true')
    check(not said, f'Linux says: {said}')


@test('device: flash keeps a UEFI variable over a reboot', sev=False)
def variables(env):
    made = zoo(env)
    mark = os.urandom(16).hex()
    name = '/mnt/SevTest-12345678-1234-1234-1234-123456789abc'
    made.must('mount -t efivarfs none /mnt')
    made.must(f'printf "\\\\007\\\\000\\\\000\\\\000{mark}" > {name}')
    check(mark.encode() in made.guest.variables.read_bytes(),
          'the variable is not in the flash file')
    made.guest.shell.start('reboot -f')
    made.up()
    made.must('mount -t efivarfs none /mnt')
    check(mark in made.must(f'cat {name} | tail -c +5'),
          'the variable is gone after a reboot')
    made.must('umount /mnt')


def shared_folder(env, mount, **options):
    """A folder of the host's: each side reads what the other wrote."""
    folder = env.lab.folder / 'shared'
    folder.mkdir(exist_ok=True)         # a daemon may be in it already
    ours = os.urandom(3 * MIB)
    (folder / 'ours').write_bytes(ours)
    try:
        guest = env.boot('folder', shell=True, **options)
        with contextlib.closing(guest):
            must = guest.shell.must
            if guest.sev:
                has_access_platform(must)
            must(f'mount {mount} /mnt')
            check(must('sha256sum < /mnt/ours').split()[0] ==
                  hashlib.sha256(ours).hexdigest(), 'the guest reads otherwise')
            must('tac /mnt/ours > /mnt/theirs; sync')
            sha = must('tac /mnt/ours | sha256sum').split()[0]
            check(bulk.digest(folder / 'theirs') == sha,
                  'the host reads otherwise')
    finally:
        shutil.rmtree(folder)


@test('device: virtio-9p', sev=False, slow=True)
def ninep(env):
    folder = env.lab.folder / 'shared'
    shared_folder(env, '-t 9p -o trans=virtio,version=9p2000.L host',
                  kernel='bookworm-generic', extra=(
                      '-fsdev', f'local,id=fs0,path={folder},'
                      'security_model=none', '-device',
                      'virtio-9p-pci,fsdev=fs0,mount_tag=host'))


@contextlib.contextmanager
def virtiofsd(env):
    """The socket of a daemon that serves the shared folder."""
    daemon = env.lab.build / 'guest/extras/virtiofsd'
    if not daemon.exists():
        raise Skip('no virtiofsd; "tests/guest/extras.sh" fetches it')
    if os.geteuid():
        raise Skip('virtiofsd wants root')
    path = Path(env.short_folder()) / 'virtiofsd'
    folder = env.lab.folder / 'shared'
    folder.mkdir(exist_ok=True)
    process = subprocess.Popen(
        [daemon, f'--socket-path={path}', '-o', f'source={folder}',
         '-o', 'sandbox=chroot', '-o', 'cache=none', '-f'],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until('socket of virtiofsd', 20, path.exists)
        yield path
    finally:
        process.kill()
        process.wait()
        path.unlink(missing_ok=True)


def virtiofs_device(path):
    return ('-chardev', f'socket,id=fs,path={path}', '-device',
            'vhost-user-fs-pci,chardev=fs,tag=host')


@test('device: virtiofsd alone is refused to an SEV guest, as under KVM',
      slow=True)
def virtiofs_refused(env):
    with virtiofsd(env) as path:
        guest = env.lab.guest('refused', host=env.host('a'), ram_file=False,
                              shape=Shape(backend='memfd'),
                              extra=virtiofs_device(path))
        with contextlib.closing(guest), contextlib.suppress(Failed):
            guest.start()
        check('iommu_platform=true is not supported by the device'
              in guest.log(), f'not refused: {guest.log()[-300:]}')


@test('device: vhost-user with virtiofsd', sev=False, slow=True)
def virtiofs(env):
    with virtiofsd(env) as daemon, contextlib.ExitStack() as stack:
        path = Path(env.short_folder()) / 'proxy'
        stack.enter_context(contextlib.closing(Proxy(path, daemon)))
        shared_folder(env, '-t virtiofs host', ram_file=False,
                      shape=Shape(backend='memfd'),
                      extra=virtiofs_device(path))
        path.unlink()
