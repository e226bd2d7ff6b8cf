# SPDX-License-Identifier: GPL-2.0-or-later
"""What a kernel lacks or limits, and guests that do not say what they share."""

import contextlib

from kvmhost import SevTiny, arrived, ended, migrate, running, two_hosts, waiting
from registry import expect_error, test
from verdict import Failed, check

NULL = 'exec:cat > /dev/null'


def refused(guest, words, runs=True):
    """migrate is refused with @words at once, and the guest goes on."""
    try:
        info = migrate(guest, NULL)
    except Failed as error:
        check(words in str(error), f'it says "{error}"')
    else:
        raise Failed(f'it was not refused: {info}')
    if runs:
        guest.soundly()


@test('kvm sev: a guest that shares as Linux does arrives with its memory right')
def linux(env):
    one, two = two_hosts(env)
    with running(env, 'linux', one) as guest, \
            waiting(env, guest, two) as (target, uri):
        check(guest.told_control() == ['00000001'], f'{guest.told_control()}')
        info = migrate(guest, uri)
        check(info['status'] == 'completed', f'{info}')
        arrived(guest, target)
        shown = target.cmd('x-query-sev-page-map')
        check(shown['migration-control'] == 1 and shown['declared-shared'] > 0,
              f'{shown}')


@test('kvm sev: a guest that declares nothing is refused in words')
def silent(env):
    one, two = two_hosts(env)
    with running(env, 'silent', one, kind='silent') as guest:
        refused(guest, 'CPUID 0x40000001 EAX bit 17')


@test('kvm sev: a guest that never ran is refused, until it did')
def never_ran(env):
    one, two = two_hosts(env)
    guest = SevTiny(env, 'never-ran', one, '-S')
    with contextlib.closing(guest.start()), \
            waiting(env, guest, two) as (target, uri):
        refused(guest, 'has not run yet', runs=False)
        guest.cmd('cont')
        guest.soundly()
        info = migrate(guest, uri)
        check(info['status'] == 'completed', f'{info}')
        arrived(guest, target)


@test('kvm sev: a guest that is reset while it moves runs on')
def reset(env):
    one, two = two_hosts(env)
    with running(env, 'reset-meanwhile', one, kind='once',
                 control=['not-coherent', 'delay SEND_UPDATE_DATA 1000']) as guest:
        guest.name_target(two)
        guest.cmd('migrate', uri=NULL)
        guest.wait_commands('SEND_UPDATE_DATA', 50)
        guest.cmd('system_reset')
        expect_error(guest.wait_migration(), 'declared no page')
        guest.soundly()


@test('kvm sev: pages that the guest never wrote cost no command')
def blank(env):
    one, two = two_hosts(env)
    counts = {}
    for word in ('coherent', 'not-coherent'):
        control = [word] if word == 'not-coherent' else []
        with running(env, word, one, control=control) as guest, \
                waiting(env, guest, two) as (target, uri):
            info = migrate(guest, uri)
            check(info['status'] == 'completed', f'{info}')
            arrived(guest, target)
            counts[word] = guest.commands()['SEND_UPDATE_DATA']
            check(counts[word] == info['sev']['packets'], f'{info}')
    check(counts['coherent'] < 100 < counts['not-coherent'] and
          counts['not-coherent'] > 4000, f'{counts}')


@test('kvm sev: cancel does not wait for a record of packets')
def cancel(env):
    one, two = two_hosts(env)
    with running(env, 'cancel-soon', one,
                 control=['not-coherent', 'delay SEND_UPDATE_DATA 20000']) as guest:
        guest.name_target(two)
        guest.cmd('migrate', uri=NULL)
        guest.wait_commands('SEND_UPDATE_DATA', 20)
        guest.cmd('migrate_cancel')
        before = guest.commands()['SEND_UPDATE_DATA']
        info = guest.wait_migration()
        check(info['status'] == 'cancelled', f'{info}')
        after = guest.commands()['SEND_UPDATE_DATA']
        check(after - before <= 4, f'{after - before} packets after the cancel')
        guest.soundly()


@test('kvm sev: a kernel that lacks something is named, with the version that has it')
def lacks(env):
    one, _ = two_hosts(env)
    for word, names in (('no-exit-hypercall', ('KVM_CAP_EXIT_HYPERCALL', '5.14')),
                        ('no-msr-filter', ('KVM_CAP_X86_MSR_FILTER', '5.10'))):
        with running(env, word, one, control=[word]) as guest:
            for name in names:
                refused(guest, name)
            blockers = guest.migration().get('blocked-reasons', [])
            check(any(names[0] in reason for reason in blockers), f'{blockers}')


@test('kvm sev: memory that nobody declares shared is refused')
def ivshmem(env):
    one, _ = two_hosts(env)
    with running(env, 'ivshmem', one, '-object', 'memory-backend-file,id=shm,'
                 f'size=1M,share=on,mem-path={env.lab.large("shm")}', '-device',
                 'ivshmem-plain,memdev=shm,master=on') as guest:
        refused(guest, "device 'ivshmem-plain'")


@test('kvm sev: RLIMIT_MEMLOCK is named, with what is needed')
def memlock(env):
    one, _ = two_hosts(env)
    limited = ['prlimit', '--memlock=8388608', 'setpriv', '--bounding-set',
               '-ipc_lock']
    said = ended(SevTiny(env, 'memlock', one, environment=limited,
                         control=['no-ipc-lock']))
    check('RLIMIT_MEMLOCK is 8 MiB' in said and 'MiB are needed' in said and
          'ulimit -l' in said, f'it says {said}')
