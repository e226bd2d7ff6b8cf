# SPDX-License-Identifier: GPL-2.0-or-later
"""A running guest moves between hosts; whatever goes wrong, it runs on.

The refusals come first and share one source guest: each leaves it counting.
The move at the end takes it away.
"""

import contextlib
import re

import hunt
from compare import analyze
from netlab import PORT, SUBNET, NetLab
from registry import expect_error, test
from verdict import Failed, check, wait_until
from tamper import Proxy, cut_after, flip_in_packet

# What query-migrate must say.  What the target found out, it tells the source.
SENTENCES = {
    'flipped': r'fails its MAC: it was changed on the way',
    'cut': r'(before the SEV section reached its END|cut short in)',
    'untrusted': r'SEV: the target platform is not trusted: ',
    'nosend': r'NOSEND',
    'other host': r'is sealed to the platform [0-9a-f]{64}, this one is ',
    'sent': r'(the guest was migrated away: .*key.* is gone|'
            r'paused due to previous migration)',
}


def interfere(env, edit):
    """Migrate a guest through a proxy; (source's, target's) query-migrate."""
    with env.booted() as source, env.target() as target:
        proxy = Proxy(target.listen(source), edit)
        here = source.migrate(proxy.uri)
        return here, target.wait_migration()


@test('refusal: a byte of a packet was flipped')
def flipped(env):
    here, there = interfere(env, flip_in_packet())
    expect_error(here, r'the target refused: .*' + SENTENCES['flipped'])
    expect_error(there, SENTENCES['flipped'])


@test('refusal: the stream ends too early')
def cut(env):
    here, there = interfere(env, cut_after(30 << 20))
    check(here['status'] == 'failed', f'the source says {here["status"]}')
    expect_error(there, SENTENCES['cut'])


@test('refusal: the target is no platform we trust')
def untrusted(env):
    with env.booted() as source, \
            env.target('stranger', trusted=False) as target:
        info = source.migrate(f'tcp:127.0.0.1:{target.listen(source)}')
        expect_error(info, SENTENCES['untrusted'])


@test('refusal: the policy has NOSEND')
def nosend(env):
    with env.booted(policy=0x9) as source, env.target(policy=0x9) as target:
        port = target.listen(source)
        try:
            source.cmd('migrate', uri=f'tcp:127.0.0.1:{port}')
        except Exception as error:      # refused at once is even better
            info = dict(status='failed', **{'error-desc': str(error)})
        else:
            info = source.wait_migration()
        expect_error(info, SENTENCES['nosend'])


@test('cancel: a migration under way is called off', sev=False)
def cancel(env):
    with env.booted() as source, env.target() as target:
        port = target.listen(source)
        source.cmd('migrate-set-parameters', max_bandwidth=8 << 20)
        source.cmd('migrate', uri=f'tcp:127.0.0.1:{port}')
        wait_until('first megabytes', 20, lambda: source.migration().get(
            'ram', {}).get('transferred', 0) > 2 << 20)
        source.cmd('migrate_cancel')
        info = source.wait_migration()
        source.cmd('migrate-set-parameters', max_bandwidth=1 << 30)
        check(info['status'] == 'cancelled', f'it ended {info["status"]}')


@test('file: save, restore on the same host; not on another', sev=False)
def save_restore(env):
    image = env.lab.large('saved.image')
    with env.booted(keep=False) as source:
        source.cmd('stop')
        saved_at = source.sound_ticks()[-1][0]
        info = source.migrate(f'file:{image}')
        check(info['status'] == 'completed', f'save: {info}')
        check(not env.lab.sev or not hunt.count(image, env.lab.needle()),
              'the secret is in the file')
        if env.lab.sev:
            refused_elsewhere(env, image)
        restored = env.start('restored', incoming='defer')
        with contextlib.closing(restored):
            restored.cmd('migrate-incoming', uri=f'file:{image}',
                         exit_on_error=False)
            restored.wait_loaded()
            restored.cmd('cont')
            ticks = restored.wait_ticks(5)
            check(ticks[0][0] == saved_at + 1, f'it began at {ticks[0][0]}')
        source.cmd('cont')              # nobody said that it arrived
        source.wait_ticks(3)


def gone(source):
    """What was sent exists once: its source neither runs nor sends again."""
    for command, arguments in (('cont', {}),
                               ('migrate', {'uri': 'tcp:127.0.0.1:9'})):
        try:
            source.cmd(command, **arguments)
        except Failed as error:
            check(re.search(SENTENCES['sent'], str(error)), str(error))
        else:
            check(False, f'"{command}" was accepted on the source')


def refused_elsewhere(env, image):
    other = env.start('other-host', 'b', incoming='defer')
    with contextlib.closing(other):
        other.cmd('migrate-incoming', uri=f'file:{image}', exit_on_error=False)
        expect_error(other.wait_migration(), SENTENCES['other host'])


@test('migrate: counter, memory and TCP survive; the stream is ciphertext',
      sev=False)
def migrate(env):
    boot = dict(address=f'{SUBNET}.2/24', peer=f'{SUBNET}.1:{PORT}')
    stream = env.lab.large('migration.stream')
    with NetLab(env.lab.seed) as net, stream.open('wb') as record:
        source = env.boot('source', net=net, boot=boot)
        owned = launched(source)
        with env.target(net=net, boot=boot) as target:
            proxy = Proxy(target.listen(source), record=record)
            info = source.migrate(proxy.uri)
            check(info['status'] == 'completed', f'it ended: {info}')
            ticks = target.wait_ticks(10)
            check(launched(target) == owned,
                  f'{owned} became {launched(target)}')
            source.close()
            peer = net.connections()
            check(len(peer) == 1 and peer[0]['open'] and not peer[0]['bad'],
                  f'the TCP peer saw {peer}')
            check(ticks[-1][4] > 5, f'{ticks[-1][4]} records echoed')
            proxy.finish()
            record.flush()
            hits = hunt.count(stream, env.lab.needle())
            check(bool(hits) != env.lab.sev, f'{hits} hits in the stream')
            if env.lab.sev:
                counted(info['sev'], analyze(stream))
            second_hop(env, target, net, boot)


def launched(guest):
    """What the owner may ask about the launch, wherever the guest runs."""
    if not guest.sev:
        return None
    sev = guest.cmd('query-sev')
    return (guest.cmd('query-sev-launch-measure')['data'],
            *(sev[k] for k in ('policy', 'api-major', 'api-minor', 'build-id')))


def counted(said, seen):
    """QEMU's statistics against the stream as recorded."""
    for member in ('packets', 'private-pages', 'packet-bytes'):
        ours = seen[member.replace('-', '_')]
        check(said[member] == ours > 0,
              f'query-migrate: {member} {said[member]}, in the stream {ours}')


def second_hop(env, source, net, boot):
    """And back: host B sends what it received."""
    with env.target('a', source='b', net=net, boot=boot) as target:
        info = source.migrate(f'tcp:127.0.0.1:{target.listen(source)}')
        check(info['status'] == 'completed', f'second move: {info}')
        target.wait_ticks(5)


@test('migrate: two processors', sev=False)
def two_processors(env):
    source = env.boot('smp', smp=2)
    with env.target(smp=2) as target:
        info = source.migrate(f'tcp:127.0.0.1:{target.listen(source)}')
        check(info['status'] == 'completed', f'it ended: {info}')
        target.wait_ticks(5)
        if env.lab.sev:
            gone(source)
    source.close()


@test('migrate: six hops with two processors', sev=False, slow=True)
def six_hops(env):
    guest = env.boot('hop-0', smp=2)
    for hop in range(1, 7):
        here, there = ('a', 'b') if hop % 2 else ('b', 'a')
        if env.lab.sev:
            env.host(here).trust(env.host(there))
        target = env.start(f'hop-{hop}', there, incoming='defer', smp=2)
        info = guest.migrate(f'tcp:127.0.0.1:{target.listen(guest)}')
        check(info['status'] == 'completed', f'hop {hop}: {info}')
        target.wait_ticks(4)
        guest.close()
        guest = target
    guest.close()
