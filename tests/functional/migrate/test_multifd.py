# SPDX-License-Identifier: GPL-2.0-or-later
"""Packets on multifd's channels, and what goes wrong there."""

import re
import time

import pki
from registry import expect_error, test
from tamper import Lines, flip_in_packet
from verdict import Failed, check, wait_until

# A network card's rings become shared and private again, over and over.  Not the
# RNG's, whose thread may not have run when its driver goes: Linux stops it once more
# the next time, and it is freed memory by then, in ordinary guests as well.
CARD = ('-device', 'virtio-net-pci,romfile=')
FLIP = ('cd /sys/bus/virtio/drivers/virtio_net && d=$(ls -d virtio*) && n=0 && '
        'while echo $d > unbind && echo $d > bind; do '
        'n=$((n+1)); echo $n > /flips; done')
STRESS = '(tools stress 10 32 2; echo over) > /stress 2>&1'


def channels(number, *guests):
    for guest in guests:
        guest.capability('multifd')
        guest.cmd('migrate-set-parameters', multifd_channels=number)


def forget(guest):
    """A guest that others use again."""
    guest.capability('multifd', False)


def busy_move(env, number, smp):
    """Both directions of the page state change while channels work."""
    options = dict(smp=smp, shell=True, extra=CARD)
    source = env.boot('busy', **options)
    with env.target(**options) as target:
        source.shell.must(f'({FLIP}) & ({STRESS}) &')
        source.wait_ticks(3)
        channels(number, source, target)
        info = source.migrate(f'tcp:127.0.0.1:{target.listen(source)}')
        check(info['status'] == 'completed', f'it ended: {info}')
        check(info['ram']['multifd-bytes'] > info['sev']['packet-bytes'] > 0,
              f'packets are not on the channels: {info}')
        source.close()
        target.wait_ticks(8)
        said = wait_until('end of the stress', 120, lambda: 'over' in (
            text := target.shell.must('cat /stress')) and text, 1)
        check(len(re.findall(': ok,', said)) == 2, f'processes say: {said}')
        flips = re.search(r'^(\d+)\s*$', target.shell.must('cat /flips'), re.M)
        check(flips and int(flips.group(1)) > 1, 'nothing changed sides')


@test('multifd: 2 channels, processes write and pages change sides')
def two_channels(env):
    busy_move(env, 2, 2)


@test('multifd: 4 channels, processes write and pages change sides')
def four_channels(env):
    busy_move(env, 4, 1)


@test('multifd: with TLS, there and back', sev=False)
def with_tls(env):
    folder = pki.make(env.folder / 'pki')
    source = env.boot('tls')
    for here, there in (('a', 'b'), ('b', 'a')):
        if env.lab.sev:
            env.host(here).trust(env.host(there))
        target = env.start(f'tls-{there}', there, incoming='defer')
        channels(2, source, target)
        pki.use(source, folder, 'client')
        pki.use(target, folder, 'server')
        info = source.migrate(f'tcp:127.0.0.1:{target.listen(source)}')
        check(info['status'] == 'completed', f'it ended: {info}')
        target.wait_ticks(5)
        source.close()
        source = target
        pki.drop(source)
    source.close()


@test('multifd: a migration under way is called off, the next one completes')
def cancel(env):
    source = env.boot('cancel', smp=2)
    with env.target(smp=2) as target:
        channels(2, source, target)
        port = target.listen(source)
        source.cmd('migrate-set-parameters', max_bandwidth=8 << 20)
        source.cmd('migrate', uri=f'tcp:127.0.0.1:{port}')
        wait_until('first packets', 20, lambda: source.migration().get(
            'sev', {}).get('packets', 0) > 500)
        source.cmd('migrate_cancel')
        info = source.wait_migration()
        check(info['status'] == 'cancelled', f'it ended {info["status"]}')
        source.wait_ticks(3)
    source.cmd('migrate-set-parameters', max_bandwidth=1 << 30)
    with env.target(smp=2) as target:
        channels(2, target)
        info = source.migrate(f'tcp:127.0.0.1:{target.listen(source)}')
        check(info['status'] == 'completed', f'it ended: {info}')
        target.wait_ticks(5)
    source.close()


@test('multifd: called off during its TLS handshakes, ten times')
def cancel_handshakes(env):
    folder = pki.make(env.folder / 'pki-cancel')
    with env.booted() as source:
        pki.use(source, folder, 'client')
        for attempt in range(10):
            with env.target() as target:
                channels(4, source, target)
                pki.use(target, folder, 'server')
                port = target.listen(source)
                source.cmd('migrate', uri=f'tcp:127.0.0.1:{port}')
                time.sleep(attempt * 0.004)
                source.cmd('migrate_cancel')
                info = source.wait_migration()
                check(info['status'] in ('cancelled', 'failed'),
                      f'attempt {attempt} ended {info["status"]}')
        pki.drop(source)
        forget(source)


def interfere(env, edit):
    """Two channels through the proxy; (source's, target's) query-migrate."""
    with env.booted() as source, env.target() as target:
        channels(2, source, target)
        lines = Lines(target.listen(source), edit)
        here = source.migrate(f'tcp:127.0.0.1:{lines.port}')
        there = target.wait_migration()
        lines.stop()
        forget(source)
        return here, there


@test('multifd: one channel is cut')
def cut(env):
    def edit(number, offset, data):
        return data if number != 1 or offset < 4 << 20 else None

    here, there = interfere(env, edit)
    for info in (here, there):
        check(info['status'] == 'failed', f'it ended {info["status"]}')


@test('multifd: a byte of a packet on a channel was flipped')
def flipped(env):
    edits = {1: flip_in_packet(), 2: flip_in_packet()}

    def edit(number, offset, data):
        return edits[number](offset, data) if number in edits else data

    here, there = interfere(env, edit)
    sentence = r'Multifd channel [01]: Page 0x.* fails its MAC'
    expect_error(there, sentence)
    expect_error(here, r'the target refused: ' + sentence)


# (channels of the source, of the target; 0: no multifd), who says what
UNEQUAL = (
    (2, 0, r"before the target read its channels, as when capability 'multifd' "
           r"is off there, or 'multifd-channels' is not 2", r'.'),
    (0, 2, r"the target refused: SEV: capability 'multifd' is on at the target, "
           r"with 2 channels, and the source did not open them",
     r"^SEV: capability 'multifd' is on at the target, with 2 channels"),
    (2, 4, r"the target refused: SEV: capability 'multifd' is on at the target, "
           r"with 4 channels, and the source did not open them",
     r"^SEV: capability 'multifd' is on at the target, with 4 channels"),
    # The source hears why, if the target's load began before the line broke.
    (4, 2, r"before the target read its channels, .*'multifd-channels' is not 4|"
           r'target refused: .*channel id [23] is greater than number of channels',
     r"channel id [23] is greater than number of channels 2|"
     r"'multifd-channels' is 2 here, and may be another"),
)


@test('multifd: at one end only, or with other numbers of channels')
def unequal(env):
    with env.booted() as source:
        for here, there, source_says, target_says in UNEQUAL:
            with env.target() as target:
                for guest, number in ((source, here), (target, there)):
                    if number:
                        channels(number, guest)
                port = target.listen(source)
                expect_error(source.migrate(f'tcp:127.0.0.1:{port}'),
                             source_says)
                expect_error(target.wait_migration(), target_says)
            forget(source)
        with env.target() as target:
            channels(2, target)
            source.cmd('migrate',
                       uri=f'tcp:127.0.0.1:{target.listen(source)}')
            source.cmd('migrate_cancel')
            info = source.wait_migration()
            check(info['status'] in ('cancelled', 'failed'), f'it ended: {info}')


def said(command, *arguments, **named):
    """The words of a refusal."""
    try:
        command(*arguments, **named)
    except Failed as error:
        return str(error)
    raise Failed(f'{arguments} {named} was accepted')


@test('multifd: what does not go with it is refused in words')
def refused(env):
    with env.booted() as source:
        channels(2, source)
        source.cmd('migrate-set-parameters', multifd_compression='zstd')
        words = said(source.cmd, 'migrate', uri='tcp:127.0.0.1:9')
        source.cmd('migrate-set-parameters', multifd_compression='none')
        check('multifd-compression' in words, words)
        words = said(source.capability, 'zero-copy-send')
        check("'zero-copy-send': a packet's buffer" in words, words)
        forget(source)
