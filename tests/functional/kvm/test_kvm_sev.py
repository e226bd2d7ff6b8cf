# SPDX-License-Identifier: GPL-2.0-or-later
"""SEV guests under KVM, with the stand-in of ../kvm in the place of Linux.

What Linux alone can show: the stand-in's own answers, how a launch goes and is
refused, hypercalls and MSRs, and commands that fail by an errno, which no
firmware gives, or that the software secure processor does not give apart:
PDH_CERT_EXPORT, ACTIVATE. test_backends.py has the rest, for both backends.
"""

import base64
import contextlib
import re
import subprocess
import sys

import measure
from kvmhost import FORCED, KvmTiny, kvm_host, library, two_hosts
from registry import expect_error, test
from sevlib import ROOT
from sevtiny import (CERTS, HARDWARE, arrived, completes, ended, migrate,
                     running, waiting)
from verdict import check

EFI = dict(kind='efi', control=[FORCED])
EBUSY, ETIMEDOUT = 16, 110


@test('kvm sev: the stand-in refuses what Linux refuses, with its errno')
def probe(env):
    chain = kvm_host(env, 'probe').full_chain()
    files = [env.lab.folder / f'probe.{name}' for name in CERTS]
    for path, name in zip(files, CERTS):
        path.write_bytes(base64.b64decode(chain[name]))
    check(probed(env, 'probe', '', *files) > 150, 'it did not look at all')
    check(probed(env, 'down', 'platform-down\n') > 10, 'nor at a platform '
          'that is down')


def probed(env, stem, rules, *files):
    """How many answers standinprobe.py looked at; all must be Linux'."""
    control, violations = (env.lab.folder / f'{stem}.{name}'
                           for name in ('control', 'violations'))
    control.write_text(rules)
    more = [violations, *files] if files else []
    done = subprocess.run(
        ['env', f'LD_PRELOAD={library(env)}',
         f'SEV_STANDIN_IDENTITY={kvm_host(env, "probe").folder}',
         f'SEV_STANDIN_CONTROL={control}',
         f'SEV_STANDIN_VIOLATIONS={violations}', sys.executable,
         str(ROOT / 'tests/functional/lib/standinprobe.py'), str(control),
         *map(str, more)], capture_output=True, text=True, timeout=60,
        check=False)
    lines = done.stdout.splitlines() or [done.stderr]
    check(len(lines) == 1 and lines[0].endswith(' answers'),
          f'{lines[0]}: {done.stderr[-200:]}')
    return int(lines[0].split()[0])


@test('kvm sev: launched as Linux orders, both kinds of VM; measured right')
def launched(env):
    host = kvm_host(env, 'a')
    for kind in ('on', 'off'):
        folder = env.lab.folder / f'owner-{kind}'
        folder.mkdir()
        session = measure.Session(host.pdh(), 0x1, folder)
        owner = ''.join(f',{name}={path}'
                        for name, path in session.options(folder).items())
        with running(env, f'legacy-{kind}', host,
                     sev=f',legacy-vm-type={kind}{owner}') as guest:
            expected, found = measure.matches(
                session, guest.cmd('query-sev'),
                guest.cmd('query-sev-launch-measure')['data'],
                env.lab.build / 'guest/bookworm/sev-linux.fd')
            check(expected == found, f'measured {found}, expected {expected}')
            guest.ordered()


@test('kvm sev: hypercalls that KVM itself refuses are refused')
def hypercalls(env):
    with running(env, 'calls', kvm_host(env, 'a'), **EFI) as guest:
        said = [line for line in guest.text().splitlines()
                if line.startswith('RETURNED')]
        check(said == ['RETURNED ffffffea', 'RETURNED ffffffea',
                       'RETURNED fffffc18'], f'{said}')
        check('REFUSED' not in guest.text(), 'a declaration was refused')
    # KVM does not know the call where user space did not ask for it.
    with running(env, 'no-calls', kvm_host(env, 'a'), kind='efi',
                 control=[FORCED, 'no-exit-hypercall']) as guest:
        said = re.findall(r'^(?:RETURNED|REFUSED) (\w+)', guest.text(), re.M)
        check(len(said) > 6 and set(said) == {'fffffc18'}, f'{said}')


@test('kvm sev: an MSR that nobody filters is #GP, and is written down')
def unfiltered(env):
    guest = KvmTiny(env, 'unfiltered', kvm_host(env, 'a'),
                    control=[FORCED, 'no-msr-filter'])
    with contextlib.closing(guest.start()):
        guest.wait_ticks(2)
        check(guest.told_control() == ['#GP'], f'{guest.told_control()}')
        check(set(guest.violations()) ==
              {'MSR 0x4b564d08 is not filtered: #GP'}, f'{guest.violations()}')


# --- Refused, by Linux ---------------------------------------------------------


SOURCE_FAULTS = (
    ('PDH_CERT_EXPORT all status', HARDWARE, r'(?i)cert'),
    ('PDH_CERT_EXPORT all errno', EBUSY, r'(?i)cert'),
    ('SEND_START all errno', EBUSY, r'SEND_START failed: Device or resource'),
    ('SEND_UPDATE_DATA 2 errno', ETIMEDOUT,
     r'SEND_UPDATE_DATA failed: Connection timed out'),
)


@test('kvm sev: each command of a source fails by errno')
def source_faults(env):
    one, two = two_hosts(env)
    with running(env, 'faults', one, **EFI) as guest, \
            waiting(env, guest, two, **EFI) as (target, uri):
        for rule, number, words in SOURCE_FAULTS:
            guest.control(FORCED, f'fail {rule} {number}')
            expect_error(migrate(guest, 'exec:cat > /dev/null'), words)
            guest.control(FORCED)
            guest.soundly(1)
        # What cannot be cancelled is cancelled before the next attempt.
        guest.control(FORCED, f'fail SEND_UPDATE_DATA 9 status {HARDWARE}',
                      f'fail SEND_CANCEL 1 errno {EBUSY}')
        expect_error(migrate(guest, 'exec:cat > /dev/null'), 'SEND_UPDATE_DATA')
        completes(guest, uri)
        arrived(guest, target)


TARGET_FAULTS = (
    ('PDH_CERT_EXPORT all status', HARDWARE, r'(?i)cert'),
    ('RECEIVE_START 1 errno', EBUSY, r'RECEIVE_START failed: Device or'),
    ('ACTIVATE 1 status', 0xc, r'RECEIVE_START: .* \(12\)'),
    ('RECEIVE_UPDATE_DATA 1 errno', ETIMEDOUT,
     r'RECEIVE_UPDATE_DATA failed: Connection'),
    ('RECEIVE_FINISH 1 errno', EBUSY, r'RECEIVE_FINISH failed: Device or'),
)


@test('kvm sev: each command of a target fails by errno')
def target_faults(env):
    one, two = two_hosts(env)
    stream = env.lab.large('faults.stream')
    with running(env, 'faults', one, **EFI) as guest:
        guest.name_target(two)
        completes(guest, f'exec:cat > {stream}')
    for rule, number, words in TARGET_FAULTS:
        said = ended(KvmTiny(
            env, f'fault-{rule.split()[0]}', two, kind='efi',
            incoming=f'exec:cat {stream}',
            control=[FORCED, f'fail {rule} {number}']))
        check(re.search(words, said), f'{rule} {number}: {said}')
    with contextlib.closing(KvmTiny(
            env, 'no-fault', two, incoming=f'exec:cat {stream}',
            **EFI).start()) as target:
        target.soundly()
    stream.unlink()


@test('kvm sev: a launch that Linux or the chip refuses ends in a sentence')
def launch_faults(env):
    host = kvm_host(env, 'a')
    for rule, words in (
            ('platform-down fail INIT 1 status 19', r'Hardware error'),
            ('platform-down fail INIT 1 errno 16', r'failed to initialize'),
            ('fail LAUNCH_START 1 status 23', r'LAUNCH_START ret=.*23'),
            ('fail ACTIVATE 1 status 12', r'LAUNCH_START ret=.*12'),
            ('fail LAUNCH_UPDATE_DATA 1 errno 12', r'LAUNCH_UPDATE ret='),
            ('fail LAUNCH_MEASURE 2 status 19', r'LAUNCH_MEASURE ret=.*19'),
            ('fail LAUNCH_FINISH 1 status 19', r'LAUNCH_FINISH ret=.*19'),
            ('fail REG_REGION all errno 12', r'register region.*allocate'),
            ('no-sev', r'failed to initialize'),
            ('no-device', r'/dev/sev')):
        rules = rule.replace('platform-down ', 'platform-down\n').split('\n')
        said = ended(KvmTiny(env, 'refused', host, control=rules))
        check(re.search(words, said), f'{rule}: {said}')
