# SPDX-License-Identifier: GPL-2.0-or-later
"""Migration of SEV guests, the same tests over both backends.

"kernel": the commands go to Linux, which ../kvm plays, under KVM; skipped where
there is no /dev/kvm. "software": the software secure processor answers, under
TCG. The guests are those of ../guest/tiny-sev.S. softhost.py says what of their
memory means nothing under TCG.

What one backend alone can show stays in files of its own: test_kvm_*.py have
Linux' errnos, its order of ioctls at a launch, its mailbox and its map of
declared pages; test_migrate.py, test_multifd.py and test_faults.py have Linux
as a guest, which does not run under KVM here.
"""

import contextlib
import re

import kvmhost
import softhost
from registry import expect_error, test
from sevtiny import (HARDWARE, arrived, completes, last_words, listening,
                     migrate, running, waiting)
from verdict import Failed, check

BACKENDS = {'kernel': kvmhost, 'software': softhost}

SMP = dict(smp=2, cpu='qemu64,+x2apic', mem='8M')
EFI = dict(kind='efi')

NULL = 'exec:cat > /dev/null'
RESOURCES = 23          # SEV_RET_RESOURCE_LIMIT

# A migration that does not end by itself: packets take long, the guest may stand
# still for one millisecond, and it always writes to more pages than that.
SLOW_US = 20000
ENDLESS_MS, USUAL_MS = 1, 300

# Down a pipe nobody answers: the guest may go on here as well.
PIPE = ['SEND_START', 'SEND_UPDATE_DATA', 'SEND_CANCEL']
SOCKET = ['SEND_START', 'SEND_UPDATE_DATA', 'SEND_FINISH']


def on_both(claim):
    """A test of two hosts, once for each backend."""
    def register(function):
        for name, module in BACKENDS.items():
            def run(env, module=module):
                function(env, *module.two_hosts(env))
            test(f'backend {name}: {claim}')(run)
        return function
    return register


def stays_away(guest):
    """The chip has sent it: its vCPUs must never run here again."""
    count = len(guest.ticks())
    with contextlib.suppress(Failed):
        guest.cmd('cont')
    check(not guest.cmd('query-status')['running'] and
          len(guest.ticks()) == count and not guest.violations(),
          f'it runs: {guest.violations()}')


# --- It moves -----------------------------------------------------------------


@on_both('down a pipe it arrives whole, and may go on here as well')
def pipe(env, one, two):
    with running(env, 'source', one) as guest, \
            waiting(env, guest, two) as (target, uri):
        completes(guest, uri)
        arrived(guest, target)
        guest.ordered(*PIPE)
        target.ordered(received=True)
        guest.cmd('cont')
        guest.soundly()


@on_both('a full chain and a trusted root are all that a socket needs')
def socket(env, one, two):
    with running(env, 'source', one, **EFI) as guest, \
            listening(env, guest, two, **EFI) as (target, uri):
        completes(guest, uri)
        arrived(guest, target)
        guest.ordered(*SOCKET)
        target.ordered(received=True)
        stays_away(guest)


def hop(env, hosts, way, sent, **options):
    """A guest goes to each of @hosts in turn, by @way."""
    with contextlib.ExitStack() as stack:
        guest = stack.enter_context(running(env, 'first', hosts[0], **options))
        for number, host in enumerate(hosts[1:]):
            # Every second host has the newer kind of VM, where there are two.
            sev = '' if number % 2 else ',legacy-vm-type=off'
            target, uri = stack.enter_context(
                way(env, guest, host, f'hop-{number}', sev=sev, **options))
            completes(guest, uri)
            arrived(guest, target)
            guest.ordered(*sent, received=number > 0)
            target.ordered(received=True)
            guest.close()
            guest = target


@on_both('two vCPUs, two hops and back, down pipes')
def pipe_hops(env, one, two):
    hop(env, (one, two, one, two), waiting, PIPE, **SMP)


@on_both('two vCPUs, two hops and back, over sockets')
def socket_hops(env, one, two):
    hop(env, (one, two, one, two), listening, SOCKET, **SMP)


@on_both('two vCPUs, there and back, over multifd')
def multifd_hops(env, one, two):
    hop(env, (one, two, one), multifd, SOCKET, **EFI, **SMP)


def multifd(*arguments, **options):
    return listening(*arguments, multifd=3, **options)


@on_both('away after a reset')
def reset(env, one, two):
    with running(env, 'reset', one, **EFI) as guest:
        guest.cmd('system_reset')
        guest.wait_text('STARTED', times=2)
        guest.soundly()
        with waiting(env, guest, two, **EFI) as (target, uri):
            completes(guest, uri)
            arrived(guest, target)


# --- It is called off ---------------------------------------------------------


def cancel(guest, uri):
    """In the middle of the pages."""
    guest.takes(SLOW_US)
    guest.cmd('migrate-set-parameters', downtime_limit=ENDLESS_MS)
    guest.cmd('migrate', uri=uri)
    guest.wait_sent(5)
    guest.cmd('migrate_cancel')
    info = guest.wait_migration()
    guest.cmd('migrate-set-parameters', downtime_limit=USUAL_MS)
    check(info['status'] == 'cancelled', f'{info}')


@on_both('a cancelled migration leaves the guest, which moves later')
def cancelled(env, one, two):
    with running(env, 'cancel', one, **EFI) as guest, \
            waiting(env, guest, two, **EFI) as (target, uri):
        cancel(guest, NULL)
        guest.ordered(*PIPE)
        guest.soundly()
        guest.obeys()
        completes(guest, uri)
        arrived(guest, target)


@on_both('cancelled over a socket and over multifd, it stays; then it moves')
def cancelled_lines(env, one, two):
    with running(env, 'cancel', one) as guest:
        for way in (listening, multifd):
            with way(env, guest, two) as (target, uri):
                cancel(guest, uri)
                check(guest.order()[-1] == 'SEND_CANCEL', f'{guest.order()}')
                guest.soundly()
                check(not target.ticks(), 'it runs there as well')
            guest.obeys()
        with multifd(env, guest, two) as (target, uri):
            completes(guest, uri)
            arrived(guest, target)


# --- The secure processor refuses ---------------------------------------------


@on_both('each command of a source is refused: it runs on, and moves at last')
def source_refused(env, one, two):
    with running(env, 'faults', one, **EFI) as guest, \
            waiting(env, guest, two, **EFI) as (target, uri):
        for command, nth, status in (('SEND_START', 1, RESOURCES),
                                     ('SEND_UPDATE_DATA', 2, HARDWARE),
                                     ('SEND_UPDATE_DATA', 40, HARDWARE)):
            guest.fails(command, nth, status)
            expect_error(migrate(guest, NULL), rf'{command}: .* \({status}\)')
            guest.obeys()
            guest.soundly(1)
        # What cannot be cancelled is cancelled before the next attempt.
        guest.fails('SEND_CANCEL')
        cancel(guest, NULL)
        guest.soundly(1)
        guest.obeys()
        completes(guest, uri)
        arrived(guest, target)


TARGET_FAULTS = (
    ('RECEIVE_START', 1, RESOURCES),
    ('RECEIVE_UPDATE_DATA', 1, HARDWARE),
    ('RECEIVE_UPDATE_DATA', 40, HARDWARE),
    ('RECEIVE_FINISH', 1, HARDWARE),
)


@on_both('each command of a target is refused: it ends, and says which')
def target_refused(env, one, two):
    stream = env.lab.large('faults.stream')
    with running(env, 'faults', one, **EFI) as guest:
        guest.name_target(two)
        completes(guest, f'exec:cat > {stream}')
    for command, nth, status in TARGET_FAULTS:
        target = two.tiny(env, f'fault-{command}', incoming='defer', **EFI)
        with contextlib.closing(target.start()):
            target.fails(command, nth, status)
            with contextlib.suppress(Failed):   # it may end before it answers
                target.cmd('migrate-incoming', uri=f'exec:cat {stream}')
            said = last_words(target)
            check(re.search(rf'{command}: .* \({status}\)', said),
                  f'{command}: {said}')
    with contextlib.closing(two.tiny(
            env, 'no-fault', incoming=f'exec:cat {stream}',
            **EFI).start()) as target:
        target.soundly()
    stream.unlink()


SOURCE_SAYS = r'{command}: .* \({status}\)'
TARGET_SAYS = r'target refused: .*{command}: .* \({status}\)'

LINE_FAULTS = (
    # over what, on whom, which command, and the number of its refusal
    (listening, 'source', 'SEND_START', 1, RESOURCES),
    (listening, 'source', 'SEND_UPDATE_DATA', 9, HARDWARE),
    (multifd, 'source', 'SEND_UPDATE_DATA', 9, HARDWARE),
    (listening, 'target', 'RECEIVE_START', 1, RESOURCES),
    (listening, 'target', 'RECEIVE_UPDATE_DATA', 9, HARDWARE),
    (multifd, 'target', 'RECEIVE_UPDATE_DATA', 9, HARDWARE),
    (listening, 'target', 'RECEIVE_FINISH', 1, HARDWARE),
    (multifd, 'target', 'RECEIVE_FINISH', 1, HARDWARE),
)


@on_both('whoever is refused on a line, the guest runs on, and moves at last')
def line_refused(env, one, two):
    with running(env, 'faults', one, **EFI) as guest:
        for way, who, command, nth, status in LINE_FAULTS:
            guest.capabilities(multifd=False)
            with way(env, guest, two, **EFI) as (target, uri):
                failing = guest if who == 'source' else target
                failing.fails(command, nth, status)
                words = SOURCE_SAYS if who == 'source' else TARGET_SAYS
                try:
                    expect_error(migrate(guest, uri), words.format(
                        command=command, status=status))
                except Failed as error:
                    raise Failed(f'{who} {command}: {error}') from error
                guest.obeys()
                guest.soundly(1)
                check(not target.ticks(), f'{command}: it runs there as well')
        guest.capabilities(multifd=False)
        with listening(env, guest, two, **EFI) as (target, uri):
            completes(guest, uri)
            arrived(guest, target)


@on_both('SEND_FINISH is refused, and the guest runs in one place')
def finish_refused(env, one, two):
    with running(env, 'finish', one, **EFI) as guest, \
            listening(env, guest, two, **EFI) as (target, uri):
        guest.fails('SEND_FINISH')
        completes(guest, uri)
        arrived(guest, target)
        count = len(guest.ticks())
        stays_away(guest)
        target.soundly()
        check(len(guest.ticks()) == count, 'it runs at both ends')
