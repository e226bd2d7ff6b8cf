# SPDX-License-Identifier: GPL-2.0-or-later
"""A Debian with systemd on a disk image, of SEV and of SEV-ES.

tests/guest/userland.sh makes it.  In "make check-matrix".
"""

import hashlib
import re
import shutil
import subprocess

import bulk
from registry import test
from rows import ES_ACTIVE
from sevlib import ACTIVE
from shape import Shape
from verdict import BOOT_LIMIT, Skip, check

LONG = 6 * BOOT_LIMIT


def written(disk, env):
    """SHA-256 of /var/written, read by e2fsprogs from the image."""
    out = env.lab.large(f'{env.name("written")}')
    subprocess.run(['/sbin/debugfs', '-R', f'dump /var/written {out}', disk],
                   check=True, stderr=subprocess.DEVNULL)
    digest = hashlib.sha256(out.read_bytes()).hexdigest()
    out.unlink()
    return digest


def userland(env, stem, active, **options):
    folder = env.lab.build / 'guest/userland'
    if not folder.exists():
        raise Skip('no guest with systemd; "tests/guest/userland.sh" makes it')
    disk = env.lab.large(f'{env.name(stem)}.disk')
    shutil.copy(folder / 'disk.img', disk)
    guest = env.lab.guest(
        env.name(stem), host=env.host('a'), mem=512, smp=2, kernel='userland',
        ram_file=False, extra=bulk.drive(disk, 'virtio-blk-pci', 0),
        boot=dict(root='/dev/vda', rw=None, swiotlb=32768), **options)
    try:
        guest.start()
        guest.wait_off(LONG)
        check(guest.find_text(active), f'Linux does not say "{active}"')
        said = guest.text().decode('utf-8', 'replace')
        check(re.search(r'^SYSTEM running\r?$', said, re.M),
              f'systemd says {re.findall("SYSTEM.*|.*failed.*", said)}')
        digest = re.search(r'WRITTEN (\w{64})', said)
        check(digest and digest[1] == written(disk, env),
              'the disk has another file than the guest wrote')
    finally:
        guest.close()
        disk.unlink()


@test('state: a Debian with systemd on a disk starts whole, writes, powers off',
      slow=True)
def plain(env):
    userland(env, 'userland', ACTIVE)


@test('es: a Debian with systemd on a disk starts whole, writes, powers off',
      slow=True)
def es(env):
    userland(env, 'userland-es', ES_ACTIVE, shape=Shape(firmware='es'), policy=0x5)
