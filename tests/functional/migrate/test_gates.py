# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest that was sent never runs again here, whoever asks, and its key is gone."""

import contextlib
import re
import struct

import keyscan
from gdbremote import Gdb
from golden import Tiny
from guest import free_port
from registry import test
from verdict import Failed, check, wait_until

SENT = r'SEV: the guest was migrated away: .* its key here is gone'
HANDED = r'SEV: the guest is being handed over to the target'
# What the guest has in its memory: words that follow from their address.
PLAIN = struct.pack('<32H', *(at ^ 0xa55a for at in range(0x8000, 0x8040, 2)))
STOPPED = ('postmigrate', 'prelaunch', 'paused')


@contextlib.contextmanager
def pair(env):
    """A small guest that counts, and a target that waits with -S."""
    here, there = env.host('a'), env.host('b')
    here.trust(there)
    with Tiny(env.lab, env.name('gate'), here) as source, \
            Tiny(env.lab, env.name('gate-to'), there, True,
                 extra=['-S']) as target:
        source.wait_sound()
        yield source, target


def send(source, target):
    uri = f'tcp:127.0.0.1:{free_port()}'
    target.cmd('migrate-incoming', uri=uri, exit_on_error=False)
    source.cmd('migrate', uri=uri)


def sent(source, target):
    send(source, target)
    info = source.wait_migration()
    check(info['status'] == 'completed', f'the migration: {info}')


def stays(source, printed, states=STOPPED):
    status = source.cmd('query-status')
    check(not status['running'] and status['status'] in states,
          f'it is {status}')
    check(source.screen.read_bytes() == printed, 'the guest ran again')


def monitor(source, line):
    return source.cmd('human-monitor-command', command_line=line)


def refuses(gdb, packet, sentence):
    said = gdb.resume(packet)
    check(re.match('E.' + sentence, said), f'gdb\'s {packet} is answered {said}')


@test('gate: a sent guest does not start by gdb, monitor or reset')
def never_again(env):
    with pair(env) as (source, target):
        sent(source, target)
        printed = source.screen.read_bytes()
        with Gdb(source) as gdb:
            for packet in ('c', 's', 'vCont;c', 'vCont;s:p1.1'):
                refuses(gdb, packet, SENT)
                stays(source, printed)
            check(len(gdb.read(0x7000, 4) or b'') == 4, 'gdb reads no memory')
        stays(source, printed)                          # it detached: "D"
        check(re.search(SENT, monitor(source, 'cont')), 'HMP cont')
        source.cmd('system_reset')
        wait_until('the reset', 20, lambda: source.cmd(
            'query-status')['status'] == 'prelaunch')
        with Gdb(source) as gdb:
            refuses(gdb, 'c', SENT)
        check(re.search(SENT, monitor(source, 'cont')), 'HMP cont after reset')
        try:
            source.cmd('cont')
        except Failed as error:
            check(re.search(SENT, str(error)), str(error))
        else:
            raise Failed('cont is accepted')
        stays(source, printed)
        check(re.search(SENT, source.log()), f'the log says {source.log()}')
        target.cmd('cont')
        target.wait_sound()


@test('gate: a guest that is being handed over does not start by gdb')
def handed_over(env):
    with pair(env) as (source, target):
        for guest in (source, target):
            guest.cmd('migrate-set-capabilities', capabilities=[
                {'capability': 'pause-before-switchover', 'state': True}])
        send(source, target)
        wait_until('the switchover', 20, lambda: source.cmd(
            'query-migrate').get('status') == 'pre-switchover')
        printed = source.screen.read_bytes()
        with Gdb(source) as gdb:
            refuses(gdb, 'c', HANDED)
            stays(source, printed, ('finish-migrate',))
        stays(source, printed, ('finish-migrate',))     # it detached: "D"
        source.cmd('migrate_cancel')                    # it runs on, alone
        wait_until('the end of it', 20, lambda: source.cmd(
            'query-migrate').get('status') == 'cancelled')
        source.wait_sound()


@test('gate: the key and the plaintext of a sent guest are gone')
def forgotten(env):
    key_is_gone(env, '')


@test('gate: the key is gone even if the firmware refuses SEND_FINISH')
def refused(env):
    key_is_gone(env, 'send-finish')


def key_is_gone(env, fault):
    with pair(env) as (source, target):
        if fault:
            source.cmd('qom-set', path='/objects/sev0', property='x-fault',
                       value=fault)
        pid = source.vm.get_pid()
        before = keyscan.keys(pid)
        check(len(before) > 1, f'a running guest shows {len(before)} keys')
        check(keyscan.hits(pid, [PLAIN]), 'a running guest shows no plaintext')
        # The transport key as well, from the middle of the migration.
        for guest in (source, target):
            guest.cmd('migrate-set-capabilities', capabilities=[
                {'capability': 'pause-before-switchover', 'state': True}])
        send(source, target)
        wait_until('the switchover', 20, lambda: source.cmd(
            'query-migrate').get('status') == 'pre-switchover')
        before |= keyscan.keys(pid)
        check(keyscan.hits(pid, before) >= len(before), 'the scan is blind')
        source.cmd('migrate-continue', state='pre-switchover')
        info = source.wait_migration()
        check(info['status'] == 'completed', f'the migration: {info}')
        # SEND_FINISH comes a moment after the state.
        wait_until('the end of all keys', 20,
                   lambda: not keyscan.hits(pid, before))
        check(not keyscan.keys(pid), 'other keys are there now')
        check(not keyscan.hits(pid, [PLAIN]), 'its plaintext is there')
        check(('SEND_FINISH' in source.log()) == bool(fault), source.log())
