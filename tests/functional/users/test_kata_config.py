# SPDX-License-Identifier: GPL-2.0-or-later
"""The configuration files for Kata, against what the runtime made of them."""

import re
import sys
import tomllib

from registry import test
from sevlib import ROOT
from verdict import check

sys.path.insert(1, str(ROOT / 'integration/kata'))
import player                           # noqa: E402

TCG, SEV = 'configuration-tcg.toml', 'configuration-sev.toml'


def keys(name):
    return tomllib.loads((player.HERE / name).read_text('utf-8'))


def option(words, name):
    """The values of an option on a command line."""
    return [value for word, value in zip(words, words[1:]) if word == name]


def expected(qemu):
    """What the runtime writes for these keys, by option, on a host that is
    itself a VM, where the recordings were made."""
    sev = qemu['confidential_guest']
    machine = [qemu['machine_type'], 'accel=kvm']
    if sev:
        machine += ['kernel_irqchip=split', 'confidential-guest-support=sev']
    machine += filter(None, [qemu['machine_accelerators']])
    nested = 'false' if qemu['disable_nesting_checks'] else 'true'
    firmware = [f'if=pflash,format=raw,readonly=on,file={qemu["firmware"]}']
    return {
        '-machine': [','.join(machine)],
        '-cpu': [f'host,{qemu["cpu_features"]}'],
        '-drive': firmware if sev else [],
        'sev-guest': ['sev-guest,id=sev,cbitpos=51,reduced-phys-bits=1'] * sev,
        'scsi': [f'virtio-scsi-pci,id=scsi0,disable-modern={nested}'],
        'shared': [],
        'vcpus': [str(qemu['default_vcpus'])],
    }


def recorded(case, role):
    words = player.recorded(case, role)
    devices = option(words, '-device')
    return {
        '-machine': option(words, '-machine'),
        '-cpu': option(words, '-cpu'),
        '-drive': option(words, '-drive'),
        'sev-guest': [o for o in option(words, '-object') if 'sev' in o],
        'scsi': [d for d in devices if 'scsi' in d],
        'shared': [d for d in devices if re.search('9p|user-fs', d)],
        'vcpus': [smp.split(',')[0] for smp in option(words, '-smp')],
    }


def compare(name, cases, **changed):
    qemu = {**keys(name)['hypervisor']['qemu'], **changed}
    for case in cases:
        for role in ('template', 'clone'):
            want, seen = expected(qemu), recorded(case, role)
            for what, words in want.items():
                check(seen[what] == words, f'{name} asks for {what} {words}, '
                      f'{case}.{role} was recorded with {seen[what]}')


@test('kata: the configuration for hosts without SEV is the recorded one',
      sev=False)
def without_sev(_env):
    compare(TCG, ['sev-by-machine-4.1.0'])


@test('kata: the configuration for hosts with SEV is the recorded one',
      sev=False)
def with_sev(_env):
    compare(SEV, ['sev-3.18.0', 'sev-4.1.0-snp-host'],
            machine_accelerators='accel=tcg')
    qemu = keys(SEV)['hypervisor']['qemu']
    check(not qemu['machine_accelerators'], 'a host with SEV needs no TCG')


@test('kata: the configuration files name what is installed', sev=False)
def complete(_env):
    install = (ROOT / 'scripts/overlay/install.sh').read_text('utf-8')
    for name in (TCG, SEV):
        config = keys(name)
        qemu = config['hypervisor']['qemu']
        check(qemu['path'] == '/usr/local/bin/qemu-kata' and
              'integration/kata/qemu-kata' in install,
              f'{name}: nothing installs {qemu["path"]}')
        # An image in the main file must be taken back, not left alone.
        check(qemu['initrd'] and qemu['image'] == '' and
              qemu['firmware_volume'] == '', f'{name} leaves an image')
        check(qemu['default_vcpus'] == qemu['default_maxvcpus'] and
              not config['runtime']['static_sandbox_resource_mgmt'],
              f'{name}: templates and sandboxes differ')
        check(qemu['shared_fs'] == 'none' and not qemu['enable_hugepages'] and
              'spawn' not in qemu['seccompsandbox'] and
              config['factory']['enable_template'],
              f'{name}: the runtime makes no template')
