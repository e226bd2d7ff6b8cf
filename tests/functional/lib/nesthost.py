# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest that plays a host: this machine's QEMU and Python in a disk image.

For what a kernel module of the host's must do (vhost_vsock) on a machine that
has it not.  The guest is Debian's cloud kernel under TCG, and the QEMU in it
runs under TCG again: a boot in there takes minutes.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from sevlib import ROOT
from verdict import Failed, check, wait_until

MIB = 1 << 20
DRIVERS = ('virtio_pci', 'virtio_blk', 'vhost_vsock')
FIRMWARE = ('/usr/share/OVMF/OVMF_CODE_4M.fd', '/usr/share/OVMF/OVMF_VARS_4M.fd',
            '/usr/share/seabios/bios-256k.bin', '/usr/share/qemu/kvmvapic.bin',
            '/usr/share/qemu/linuxboot_dma.bin')
INIT = '''#!/bin/busybox sh
B=/bin/busybox
$B mount -t devtmpfs dev /dev
$B mount -t proc proc /proc
for module in $($B cat /modules/order); do $B insmod /modules/$module; done
until [ -b /dev/vda ]; do $B usleep 10000; done
$B mount -t ext4 -o ro,noload /dev/vda /mnt
for folder in dev proc; do $B mount --move /$folder /mnt/$folder; done
$B mkdir /mnt/dev/shm
for folder in dev/shm tmp; do $B mount -t tmpfs -o size=1g t /mnt/$folder; done
$B chroot /mnt /bin/sh /command > /mnt/dev/ttyS0 2>&1
echo "nesthost: ended" > /mnt/dev/ttyS0
$B sync
$B poweroff -f
'''


def needed_by(*programs):
    """Shared libraries, with the loader."""
    said = subprocess.run(['ldd', *map(str, programs)], check=True, text=True,
                          capture_output=True).stdout
    return set(re.findall(r'(?:=> |^\s+)(/\S+) \(0x', said, re.M))


def python_files(*modules):
    """The files of the standard library that @modules load."""
    said = subprocess.run(
        [sys.executable, '-S', '-c', f'import sys, {",".join(modules)}\n'
         'print(*(m.__file__ for m in list(sys.modules.values())\n'
         '        if getattr(m, "__file__", None)), sep="\\n")'],
        check=True, text=True, capture_output=True,
        cwd=ROOT / 'integration/kata').stdout
    files = {Path(line) for line in said.split() if line.startswith('/usr/')}
    return files | set(Path(sys.modules['encodings'].__file__).parent
                       .glob('*.py'))


class NestHost:
    """@files: path in the guest -> file; @command: a shell script in there.

    @modules: what its Python programs import.
    """

    def __init__(self, env, folder, files, command, modules=()):
        self.lab, self.folder = env.lab, folder
        self.screen, self.disk = folder / 'screen', folder / 'disk'
        self.busybox, = (self.lab.kernel / 'root').glob('**/bin/busybox')
        stage = folder / 'stage'
        for path, source in {**self._system(modules), **files}.items():
            target = stage / str(path).lstrip('/')
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
        for name in ('dev', 'proc', 'tmp'):
            (stage / name).mkdir()
        for name in ('sh', 'cat', 'dirname', 'readlink'):
            (stage / 'bin' / name).symlink_to('busybox')
        (stage / 'command').write_text(command, 'utf-8')
        self._make_disk(stage)
        self._make_initrd()

    def _system(self, modules):
        """QEMU, Python, and what they need."""
        python = Path(sys.executable).resolve()
        library = python_files(*modules)
        shared = needed_by(self.lab.binary, python,
                           *(f for f in library if f.suffix == '.so'))
        return {'/bin/busybox': self.busybox, '/usr/bin/python3': python,
                '/usr/local/bin/qemu-system-x86_64': self.lab.binary,
                **{str(f): f for f in (*library, *shared, *FIRMWARE)}}

    def _make_disk(self, stage):
        subprocess.run(['strip', stage / 'usr/local/bin/qemu-system-x86_64'],
                       check=True)
        size = sum(f.stat().st_size for f in stage.rglob('*') if f.is_file())
        subprocess.run(['mke2fs', '-q', '-t', 'ext4', '-O', '^has_journal',
                        '-d', stage, self.disk,
                        f'{size * 5 // 4 // MIB + 16}M'], check=True,
                       stdout=subprocess.DEVNULL)
        shutil.rmtree(stage)

    def _make_initrd(self):
        init = self.folder / 'init'
        init.write_text(INIT, 'utf-8')
        modules, = (self.lab.kernel / 'root').glob('**/lib/modules')
        subprocess.run(
            [sys.executable, ROOT / 'tests/guest/initramfs.py',
             self.folder / 'initrd', modules, init, self.busybox, '--',
             *DRIVERS], check=True)

    def run(self, limit):
        """Until the guest powers off; what its screen says."""
        log = (self.folder / 'log').open('wb')
        with log, subprocess.Popen(
                [self.lab.binary, '-nodefaults', '-no-user-config',
                 '-display', 'none', '-machine', 'q35',
                 '-accel', 'tcg,thread=multi', '-cpu', 'max', '-smp', '2',
                 '-m', '2560', '-kernel', self.lab.kernel / 'vmlinuz',
                 '-initrd', self.folder / 'initrd', '-append',
                 'console=ttyS0 quiet panic=-1', '-no-reboot',
                 '-serial', f'file:{self.screen}',
                 '-drive', f'if=virtio,format=raw,readonly=on,file={self.disk}'],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log) as child:
            try:
                wait_until('end of the nested host', limit,
                           lambda: child.poll() is not None, 0.2)
            except Failed as error:
                raise Failed(f'{error}; last: {self.said()[-300:]}') from None
            finally:
                child.kill()
        said = self.said()
        check('nesthost: ended' in said, f'the nested host says "{said[-300:]}"')
        return said

    def said(self):
        return self.screen.read_text('utf-8', 'replace') \
            if self.screen.exists() else ''
