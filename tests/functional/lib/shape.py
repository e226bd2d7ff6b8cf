# SPDX-License-Identifier: GPL-2.0-or-later
"""What a guest looks like from outside: machine, CPU, memory, firmware."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from verdict import Skip

SECURE = Path('/usr/share/OVMF/OVMF_CODE_4M.secboot.fd')
# Debian 12's build of 4 MiB is 32-bit code up to DXE, which has no VMGEXIT.
ES = Path('/usr/share/OVMF/OVMF_CODE.fd')


@dataclass(frozen=True)
class Shape:
    """Everything but size and SEV; the default is what most tests use.

    @firmware: 'split' (code and variables in two flash chips), 'bios' (one
    file, copied to RAM), 'smm' (secure-boot build, variables behind SMM),
    'amdsev' (one file, with a table of kernel hashes), 'es' (a build that is
    64-bit code throughout), 'es-new' (the newest of those), 'none' (the machine's
    own).
    @backend: 'file' (a RAM file, if the guest has one), 'ram', 'memfd',
    'hugetlb', 'shared:PATH' and 'private:PATH' (that file, share=on or off).
    """
    machine: str = 'q35'
    cpu: str = 'EPYC-v4'
    accel: str = 'tcg'
    backend: str = 'file'
    nodes: int = 1
    firmware: str = 'split'
    sev: str = ''               # more properties of sev-guest
    cbitpos: int = 51           # under KVM the host's

    @property
    def rng(self):
        return 'virtio-rng-' + ('device' if self.machine == 'microvm' else 'pci')

    def machine_args(self, mem, smp, ram):
        """(arguments, value of -machine) for @mem MiB; @ram: a file or None."""
        args = ['-accel', self.accel, '-cpu', self.cpu, '-m', f'{mem}M',
                '-smp', str(smp)]
        machine = self.machine + (',smm=on' if self.firmware == 'smm' else '')
        if self.nodes == 1:
            return [*args, '-object', self._backend('ram', mem, ram)], \
                machine + ',memory-backend=ram'
        for node in range(self.nodes):
            cpus = ','.join(f'cpus={cpu}' for cpu in range(smp)
                            if cpu % self.nodes == node)
            args += ['-object',
                     self._backend(f'ram{node}', mem // self.nodes, None),
                     '-numa', f'node,memdev=ram{node}'
                     + (f',{cpus}' if cpus else '')]
        return args, machine

    def _backend(self, name, mem, ram):
        tail = f'id={name},size={mem}M'
        if self.backend == 'memfd':
            return f'memory-backend-memfd,{tail},share=on'
        if self.backend == 'hugetlb':
            return f'memory-backend-memfd,{tail},hugetlb=on,hugetlbsize=2M'
        if ':' in self.backend:
            share, _, path = self.backend.partition(':')
            return (f'memory-backend-file,{tail},mem-path={path},'
                    f'share={"on" if share == "shared" else "off"}')
        if self.backend == 'file' and ram:
            return f'memory-backend-file,{tail},share=on,mem-path={ram}'
        touched = ',prealloc=on' if self.backend == 'prealloc' else ''
        return f'memory-backend-ram,{tail}{touched}'

    def firmware_args(self, lab, variables):
        """@variables: where this guest's own copy of them is to lie."""
        if self.firmware == 'none':
            return []
        if self.firmware in ('bios', 'amdsev'):
            return ['-bios', str(self._single_file(lab))]
        newest = lab.build / 'guest/extras/OVMF_CODE_4M.fd'
        code = {'smm': SECURE, 'es': ES, 'es-new': newest}.get(self.firmware,
                                                               lab.firmware)
        if not code.exists():
            raise Skip(f'no {code}; "tests/guest/extras.sh" fetches it' if
                       code == newest else f'no {code}; install the package ovmf')
        # Code in the first flash is measured and encrypted; variables are not.
        shutil.copy(code.with_name(code.name.replace('CODE', 'VARS'))
                    if code in (ES, newest) else lab.variables, variables)
        secure = ['-global', 'driver=cfi.pflash01,property=secure,value=on']
        return [*(secure if self.firmware == 'smm' else []),
                '-drive', f'if=pflash,unit=0,format=raw,readonly=on,file={code}',
                '-drive', f'if=pflash,unit=1,format=raw,file={variables}']

    def _single_file(self, lab):
        name = {'bios': 'OVMF.fd', 'amdsev': 'OVMF.amdsev.fd'}[self.firmware]
        path = lab.build / 'guest/extras' / name
        if not path.exists():
            raise Skip(f'no {name}; "tests/guest/extras.sh" fetches it')
        return path
