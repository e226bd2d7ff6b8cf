# SPDX-License-Identifier: GPL-2.0-or-later
"""SEV guests under KVM over a socket, as far as Linux alone can show it.

Commands that fail by an errno, which no firmware gives, or that the software
secure processor does not give apart (PDH_CERT_EXPORT, ACTIVATE); and the one
mailbox of a host, which the stand-in's processes share, while each process has
a software secure processor of its own. test_backends.py has the rest, for both.
"""

from kvmhost import FORCED, two_hosts
from registry import expect_error, test
from sevtiny import arrived, completes, listening, migrate, running
from verdict import Failed, check

EFI = dict(kind='efi', control=[FORCED])


FAULTS = (
    # on whom, what, and what the source says of it
    ('target', 'PDH_CERT_EXPORT all status 19', r'(?i)target refused: .*cert'),
    ('target', 'ACTIVATE 1 errno 16', r'target refused: .*busy'),
    ('target', 'RECEIVE_UPDATE_DATA 9 errno 12', r'refused: Page.*memory'),
    ('target', 'RECEIVE_FINISH 1 errno 16', r'refused: .*FINISH.*busy'),
    ('source', 'SEND_UPDATE_DATA 9 errno 12', r'SEND_UPDATE_DATA.*memory'),
)


@test('kvm socket: whoever fails by errno, the guest runs on and moves at last')
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
            completes(guest, uri)
            arrived(guest, target)


@test('kvm socket: both ends share one mailbox, when a guest moves to its own host')
def own_host(env):
    one, _ = two_hosts(env)
    with running(env, 'own', one, **EFI) as guest, \
            listening(env, guest, one, **EFI) as (target, uri):
        guest.control(FORCED, 'delay 1000')
        target.control(FORCED, 'delay 1000')
        completes(guest, uri)
        arrived(guest, target)
        check(not overlaps(guest, target), 'two commands at a time')


def overlaps(*guests):
    """Pairs of commands, of whatever process, that were given side by side."""
    work = sorted(span for guest in guests for span in guest.work())
    return [(a, b) for a, b in zip(work, work[1:]) if b[0] < a[1] - 1e-5]
