# SPDX-License-Identifier: GPL-2.0-or-later
"""What Linux in an SEV guest wants of QEMU under KVM, over the stand-in.

KVM alone can show it: only there does QEMU depend on what a guest declares.
Under TCG it sees each page's C-bit.
"""

import re

from kvmhost import KvmTiny, kvm_host, two_hosts
from registry import test
from sevtiny import arrived, ended, migrate, refused, running, waiting
from verdict import check

PAGES = 4096                    # of a guest of 16 MiB


def features(guest):
    """EAX of CPUID 0x40000001 as the guest read it."""
    return int(re.search(r'^FEATURES ([0-9a-f]{8})$', guest.text(), re.M)[1],
               16)


@test('kvm linux: told by bit 17 it declares, sets its MSR, and arrives whole')
def declares(env):
    one, two = two_hosts(env)
    with running(env, 'linux', one) as guest:
        check(features(guest) >> 16 & 3 == 3,
              f'features {features(guest):#x}, without bit 16 or 17')
        check(guest.told_control() == ['00000001'],
              f'the MSR reads {guest.told_control()}')
        shown = guest.cmd('x-query-sev-page-map')
        check(shown['migration-control'] == 1 and
              shown['declared-shared'] >= 9, f'{shown}')
        with waiting(env, guest, two) as (target, uri):
            info = migrate(guest, uri)
            check(info['status'] == 'completed', f'{info}')
            arrived(guest, target)
            # It reads the MSR at each tick, and would say that it changed.
            check(not target.told_control(),
                  f'the MSR reads {target.told_control()} now')
            shown = target.cmd('x-query-sev-page-map')
            check(shown['migration-control'] == 1, f'{shown}')


@test('kvm linux: after a reset the MSR is clear and all is private again')
def cleared(env):
    with running(env, 'cleared', kvm_host(env, 'a')) as guest:
        guest.cmd('system_reset')
        guest.wait_text('STARTED', times=2)
        guest.soundly()
        read = re.findall(r'^BEFORE ([0-9a-f]{8})$', guest.text(), re.M)
        check(read == ['00000000', '00000000'], f'the MSR was {read}')


@test('kvm linux: one that never declares is not migrated, and is told why')
def silent(env):
    one, two = two_hosts(env)
    with running(env, 'silent', one, kind='silent') as guest:
        guest.name_target(two)
        before = guest.commands()
        refused(guest, r'(?i)declared.*bit 17')
        check(guest.commands()['SEND_START'] == before['SEND_START'],
              'SEND_START was given')
        guest.soundly()


@test('kvm linux: with EFI, without the MSR, it arrives whole as well')
def efi(env):
    one, two = two_hosts(env)
    with running(env, 'efi', one, kind='efi') as guest, \
            waiting(env, guest, two, kind='efi') as (target, uri):
        check(guest.cmd('x-query-sev-page-map')['migration-control'] == 0,
              'who wrote the MSR?')
        info = migrate(guest, uri)
        check(info['status'] == 'completed', f'{info}')
        arrived(guest, target)


@test('kvm linux: a kernel that lacks a capability is named, the guest runs')
def lacks(env):
    one, two = two_hosts(env)
    for word, pattern in (('no-exit-hypercall', 'KVM_CAP_EXIT_HYPERCALL'),
                          ('no-msr-filter', 'KVM_CAP_X86_MSR_FILTER')):
        with running(env, word, one, control=[word]) as guest:
            check(not features(guest) >> 16 & 3,
                  f'{word}: features {features(guest):#x}')
            guest.name_target(two)
            refused(guest, pattern)
            guest.soundly(1)


@test('kvm linux: pages nobody wrote cost no command, where reads are coherent')
def untouched(env):
    one, two = two_hosts(env)
    sent = {}
    for word, control in (('coherent', ()),
                          ('not-coherent', ('not-coherent',))):
        with running(env, word, one, control=control) as guest, \
                waiting(env, guest, two) as (target, uri):
            info = migrate(guest, uri)
            check(info['status'] == 'completed', f'{info}')
            arrived(guest, target)
            sent[word] = guest.commands()['SEND_UPDATE_DATA']
    check(64 <= sent['coherent'] < 1000, f'{sent}')
    check(sent['not-coherent'] > PAGES * 0.9, f'{sent}')


@test('kvm linux: cancel answers after the command that is under way')
def cancel(env):
    one, two = two_hosts(env)
    with running(env, 'cancel', one, control=['not-coherent']) as guest:
        guest.name_target(two)
        guest.control('not-coherent', 'delay SEND_UPDATE_DATA 20000')
        guest.cmd('migrate', uri='exec:cat > /dev/null')
        guest.wait_commands('SEND_UPDATE_DATA', 5)
        before = guest.commands()['SEND_UPDATE_DATA']
        guest.cmd('migrate_cancel')
        info = guest.wait_migration()
        check(info['status'] == 'cancelled', f'{info}')
        after = guest.commands()['SEND_UPDATE_DATA'] - before
        check(after <= 4, f'{after} more pages were sent')
        guest.control()
        guest.soundly()


@test('kvm linux: too little memory may be locked: what is needed is said')
def locked(env):
    host = kvm_host(env, 'a')
    mib = 1 << 20
    said = ended(KvmTiny(env, 'locked', host,
                         launcher=['prlimit', f'--memlock={8 * mib}:{8 * mib}',
                                   'setpriv', '--bounding-set', '-ipc_lock',
                                   '--inh-caps', '-ipc_lock', '--']))
    check(re.search(r'RLIMIT_MEMLOCK is 8 MiB', said) and
          re.search(r'\b(1[6-9]|2\d) MiB', said), f'{said}')
