# SPDX-License-Identifier: GPL-2.0-or-later
"""A target without a key that knows the protocol: it gets nothing, and costs nothing.

Every message in every state of the source's return path
(docs/interop/sev-record.rst has the table), a flood of them, and every
acknowledgement that somebody without the platform can make.  The guest runs on
where it is each time.
"""

import base64
import contextlib
import struct
import threading

import liar
from again import begin_migration
from golden import Tiny
from liar import (PONG, RECV_BITMAP, REQ_PAGES, REQ_PAGES_ID, RESUME_ACK,
                  RP_ACK, RP_CERTS, RP_REFUSAL, SHUT, SWITCHOVER_ACK, Liar,
                  message)
from registry import expect_error, test
from test_handover import ended, listen, tiny
from verdict import check, wait_until

STATES = ('quiet', 'asked', 'sending', 'sent', 'judging')
FLOOD = 4000000
GROWTH = 64 << 20               # bytes that a flood may cost
NOTHING = bytes(32)

# (message, what the source says), the same in every state
ALWAYS = {
    'SWITCHOVER_ACK': (message(SWITCHOVER_ACK), 'SWITCHOVER_ACK .* out of place'),
    'REQ_PAGES': (message(REQ_PAGES, bytes(12)), 'REQ_PAGES .* out of place'),
    'REQ_PAGES_ID': (message(REQ_PAGES_ID, bytes(12) + b'\6pc.ram'),
                     'REQ_PAGES_ID .* out of place'),
    'RECV_BITMAP': (message(RECV_BITMAP, b'\6pc.ram'),
                    'RECV_BITMAP .* out of place'),
    'RESUME_ACK': (message(RESUME_ACK, bytes(4)), 'RESUME_ACK .* out of place'),
    'type 0': (message(0), 'unknown type 0x0000, 0 bytes'),
    'type 8': (message(8, bytes(7)), 'unknown type 0x0008, 7 bytes'),
    'type 0x5e00': (message(0x5e00, b'x'), 'unknown type 0x5e00'),
    'type 0x5e04': (message(0x5e04, b'x'), 'unknown type 0x5e04'),
    'type 0xffff': (message(0xffff, bytes(65535)), 'unknown type 0xffff, 65535'),
    'an empty refusal': (message(RP_REFUSAL), 'refusal of 0 bytes, not 1 to 1024'),
    'a long refusal': (message(RP_REFUSAL, bytes(1025)),
                       'refusal of 1025 bytes, not 1 to 1024'),
    'a refusal': (message(RP_REFUSAL, b'I do not\n\x1b[31mlike it'),
                  r'the target refused: I do not  \[31mlike it'),
}
EARLY_SHUT = {
    'quiet': 'before it sent its SEV certificates',
    'asked': 'before it sent its SEV certificates',
    'sending': r'while it was sent the guest \(SHUT, error',
    'sent': r'before it acknowledged the guest \(SHUT, error',
    'judging': r'before its acknowledgement was looked at \(SHUT, error',
}


def messages(state, certs):
    """{name: (message, what the source says)} of what is refused in @state."""
    out = dict(ALWAYS)
    out['SHUT 0'] = message(SHUT, bytes(4)), EARLY_SHUT[state]
    out['SHUT 7'] = message(SHUT, b'\0\0\0\7'), EARLY_SHUT[state]
    out['SHUT of 5 bytes'] = message(SHUT, bytes(5)), 'SHUT .* 5 bytes. is out of'
    out['an acknowledgement'] = liar.ack(NOTHING), 'out of place'
    if state == 'asked':
        out['certificates of 3 bytes'] = (
            message(RP_CERTS, b'abc'), 'certificates of 3 bytes, not 16 to')
        out['certificates that are none'] = (
            message(RP_CERTS, liar.record(liar.GO)), 'a GO record, not CERTS')
        out['certificates twice'] = certs + certs, r'certificates .* out of place'
        out['no record'] = message(RP_CERTS, bytes(99)), 'starts with 0x00000000'
    elif state != 'quiet':
        out['certificates'] = certs, 'certificates .* out of place'
    if state in ('quiet', 'asked'):
        out['PONG of 3 bytes'] = message(PONG, bytes(3)), 'PONG of 3 bytes, not 4'
        out['PONG twice'] = 2 * message(PONG, bytes(4)), 'PONG .* a second time'
    elif state == 'judging':
        out['PONG'] = message(PONG, bytes(4)), 'PONG .* out of place'
    else:
        out['PONG'] = message(PONG, bytes(4)), 'PONG 0x00000000 (answers|is out)'
        # PINGs count from 0x5e000001, and there are not so many.
        out['PONG of the future'] = (message(PONG, b'\x5e\x12\x34\x56'),
                                     'PONG 0x5e123456 (answers|is out)')
    if state == 'sent':
        del out['an acknowledgement']
        out['an acknowledgement of 15 bytes'] = (
            message(RP_ACK, bytes(15)), 'acknowledgement of 15 bytes, not 16 to')
        out['an acknowledgement that is none'] = (
            message(RP_ACK, liar.record(liar.GO)), 'a GO record, not ACK')
        out['an acknowledgement of nothing'] = (
            liar.ack(NOTHING), 'acknowledges another stream')
    return out


@contextlib.contextmanager
def running(env):
    """A guest that runs, on a host that trusts b; it must run on, and move."""
    env.host('a').trust(env.host('b'))
    with tiny(env, 'source', 'a') as source:
        source.wait_sound()
        yield source
        source.wait_sound()
        source.cmd('migrate-set-parameters', sev_acknowledgement='attested')
        with tiny(env, 'target', 'b', incoming=True) as target:
            source.cmd('migrate', uri=f'tcp:127.0.0.1:{listen(target)}')
            info = ended(source)
            check(info['status'] == 'completed', f'it does not move: {info}')
            target.wait_sound()


def stays(source, name):
    """It failed, and the guest runs."""
    info = ended(source)
    check(info['status'] == 'failed', f'{name}: it ended as {info}')
    wait_until(f'the guest after {name}', 10,
               lambda: source.cmd('query-status')['running'])
    return info


def fault(source, text):
    source.cmd('qom-set', path='/objects/sev0', property='x-fault', value=text)


# The source goes through the others at once: it is held where they have begun.
HOLD = {'sending': 'pages-write:stall=20000', 'judging': 'ack-check:stall=20000'}


def lie(env, source, state, say):
    """Say it in that state; what the source says."""
    with Liar(env.host('b')) as other:
        fault(source, HOLD.get(state, ''))
        begin_migration(source, other.uri)
        other.reach(state)
        if state == 'judging':
            other.say(liar.ack(liar.digest(other.data)))
            log = env.lab.folder / f'{source.name}.log'
            wait_until('the acknowledgement to be looked at', 20, lambda:
                       b'stall at ack-check' in log.read_bytes())
        other.say(say)
        if state in HOLD:
            wait_until('the source to have heard it', 15, lambda:
                       source.cmd('query-migrate').get('error-desc'))
            fault(source, '')
        if state == 'judging':
            log.write_bytes(b'')
        return stays(source, f'{state}, {say[:8]}')


@test('liar: every message in every state is refused, and the guest runs on')
def every(env):
    with running(env) as source, Liar(env.host('b')) as honest:
        certs = honest.certs
        for state in STATES:
            for name, (say, pattern) in messages(state, certs).items():
                info = lie(env, source, state, say)
                try:
                    expect_error(info, pattern)
                except Exception as error:
                    raise type(error)(f'{name} in state {state}: {error}') \
                        from error


def resident(guest):
    with open(f'/proc/{guest.vm.get_pid()}/status', encoding='ascii') as file:
        return next(int(line.split()[1]) << 10 for line in file
                    if line.startswith('VmRSS'))


@test('liar: a flood of page requests is refused at the first one')
def flood(env):
    with running(env) as source, Liar(env.host('b')) as other:
        fault(source, 'pages-write:stall=30000')
        source.cmd('migrate', uri=other.uri)
        other.reach('sending')
        before = resident(source)
        request = message(REQ_PAGES_ID, struct.pack('>QI', 0, 4096) + b'\6pc.ram')
        saying = threading.Thread(target=other.say, args=(
            request + message(REQ_PAGES, struct.pack('>QI', 0, 4096)) * FLOOD,))
        saying.start()
        saying.join(4)          # it is not read any more, or all of it was
        grown = resident(source) - before
        fault(source, '')
        check(grown < GROWTH, f'the source grew by {grown >> 20} MiB')
        expect_error(stays(source, 'a flood'), 'REQ_PAGES_ID .* out of place')
        other.line.close()
        saying.join(30)


@test('liar: an early end does not end the guest')
def early(env):
    with running(env) as source:
        for state in ('asked', 'sending', 'sent'):
            with Liar(env.host('b')) as other:
                begin_migration(source, other.uri)
                other.reach(state)
                other.say(message(SHUT, bytes(4)))
                expect_error(stays(source, f'SHUT in state {state}'),
                             'the target ended the migration')


def report(platform, nonce):
    """What only the owner of that platform can have."""
    answer = platform.cmd('query-sev-attestation-report',
                          mnonce=base64.b64encode(nonce).decode())
    return base64.b64decode(answer['data'])


def acknowledged(env, source, make):
    """Acknowledge with what @make makes of the digest; what the source says."""
    with Liar(env.host('b')) as other:
        begin_migration(source, other.uri)
        other.reach('sent')
        other.say(make(liar.digest(other.data)))
        if other.read_until(liar.GO):
            other.say(message(SHUT, bytes(4)))
        return ended(source)


@test('liar: an acknowledgement that nobody can make without the platform')
def unproven(env):
    with running(env) as source, tiny(env, 'platform', 'b') as platform, \
            tiny(env, 'stranger', 'c') as stranger, \
            tiny(env, 'other', 'b', policy=0x3) as policy:
        old = []

        def remember(name):
            old.append(name)
            return liar.ack(name)

        def replayed(_name):
            return report(platform, old[0][:16])

        for pattern, make in (
                (r'made no attestation report \(status 0\)', remember),
                (r'made no attestation report \(status 2\)',
                 lambda name: liar.ack(name, 2)),
                ('not signed by the platform', lambda name: liar.ack(
                    name, 0, bytes(208))),
                ('not signed by the platform', lambda name: liar.ack(
                    name, 0, report(stranger, name[:16]))),
                ('answers another question', lambda name: liar.ack(
                    name, 0, replayed(name))),
                ('of a guest with policy 0x3, not 0x1', lambda name: liar.ack(
                    name, 0, report(policy, name[:16]))),
                ('acknowledges another stream', lambda name: liar.ack(
                    name[::-1], 0, report(platform, name[:16])))):
            info = acknowledged(env, source, make)
            expect_error(info, pattern)
            source.wait_sound(5)


@test('liar: what each kind of acknowledgement proves')
def proven(env):
    env.host('a').trust(env.host('b'))
    # The owner of the platform can say that it has the guest.
    with tiny(env, 'source', 'a') as source, \
            tiny(env, 'platform', 'b') as platform:
        source.wait_sound()
        info = acknowledged(env, source, lambda name: liar.ack(
            name, 0, report(platform, name[:16])))
        check(info['status'] == 'completed', f'it says {info}')
    # With 'digest' anybody can who has read all of it.
    with tiny(env, 'source', 'a') as source:
        source.wait_sound()
        source.cmd('migrate-set-parameters', sev_acknowledgement='digest')
        info = acknowledged(env, source, lambda name: liar.ack(name[::-1]))
        expect_error(info, 'acknowledges another stream')
        info = acknowledged(env, source, lambda name: liar.ack(name, 2))
        check(info['status'] == 'completed', f'it says {info}')
