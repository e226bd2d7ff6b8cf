# SPDX-License-Identifier: GPL-2.0-or-later
"""Under KVM nothing is different from the unpatched base.

As far as this host's KVM goes: a guest of 64 KiB and SeaBIOS run anywhere.
"""

import base64
import contextlib
import re
import subprocess

from guest import launch
from registry import expect_error, test
from test_off import base_binary
from tinyguest import Tiny, needs_kvm
from verdict import Failed, Skip, check, wait_until

# Models with names: upstream aborts with 'host' and 'max' on some nested hosts.
SHAPES = (dict(machine='q35', cpu='qemu64'), dict(machine='pc', cpu='EPYC-v4'),
          dict(machine='q35', cpu='Skylake-Client-v4'))
ENDS = 30                   # seconds until a QEMU that must not start has ended


def both(env):
    """(name, binary): ours, and the base's."""
    return (('ours', env.lab.binary), ('base', base_binary(env)))


@test('kvm: an ordinary guest sees the processor it has on the base', sev=False)
def processor(env):
    needs_kvm()
    for shape in SHAPES:
        told = {}
        for name, binary in both(env):
            guest = Tiny(env, name, binary=binary, **shape)
            with contextlib.closing(guest.start()):
                guest.wait_ticks(3)
                told[name] = guest.told()
        check(len(told['base']) > 80, f'it printed {len(told["base"])} lines')
        differ = [pair for pair in zip(told['ours'], told['base'])
                  if pair[0] != pair[1]]
        check(not differ and len(told['ours']) == len(told['base']),
              f'{shape}: {differ[:1]}')


@test('kvm: SeaBIOS gets as far, and says the same', sev=False)
def seabios(env):
    needs_kvm()
    said = {}
    for name, binary in both(env):
        path = env.lab.folder / f'seabios-{name}'
        guest = Tiny(env, name, '-debugcon', f'file:{path}', '-global',
                     'isa-debugcon.iobase=0x402', binary=binary,
                     firmware='bios-256k.bin')
        with contextlib.closing(guest.start()):
            wait_until('end of SeaBIOS', ENDS, lambda: path.exists() and
                       'No bootable device' in path.read_text('ascii',
                                                              'replace'))
            said[name] = path.read_text('ascii', 'replace').splitlines()
    check(len(said['base']) > 20 and said['ours'] == said['base'],
          'SeaBIOS says: ' + str([pair for pair in zip(said['ours'],
                                                       said['base'])
                                  if pair[0] != pair[1]][:1]))


def views(guest):
    """The guest's memory, each flat view of it, in any order."""
    said = guest.vm.cmd('human-monitor-command',
                        {'command-line': 'info mtree -f'})
    return sorted(re.split(r'FlatView #\d+', said.replace('\r', '')))


@test('kvm: query-cpu-model-expansion, query-sev, machines as on the base',
      sev=False)
def queries(env):
    needs_kvm()
    answers = {}
    for name, binary in both(env):
        guest = Tiny(env, name, '-S', binary=binary)
        with contextlib.closing(guest.start()):
            answers[name] = [
                guest.vm.cmd('query-cpu-model-expansion',
                             {'type': 'full', 'model': {'name': 'host'}}),
                guest.vm.cmd('query-cpu-definitions'),
                guest.vm.cmd('query-machines'),
                guest.vm.qmp('query-sev'),
                guest.vm.cmd('query-kvm'),
                views(guest),
            ]
    for ours, base in zip(answers['ours'], answers['base']):
        check(ours == base, f'ours {str(ours)[:200]}, base {str(base)[:200]}')


def refused(binary, words):
    """How a QEMU that cannot start ends: its exit code and what it says."""
    ended = subprocess.run(
        [binary, '-nodefaults', '-no-user-config', '-display', 'none', '-accel',
         'kvm', '-machine', 'q35,confidential-guest-support=sev0', '-object',
         f'{words},id=sev0'], capture_output=True, timeout=ENDS, check=False)
    return ended.returncode, ended.stderr.decode('utf-8', 'replace')


@test('kvm: sev-guest without SEV in the kernel is refused in the base\'s words',
      sev=False)
def sev_refused(env):
    needs_kvm()
    (_, ours), (_, base) = both(env)
    code, said = refused(base, 'sev-guest,cbitpos=63,reduced-phys-bits=1')
    host = re.search(r"cbitpos check failed, host '(\d+)'", said)
    check(code == 1 and host, f'the base ends with {code}: {said}')
    cbitpos = f'cbitpos={host[1]}'
    # Here the base says that a parameter is missing; TCG has a default for it.
    check(refused(ours, f'sev-guest,{cbitpos}')[0] == 1, 'no reduced-phys-bits')
    for words in ('sev-guest,cbitpos=63,reduced-phys-bits=1',
                  'sev-guest,reduced-phys-bits=1',
                  f'sev-guest,{cbitpos},reduced-phys-bits=64',
                  f'sev-guest,{cbitpos},reduced-phys-bits=1',
                  f'sev-guest,{cbitpos},reduced-phys-bits=1,policy=5',
                  f'sev-guest,{cbitpos},reduced-phys-bits=1,'
                  'sev-device=/dev/null',
                  f'sev-guest,{cbitpos},reduced-phys-bits=1,'
                  'sev-device=/dev/null,kernel-hashes=on',
                  f'sev-snp-guest,{cbitpos},reduced-phys-bits=1'):
        wanted, found = refused(base, words), refused(ours, words)
        check(wanted[0], f'{words}: the base starts; does it have SEV?')
        check(found == wanted, f'{words}: ours {found}, base {wanted}')


def preloaded(env, files, fail=''):
    """QEMU without a guest, on a host that seems to have SEV."""
    from qemu.machine import QEMUMachine
    library = env.lab.build / 'lib/tests/unit/psp/libdev-sev.so'
    if not library.exists():
        raise Skip(f'{library.name} is not built; "make check-lib" builds it')
    vm = QEMUMachine(str(env.lab.binary), name=env.name('probe'),
                     log_dir=str(env.lab.folder),
                     wrapper=['env', f'LD_PRELOAD={library}',
                              f'DEV_SEV_FILES={files}', f'DEV_SEV_FAIL={fail}',
                              f'SEV_PSP_CONFIG_DIR={files}'])
    vm.add_args('-machine', 'none', '-accel', 'kvm')
    launch(vm)
    return vm


def platform_certs(env, files, fail=''):
    vm = preloaded(env, files, fail)
    try:
        return vm.cmd('query-sev-platform-certs')
    except Exception as error:
        raise Failed(str(error)) from error
    finally:
        vm.shutdown(hard=True)


@test('kvm: query-sev-platform-certs without a guest asks /dev/sev')
def platform_without_guest(env):
    needs_kvm()
    host = env.lab.host('kernel').be_silicon()
    files = env.lab.folder / 'kernel'
    host.tool('export', '--out', files)
    pdh, plat = ((files / f'{name}.cert').read_bytes()
                 for name in ('pdh', 'plat'))
    said = platform_certs(env, files)
    check(base64.b64decode(said['sev-pdh']) == pdh and
          base64.b64decode(said['sev-plat-cert']) == plat and
          not said['sev-amd-cert'], f'it says {said}')
    for fail, sentence in (
            ('open', "'/dev/sev': Permission denied"),
            ('driver', 'SEV: PDH_CERT_EXPORT failed: Operation not permitted'),
            ('no-call', 'SEV: PDH_CERT_EXPORT failed, the kernel did not call '
             'the firmware: Input/output error'),
            ('firmware', r'SEV: the secure processor refuses PDH_CERT_EXPORT: '
             r'.+ \(19\)')):
        try:
            platform_certs(env, files, fail)
        except Failed as error:
            expect_error({'status': 'failed', 'error-desc': str(error)},
                         sentence)
        else:
            raise Failed(f'{fail}: it answers')
