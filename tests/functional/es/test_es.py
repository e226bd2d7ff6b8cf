# SPDX-License-Identifier: GPL-2.0-or-later
"""SEV-ES guests under TCG: what raises #VC, what is answered, who sees what.

The small guest is ../guest/es.S, which says by itself what happens to it. What
it should say is written from Linux' KVM (svm.c, svm/sev.c), the GHCB
specification (AMD 56421) and the APM.
"""

import contextlib
import re
import subprocess
import sys
from pathlib import Path

import shape
from registry import test
from softhost import SoftHost
from test_tool import sev_psp
from verdict import Failed, Skip, check, wait_until

POLICY = 0x5
NEEDLE = 0x5ec2e7de51c0de5e
ES = shape.Shape(firmware='es')
ACTIVE = r'Memory Encryption Features active: (AMD )?SEV SEV-ES'

# Exit codes of #VC; 0: the instruction just does what it does
RAISES = dict(
    cpuid=0x72, out=0x7b, ins=0x7b, outs=0x7b, rdmsr=0x7c, wrmsr=0x7c,
    wbinvd=0x89, invd=0x76, rdpmc=0x6f, vmmcall=0x81, monitor=0x8a, mwait=0x8b,
    nowhere=0x400, rdtsc=0, efer=0, pat=0, cr8=0, dr6=0, clflush=0,
    vmrun=0x10006) | {
        'in': 0x7b, 'read-dr7': 0x27, 'write-dr7': 0x37, 'mmio-read': 0x400,
        'mmio-write': 0x400, 'single-step': 0x41, 'sev-status': 0, 'ghcb-msr': 0, 'gs-base': 0,
        'cr0-cr4': 0, 'clflush-mmio': 0}

USAGE, SCRATCH, MISSING, INPUT, EVENT = range(2, 7)
GP = 0x8000030d                 # SW_EXITINFO2: inject #GP

# SW_EXITINFO1 and 2; None: not the same each time, or looked at below
ANSWERS = {
    'cpuid': (0, 0), 'cpuid-no-rcx': (2, MISSING),
    'cpuid-d-no-xcr0': (2, MISSING), 'cpuid-d': (0, 0),
    'in': (0, 0), 'in-no-size': (0, 0), 'in-size-3': (2, INPUT),
    'out-no-rax': (2, MISSING), 'in-over-end': (0, 0),
    'outs': (0, 0), 'outs-no-scratch': (2, MISSING), 'outs-0': (2, SCRATCH),
    'outs-edge': (0, 0), 'outs-too-long': (2, SCRATCH),
    'outs-before': (2, SCRATCH), 'outs-behind': (2, SCRATCH),
    'outs-wrap': (2, SCRATCH), 'outs-count': (2, INPUT),
    'outs-count-64': (2, INPUT), 'outs-ram': (0, 0),
    'outs-ram-long': (2, SCRATCH), 'outs-private': (2, SCRATCH),
    'outs-mmio': (2, SCRATCH), 'outs-nowhere': (2, SCRATCH),
    'outs-rom': (2, SCRATCH), 'ins': (0, 0),
    'msr-read': (0, 0), 'msr-no-rcx': (2, MISSING),
    'msr-write-no-ax': (2, MISSING), 'msr-bad-write': (1, GP),
    'msr-ghcb': (1, GP),
    'wbinvd': (0, 0), 'invd': (0, 0), 'rdtsc': (0, 0), 'rdtscp': (0, 0),
    'rdpmc': (1, GP), 'rdpmc-no-rcx': (2, MISSING),
    'dr7-read': (0, 0), 'dr7-no-rax': (2, MISSING),
    'vmmcall': (0, 0), 'vmmcall-no-cpl': (2, MISSING),
    'monitor-nothing': (2, MISSING), 'mwait': (0, 0),
    'mmio-read': (0, 0), 'mmio-read-ram': (0, 0),
    'mmio-no-scratch': (2, MISSING), 'mmio-0-bytes': (0, 0),
    'mmio-too-long': (2, SCRATCH), 'mmio-nowhere': (0, 0),
    'mmio-write': (0, 0), 'nmi-complete': (0, 0),
    'jump-table-set': (0, 0), 'jump-table-get': (0, 0x12345000),
    'jump-table-bad': (2, INPUT), 'features': (0, 0),
    'usage': (2, USAGE), 'version': (2, INPUT), 'nothing-valid': (2, MISSING),
    'unknown': (2, EVENT), 'unknown-64': (2, EVENT), 'snp-psc': (2, MISSING)}

# The GHCB MSR after a request: high, low. Bits that are not known stay.
BY_MSR = {
    'info': (0x00010001, 0x33000001), 'cpuid-eax': (0xa, 5),
    'cpuid-ebx': (0x73, 0x40000005), 'features': (0, 0x81),
    'register': (0, 0x12), 'unknown': (0xffffffff, 0xabc),
    'all-ones': (0xffffffff, 0xffffffff)}

# Where no GHCB can be: each time the guest just goes on
NO_PAGES = ['00000000 00000000', '00000000 fee00000', '00000000 ffff0000',
            '00000000 00008000', '00000080 00000000', 'ffffffff fffff000',
            '00000000 000ff000']

ENDS = {
    'es': 'reason set 1, code 2: PVALIDATE failed',
    'es-page': 'reason set 0, code 1: the GHCB protocol version is not one',
    'es-unsupported': "#VC handler does not know exit code 0x6d"}


@contextlib.contextmanager
def small(env, *args, kind='es', limit=60, **options):
    """The small guest, at its end: paused, as it asked for."""
    host = SoftHost(env.lab, f'es-{env.name("host")}')
    guest = host.tiny(env, kind, '-action', 'panic=pause', *args, kind=kind,
                      cpu='EPYC-v4', mem='64M', policy=POLICY, **options)
    try:
        guest.start()
        wait_until('the end of the small guest', limit,
                   lambda: guest.cmd('query-status')['status'] ==
                   'guest-panicked')
        yield guest
    finally:
        guest.close()


def lines(guest, word):
    return re.findall(rf'^{word} (.*)$', guest.text(), re.M)


def numbers(words):
    return tuple(int(word, 16) for word in words)


@test('es: what KVM intercepts raises #VC, and nothing else')
def exceptions(env):
    with small(env) as guest:
        said = {name: int(code, 16) for name, code in
                (line.split() for line in lines(guest, 'VC'))}
        check(said == RAISES, f'differs: {set(said.items()) ^ set(RAISES.items())}')


@test('es: requests of a GHCB, good and bad')
def requests(env):
    with small(env) as guest:
        said = {name: numbers(rest) for name, *rest in
                (line.split() for line in lines(guest, 'REQ'))}
        check(set(said) == set(ANSWERS), f'asked {set(said) ^ set(ANSWERS)}')
        for name, wanted in ANSWERS.items():
            check(said[name][:2] == wanted, f'{name}: {said[name]}')
        check(said['cpuid'][2] == 0x40000001, 'CPUID has no hypervisor leaf')
        check(said['msr-read'][2] == 0xfee00900, 'MSR 0x1b is wrong')
        check(said['vmmcall'][2] == 2**32 - 1000, 'a hypercall that is none')
        check(lines(guest, 'BUF') == ['00000000 00050014'],
              f'the APIC\'s version is not where it was asked for: '
              f'{lines(guest, "BUF")}')


@test('es: requests by the GHCB MSR, and pages that are none')
def msr_requests(env):
    with small(env) as guest:
        said = {name: numbers(rest) for name, *rest in
                (line.split() for line in lines(guest, 'MSR'))}
        check(said == BY_MSR, f'differs: {set(said.items()) ^ set(BY_MSR.items())}')
        check(lines(guest, 'GHCB') == NO_PAGES,
              f'came back from {lines(guest, "GHCB")}')
        check(guest.text().endswith('BYE\n'), 'it did not get to its end')


@test('es: REP STOS, which is done many at once, does no more and no less')
def stos(env):
    with small(env) as guest:
        said = [numbers(line.split()) for line in lines(guest, 'STOS')]
        check(said == [(8 * 11 * 4, 0)], f'looked at, and wrong: {said}')


@test('es: a guest launched by INIT2 speaks GHCB version 2')
def version_2(env):
    with small(env, sev=',legacy-vm-type=off') as guest:
        info = next(line for line in lines(guest, 'MSR') if 'info' in line)
        check(info == 'info 00020001 33000001', f'it was told {info}')


@test('es: a guest\'s reason for its end, in words')
def ends(env):
    for kind, words in ENDS.items():
        with small(env, kind=kind) as guest:
            check(words in guest.log(), f'{kind}: "{guest.log()[-200:]}"')
            events = [event['data']['action'] for event in
                      guest.vm.get_qmp_events(wait=False)
                      if event['event'] == 'GUEST_PANICKED']
            check(events == ['pause'], f'{kind}: GUEST_PANICKED {events}')


@test('es: another vCPU starts as it was measured, and where it is held')
def other_vcpu(env):
    with small(env, smp=2) as guest:
        said = [line.split() for line in lines(guest, 'AP')]
        check([count for count, *_ in said] == ['00000001', '00000002'],
              f'it counted {said}')
        check(said[1][1:] == ['00000000', '00001007'], f'it heard {said[1]}')


@test('es: 100000 requests of noise end nothing')
def noise(env):
    with small(env, kind='es-random', limit=240) as guest:
        check(guest.text().endswith('BYE\n'), f'it ended at {guest.text()}')


# --- Registers -----------------------------------------------------------------

def hmp(guest, line):
    return guest.cmd('human-monitor-command', command_line=line)


@test('es: what is only in registers is in no view of the host')
def registers(env):
    needle = NEEDLE.to_bytes(8, 'little')
    with small(env) as guest:
        dump = env.lab.large(env.name('es.dump'))
        guest.cmd('dump-guest-memory', paging=False, protocol=f'file:{dump}')
        check(needle not in dump.read_bytes(), 'it is in a dump')
        said = hmp(guest, 'info registers -a')
        check('registers of an SEV-ES guest are encrypted' in said and
              f'{NEEDLE:x}' not in said.lower(), f'info registers: {said}')
        for name in ('r15', 'rip', 'pc', 'eax', 'cs.base'):
            said = hmp(guest, f'print ${name}')
            check('unknown register' in said, f'print ${name}: {said}')
        with Gdb(guest) as gdb:
            said = gdb.ask('g')
            check(set(said) == {'0'}, f'gdb sees {said[:200]}')
            gdb.ask('P10=1111111111111111')
            check(gdb.ask('Z0,200000,1') != 'OK', 'gdb sets a breakpoint')


class Gdb:
    """A debugger, of which test_debug.py's reads and writes memory."""

    def __init__(self, guest):
        from gdbremote import Gdb as Remote
        guest.lab, guest.name = guest.host.lab, guest.screen.stem
        self._remote = Remote(guest)

    def __enter__(self):
        self._remote.__enter__()
        return self

    def __exit__(self, *args):
        self._remote.__exit__(*args)

    def ask(self, text):
        return self._remote._ask(text)


@test('es: a guest that is reset ends, and has no SMM')
def no_reset(env):
    with small(env) as guest:
        guest.cmd('system_reset')
        guest.vm.wait(timeout=30)
        check('cpus are not resettable, terminating' in guest.log(),
              f'it said "{guest.log()[-200:]}"')
    host = SoftHost(env.lab, f'es-{env.name("smm")}')
    refused = host.tiny(env, 'smm', kind='es', cpu='EPYC-v4', policy=POLICY,
                        machine='q35,smm=on')
    try:
        refused.start()
    except Exception:
        check('SEV-ES guests have no SMM' in refused.log(), refused.log())
    else:
        raise Failed('an SEV-ES guest with SMM was launched')
    finally:
        refused.close()


# --- Measurement ---------------------------------------------------------------

VALIDATE = '/usr/bin/virt-qemu-sev-validate'


def measured(env, vcpus, sev=''):
    """An SEV-ES guest's measurement, and the words that sev-psp needs for it."""
    folder = env.lab.folder / env.name('launch')
    env.host('a').pdh()
    sev_psp(env, 'session', '--policy', f'{POLICY:#x}', '--out', str(folder))
    guest = env.lab.guest(env.name('es'), host=env.host('a'), policy=POLICY,
                          smp=vcpus, shape=shape.Shape(
                              firmware='es', cpu='EPYC-Milan', sev=sev),
                          session={'dh-cert-file': folder / 'dh-cert.base64',
                                   'session-file': folder / 'session.base64'},
                          extra=('-S',))
    guest.start()
    try:
        found = guest.cmd('query-sev-launch-measure')['data']
    finally:
        guest.close()
    return found, folder


def computed(env, found, folder, vcpus, *words):
    return sev_psp(env, 'measure', '--firmware', str(shape.ES), '--policy',
                   f'{POLICY:#x}', '--tik', str(folder / 'tik'),
                   '--measurement', found, '--cpu', 'EPYC-Milan',
                   '--vcpus', str(vcpus), *words).returncode


@test('es: sev-psp computes the measurement from the CPU model and firmware')
def measure(env):
    found, folder = measured(env, 3)
    check(computed(env, found, folder, 3) == 0, 'it computes another')
    check(computed(env, found, folder, 2) == 3, 'one vCPU less is the same')
    check(computed(env, found, folder, 3, '--init2') == 3,
          'another kernel interface is the same')
    found, folder = measured(env, 2, sev=',legacy-vm-type=off')
    check(computed(env, found, folder, 2, '--init2') == 0,
          'it computes another for INIT2')


@test('es: libvirt\'s tool computes the same measurement')
def measure_libvirt(env):
    if not Path(VALIDATE).exists():
        raise Skip(f'no {VALIDATE} (package libvirt-clients-qemu)')
    found, folder = measured(env, 3)
    for vcpus, wanted in ((3, 0), (2, 1)):
        done = subprocess.run(
            [sys.executable, VALIDATE, '--measurement', found,
             '--api-major', '1', '--api-minor', '55', '--build-id', '1', '--policy', str(POLICY),
             '--firmware', str(shape.ES), '--num-cpus', str(vcpus),
             '--cpu-family', '25', '--cpu-model', '1', '--cpu-stepping', '1',
             '--tik', str(folder / 'tik'), '--tek', str(folder / 'tek')],
            capture_output=True, text=True, timeout=60, check=False)
        if 'ModuleNotFoundError' in done.stderr:
            raise Skip(f'{VALIDATE}: {done.stderr.splitlines()[-1]}')
        check(done.returncode == wanted,
              f'with {vcpus} vCPUs it says {done.stdout}{done.stderr}')


# --- Linux ---------------------------------------------------------------------

def linux(env, smp, **options):
    guest = env.boot(f'es-{smp}', policy=POLICY, smp=smp, shape=ES, **options)
    check(guest.find_text(ACTIVE), 'the console has no line about SEV-ES')
    check(smp == 1 or guest.find_text(rf'Brought up 1 node, {smp} CPUs'),
          f'not all of its {smp} vCPUs are up')
    return guest


@test('es: an unmodified kernel finds its registers encrypted')
def linux_1(env):
    guest = linux(env, 1)
    sev = guest.cmd('query-sev')
    check(sev['state'] == 'running' and sev['policy'] == POLICY,
          f'query-sev says {sev}')
    guest.close()


@test('es: NMIs come, one after another')
def nmi(env):
    guest = linux(env, 2)
    for times in range(1, 4):
        guest.cmd('inject-nmi')
        guest.wait_text('NMI received for unknown reason', times=times)
    guest.close()


@test('es: a processor that is plugged later never starts')
def plugged(env):
    guest = env.boot('es-plug', policy=POLICY, shape=ES,
                     smp='1,maxcpus=2,sockets=1,cores=2')
    guest.cmd('device_add', driver='EPYC-v4-x86_64-cpu', id='late',
              **{'socket-id': 0, 'core-id': 1, 'thread-id': 0})
    guest.wait_ticks(len(guest.ticks()) + 5)
    guest.close()


@test('es: with four vCPUs')
def linux_4(env):
    linux(env, 4).close()


@test('es: Linux 6.12')
def linux_612(env):
    linux(env, 2, kernel='trixie').close()


@test('es: Linux 5.10')
def linux_510(env):
    linux(env, 2, kernel='bullseye').close()
