#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A desktop's domain, as virt-install writes it by default, under our QEMU.

usage: desktop.py [--build DIR] [--keep]       as root, after "make deb"

Nothing of it is chosen here but the kernel, and a file instead of the console's PTY:
SPICE, its channels, sound, USB redirection, TPM, random numbers and balloon are
virt-install's choice.  The QEMU is the one of the packages.
"""

import re
import shutil
import sys

import steps
from domain import Domain
from hosts import USER, Failed, SessionHost, run

OWN = 'deb/sev-clone-{version}/debian/tmp/usr/lib/sev-clone'
GUEST = 'console=ttyS0 swiotlb=32768 seed=5eed mib=16 tick=200'
# What virt-manager's wizard adds for a Linux guest: virt-install's own defaults, and
# the devices that it writes into every desktop's domain.
WORDS = ('--print-xml', '--osinfo', 'debian11', '--name', 'sev1', '--memory', '512',
         '--vcpus', '2', '--virt-type', 'qemu', '--import', '--graphics', 'spice',
         '--channel', 'spicevmc', '--channel',
         'unix,target.type=virtio,target.name=org.qemu.guest_agent.0', '--sound', 'ich9', '--tpm', 'emulator',
         '--redirdev', 'usb,type=spicevmc', '--redirdev', 'usb,type=spicevmc',
         '--network', 'user')
VIDEOS = ('virtio', 'qxl')
DEVICES = ('qxl-vga|virtio-vga', 'usb-redir', 'virtio-balloon-pci', 'virtio-rng-pci',
           'hda-duplex|hda-micro', 'tpm-crb|tpm-tis', 'virtserialport.*spice',
           'virtserialport.*guest_agent', 'qemu-xhci')
SEV = """<launchSecurity type='sev'><policy>0x0001</policy></launchSecurity>
</domain>"""


class Trial:
    """One host; a domain with each of the two screens, and one with SEV."""

    def __init__(self, folder, build):
        self.folder, self.build = folder, build
        self.host = SessionHost(folder, 1)
        found = sorted(build.glob(OWN.format(version='*')))
        if not found:
            raise Failed(f'{build}/deb has no unpacked packages; run "make deb"')
        shutil.copytree(found[-1], folder / 'own', symlinks=True)
        (folder / 'bin').symlink_to('own/bin')
        self.emulator = folder / 'own/bin/qemu-system-x86_64'
        for name in ('vmlinuz', 'initrd.img'):
            shutil.copy(build / 'guest/bookworm' / name, folder / name)
        run(['/usr/bin/truncate', '-s', '64M', folder / 'disk.raw'])
        self.domain = Domain('sev1', folder / 'screen', self.hosts())
        for path in (folder, *folder.rglob('*')):
            if not path.is_symlink():
                shutil.chown(path, USER, 'nogroup')
        (self.host.folder / 'run').chmod(0o700)

    def hosts(self):
        return (self.host,)

    def steps(self):
        for video in VIDEOS:
            yield f'virt-install\'s domain with {video} video: the guest counts', \
                lambda v=video: self.starts(v)
            yield f'{video}: each device that it wrote is there', self.devices
            yield f'{video}: destroy, undefine', self.ends
        yield 'the same with launchSecurity: the guest counts with SEV', self.sev

    def xml(self, video):
        """What virt-install prints, with the console in a file."""
        text = run(['virt-install', '--connect', self.host.uri, *WORDS,
                    '--video', video, '--disk', f'{self.folder}/disk.raw',
                    '--boot', f'kernel={self.folder}/vmlinuz,'
                    f'initrd={self.folder}/initrd.img,kernel_args="{GUEST}",'
                    f'emulator={self.emulator}'])
        text = re.sub(r'<console type="pty"/>', '<serial type="file"><source path='
                      f'"{self.domain.screen}" append="on"/></serial>', text)
        if str(self.domain.screen) not in text:
            raise Failed(f'virt-install wrote no console: {text}')
        return text

    def define(self, text):
        path = self.folder / 'domain.xml'
        path.write_text(text, 'utf-8')
        self.host.virsh('define', '--validate', path)
        self.host.virsh('start', 'sev1')

    def starts(self, video):
        self.domain.screen.write_bytes(b'')
        self.define(self.xml(video))
        return self.domain.counts_on()

    def devices(self):
        """libvirt's log has the command line that it made of the domain."""
        line = self.host.log('sev1').read_text('utf-8', 'replace')
        line = line[line.rindex('starting up'):]
        lacks = [one for one in DEVICES if not re.search(one, line)]
        if lacks:
            raise Failed(f'not on the command line: {", ".join(lacks)}')
        ask = 'qemu-monitor-command', '--hmp', 'sev1'
        seen = self.host.virsh(*ask, 'info qtree')
        spice = self.host.virsh(*ask, 'info spice')
        if 'Server:' not in spice:
            raise Failed(f'no SPICE server: {spice.strip()}')
        return f'{seen.count("dev: ")} devices'

    def ends(self):
        self.host.virsh('destroy', 'sev1')
        self.host.virsh('undefine', 'sev1')

    def sev(self):
        """The wizard has no field for it: one line of XML, and OVMF."""
        text = self.xml(VIDEOS[0]).replace('</domain>', SEV)
        text = re.sub(r'(<os[^>]*>)', r"\1<loader readonly='yes' type='pflash' "
                      "stateless='yes'>/usr/share/OVMF/OVMF_CODE_4M.fd</loader>", text)
        # libvirt asks for the IOMMU of each virtio device of such a guest.
        self.domain.screen.write_bytes(b'')
        self.define(text)
        return self.domain.boots()


if __name__ == '__main__':
    sys.exit(steps.main(__doc__.splitlines()[0], Trial,
                        ('libvirtd', 'virsh', 'virt-install'),
                        emulator='deb/build/obj/qemu-system-x86_64'))
