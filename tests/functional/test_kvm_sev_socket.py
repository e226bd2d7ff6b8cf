# SPDX-License-Identifier: GPL-2.0-or-later
"""SEV guests under KVM over a socket: the target answers what its kernel knows,
and the operator gives what only AMD knows.
"""

import contextlib

from kvmhost import FORCED, LAUNCH, TARGET, two_hosts
from registry import expect_error, test
from sevtiny import arrived, listening, migrate, running
from verdict import Failed, check

EFI = dict(kind='efi', control=[FORCED])


@test('kvm socket: a full chain and a trusted root are all that a move needs')
def moves(env):
    one, two = two_hosts(env)
    with running(env, 'source', one, **EFI) as guest, \
            listening(env, guest, two, **EFI) as (target, uri):
        info = migrate(guest, uri)
        check(info['status'] == 'completed', f'{info}')
        arrived(guest, target)
        check(guest.order() == [*LAUNCH, 'SEND_START', 'SEND_UPDATE_DATA',
                                 'SEND_FINISH'], f'{guest.order()}')
        check(target.order() == TARGET, f'{target.order()}')
        # The chip has sent it: its vCPUs must never run here again.
        with contextlib.suppress(Failed):
            guest.cmd('cont')
        check(not guest.cmd('query-status')['running'] and
              not guest.violations(), f'it runs: {guest.violations()}')


@test('kvm socket: multifd, two vCPUs, and back')
def multifd(env):
    one, two = two_hosts(env)
    options = dict(EFI, smp=2, cpu='qemu64,+x2apic', mem='8M')
    with contextlib.ExitStack() as stack:
        guest = stack.enter_context(running(env, 'source', one, **options))
        for host in (two, one):
            target, uri = stack.enter_context(
                listening(env, guest, host, multifd=3, **options))
            info = migrate(guest, uri)
            check(info['status'] == 'completed', f'{info}')
            arrived(guest, target)
            guest.close()
            guest = target


FAULTS = (
    # on whom, what, and what the source says of it
    ('target', 'PDH_CERT_EXPORT all status 19', r'(?i)target refused: .*cert'),
    ('target', 'RECEIVE_START 1 status 23', r'refused: .*RECEIVE_START.*\(23\)'),
    ('target', 'ACTIVATE 1 errno 16', r'target refused: .*busy'),
    ('target', 'RECEIVE_UPDATE_DATA 9 errno 12', r'refused: Page.*memory'),
    ('target', 'RECEIVE_UPDATE_DATA 9 status 19', r'refused: Page.*\(19\)'),
    ('target', 'RECEIVE_FINISH 1 status 19', r'refused: .*FINISH.*\(19\)'),
    ('target', 'RECEIVE_FINISH 1 errno 16', r'refused: .*FINISH.*busy'),
    ('source', 'SEND_START 1 status 23', r'SEND_START.*\(23\)'),
    ('source', 'SEND_UPDATE_DATA 9 errno 12', r'SEND_UPDATE_DATA.*memory'),
)


@test('kvm socket: whoever fails, the guest runs on and moves at last')
def faults(env):
    one, two = two_hosts(env)
    with running(env, 'faults', one, **EFI) as guest:
        for who, rule, words in FAULTS:
            with listening(env, guest, two, **EFI) as (target, uri):
                failing = guest if who == 'source' else target
                failing.control(FORCED, f'fail {rule}')
                try:
                    expect_error(migrate(guest, uri), words)
                except Failed as error:
                    raise Failed(f'{who} {rule}: {error}') from error
                guest.control(FORCED)
                guest.soundly(1)
                check(not target.ticks(), f'{rule}: it runs there as well')
        with listening(env, guest, two, **EFI) as (target, uri):
            info = migrate(guest, uri)
            check(info['status'] == 'completed', f'{info}')
            arrived(guest, target)


@test('kvm socket: SEND_FINISH fails, and the guest runs in one place')
def finish(env):
    one, two = two_hosts(env)
    with running(env, 'finish', one, **EFI) as guest, \
            listening(env, guest, two, **EFI) as (target, uri):
        guest.control(FORCED, 'fail SEND_FINISH all status 19')
        info = migrate(guest, uri)
        check(info['status'] == 'completed', f'{info}')
        arrived(guest, target)
        with contextlib.suppress(Failed):
            guest.cmd('cont')
        count = len(guest.ticks())
        target.soundly()
        check(len(guest.ticks()) == count and not guest.violations(),
              f'it runs at both ends: {guest.violations()}')


@test('kvm socket: both ends share one mailbox, when a guest moves to its own host')
def own_host(env):
    one, _ = two_hosts(env)
    with running(env, 'own', one, **EFI) as guest, \
            listening(env, guest, one, **EFI) as (target, uri):
        guest.control(FORCED, 'delay 1000')
        target.control(FORCED, 'delay 1000')
        info = migrate(guest, uri)
        check(info['status'] == 'completed', f'{info}')
        arrived(guest, target)
        check(not overlaps(guest, target), 'two commands at a time')


def overlaps(*guests):
    """Pairs of commands, of whatever process, that were given side by side."""
    work = sorted(span for guest in guests for span in guest.work())
    return [(a, b) for a, b in zip(work, work[1:]) if b[0] < a[1] - 1e-5]
