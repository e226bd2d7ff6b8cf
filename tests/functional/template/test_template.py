# SPDX-License-Identifier: GPL-2.0-or-later
"""A booted guest is sealed once; new guests start from it, each with its key."""

import contextlib

import compare
import hunt
from registry import expect_error, test
from test_migrate import SENTENCES
from verdict import Failed, check

CLONES = 3


def seal(env, guest, image):
    guest.cmd('stop')
    sealed_at = guest.sound_ticks()[-1][0]
    capabilities = {'sev_template': True} if env.lab.sev else {}
    info = guest.migrate(f'file:{image}', **capabilities)
    check(info['status'] == 'completed', f'sealing: {info}')
    return sealed_at


@test('template: three clones, three keys, one memory', sev=False)
def three_clones(env):
    image = env.lab.large('template.image')
    origin = env.boot('template')
    with contextlib.closing(origin):
        if env.lab.sev:
            refused_running(origin, image)
        sealed_at = seal(env, origin, image)
        origin.cmd('cont')              # a template leaves its origin alone
        origin.wait_ticks(3)
    hits = hunt.count(image, env.lab.needle())
    check(bool(hits) != env.lab.sev, f'{hits} hits in the template')
    before = image.stat().st_mtime_ns
    clones = [env.start('clone', incoming=f'file:{image}')
              for _ in range(CLONES)]
    for clone in clones:
        clone.wait_resumed()
    for clone in clones:
        ticks = clone.wait_ticks(5)
        check(ticks[0][0] > sealed_at, f'it began at tick {ticks[0][0]}')
        clone.cmd('stop')
    check(image.stat().st_mtime_ns == before, 'a clone wrote to the template')
    if env.lab.sev:
        runs = compare.analyze(image)['private_runs']['ram']
        compared, same = compare.ciphertext([c.ram for c in clones], runs)
        check(compared >= 4096 and not same,
              f'{same} of {compared} private pages are the same')
    for clone in clones:
        clone.close()
    if env.lab.sev:
        refused(env, image)


def refused_running(guest, image):
    guest.capability('sev-template')
    try:
        info = guest.migrate(f'file:{image}')
    except Failed as error:
        info = {'status': 'failed', 'error-desc': str(error)}
    expect_error(info, r"a template is made of a stopped guest: 'stop' first")
    guest.wait_ticks(2)


def refused(env, image):
    """Another platform cannot open it; a machine it does not fit may not."""
    for stem, host, options, sentence in (
            ('other-host', 'b', {}, SENTENCES['other host']),
            ('other-ram', 'a', {'mem': 192},
             r'the template does not fit: field ram-bytes')):
        other = env.start(stem, host, incoming='defer', **options)
        with contextlib.closing(other):
            other.cmd('migrate-incoming', uri=f'file:{image}',
                      exit_on_error=False)
            expect_error(other.wait_migration(), sentence)
