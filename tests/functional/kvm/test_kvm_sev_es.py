# SPDX-License-Identifier: GPL-2.0-or-later
"""SEV-ES guests under KVM, with the stand-in of ../kvm in the place of Linux.

They are launched and run, and stay where they are: Linux has no command that makes
packets of registers.
"""

import contextlib

from kvmhost import kvm_host
from registry import test
from sevtiny import ended, migrate
from test_tool import sev_psp
from verdict import Failed, check

POLICY = 0x5
ES = dict(kind='linux-es', policy=POLICY)
RULES = ['es']
SENTENCE = 'cannot be migrated under KVM: it has no SEND_UPDATE_VMSA'
KINDS = ('on', 'off')           # of legacy-vm-type: ES_INIT, INIT2


def start(env, stem, kind, more='', **options):
    guest = kvm_host(env, 'es').tiny(
        env, stem, control=RULES, sev=f',legacy-vm-type={kind}{more}',
        **(ES | options))
    guest.launch = ['KVM_CREATE_VM', {'on': 'ES_INIT', 'off': 'INIT2'}[kind],
                    'LAUNCH_START', 'KVM_CREATE_VCPU', 'LAUNCH_UPDATE_DATA',
                    'LAUNCH_MEASURE', 'LAUNCH_FINISH', 'KVM_RUN']
    return contextlib.closing(guest.start())


@test('kvm sev-es: launched as Linux orders, both kinds of VM')
def launched(env):
    for kind in KINDS:
        with start(env, f'launch-{kind}', kind) as guest:
            guest.soundly(2)
            names = [name for name, error, _ in guest.ioctls() if not error]
            init = {'on': 'ES_INIT', 'off': 'INIT2'}[kind]
            order = [names.index(name) for name in
                     (init, 'LAUNCH_START', 'LAUNCH_UPDATE_DATA',
                      'LAUNCH_UPDATE_VMSA', 'LAUNCH_MEASURE', 'LAUNCH_FINISH',
                      'KVM_RUN')]
            check(order == sorted(order), f'{order}')
            check('SEV_STATUS 00000003' in guest.text(), 'it is no SEV-ES guest')
            check(not guest.violations(), f'{guest.violations()}')


@test('kvm sev-es: measured as sev-psp computes it, both kinds of VM')
def measured(env):
    host = kvm_host(env, 'es')
    for kind in KINDS:
        folder = env.lab.folder / env.name('owner')
        pdh = folder.with_suffix('.pdh')
        pdh.write_bytes(host.pdh())
        sev_psp(env, 'session', '--pdh', str(pdh), '--policy', f'{POLICY:#x}',
                '--out', str(folder))
        owner = (f',dh-cert-file={folder}/dh-cert.base64'
                 f',session-file={folder}/session.base64')
        with start(env, f'measure-{kind}', kind, owner, smp=2,
                   cpu='EPYC-Milan') as guest:
            found = guest.cmd('query-sev-launch-measure')['data']
        for vcpus, wanted in ((2, 0), (1, 3)):
            done = sev_psp(
                env, 'measure', '--firmware',
                str(env.lab.build / 'guest/bookworm/sev-linux-es.fd'),
                '--policy', f'{POLICY:#x}', '--tik', str(folder / 'tik'),
                '--measurement', found, '--cpu', 'EPYC-Milan', '--vcpus',
                str(vcpus), *(['--init2'] if kind == 'off' else []))
            check(done.returncode == wanted, f'{kind}, {vcpus} vCPUs: '
                  f'{done.stdout}{done.stderr}')


def refused(guest, uri):
    try:
        said = str(migrate(guest, uri))
    except Failed as error:
        said = str(error)
    check(SENTENCE in said, f'it said "{said}"')


@test('kvm sev-es: neither migrated nor made a template, and it runs on')
def stays(env):
    for kind in KINDS:
        with start(env, f'stays-{kind}', kind) as guest:
            guest.soundly(1)
            refused(guest, 'exec:cat > /dev/null')
            guest.soundly(1)
            template = env.lab.large(env.name('template'))
            guest.cmd('stop')
            guest.capabilities(sev_template=True)
            refused(guest, f'file:{template}')
            guest.cmd('cont')
            guest.soundly(2)
            blocked = guest.cmd('query-migrate').get('blocked-reasons', [])
            check(any(SENTENCE in reason for reason in blocked),
                  f'query-migrate names {blocked}')
            check(not guest.commands()['SEND_START'], 'SEND_START was tried')
            check(not guest.violations(), f'{guest.violations()}')


@test('kvm sev-es: none comes in, and none without the kernel\'s SEV-ES')
def none(env):
    host = kvm_host(env, 'es')
    for rules, options, words in (
            ([], ES, 'host SEV-ES support unavailable'),
            (RULES, ES | dict(incoming='tcp:127.0.0.1:1'),
             'cannot come in under KVM: it has no RECEIVE_UPDATE_VMSA')):
        said = ended(host.tiny(env, 'refused', control=rules, **options))
        check(words in said, f'{rules}: it said "{said}"')
