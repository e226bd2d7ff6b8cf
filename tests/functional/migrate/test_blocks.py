# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests with more than one RAM block: what is written in a later one arrives.

The guest is tests/guest/writer.S: it writes into the later block without a
pause, and prints '!' once a word is not what it wrote last.
"""

import contextlib

from golden import Tiny
from guest import free_port
from registry import test
from verdict import Skip, check, wait_until

MARKS = 20


def block(number, size):
    return ['-object', f'memory-backend-ram,id=ram{number},size={size}M',
            '-numa', f'node,memdev=ram{number}']


def writer(env, name, host, sizes, sev, incoming=False):
    firmware = env.lab.build / 'guest/bookworm/writer.fd'
    if not firmware.exists():
        raise Skip('no writer.fd; make it with "tests/guest/build.sh"')
    extra = [word for number, size in enumerate(sizes)
             for word in block(number, size)]
    return Tiny(env.lab, env.name(name), host, incoming, extra=extra,
                firmware=firmware, sev=sev)


def moved(env, sizes, sev):
    """Migrate a guest with RAM blocks of @sizes MiB while it writes."""
    here, there = env.host('a'), env.host('b')
    if sev:
        here.trust(there)
    with contextlib.ExitStack() as both:
        source = both.enter_context(writer(env, 'blocks', here, sizes, sev))
        target = both.enter_context(writer(env, 'blocks-to', there, sizes, sev,
                                           incoming=True))
        source.wait_sound(MARKS)
        # A few rounds while it writes, which alone would have no end.
        source.cmd('migrate-set-parameters', max_bandwidth=2 << 20,
                   downtime_limit=1)
        uri = f'tcp:127.0.0.1:{free_port()}'
        target.cmd('migrate-incoming', uri=uri, exit_on_error=False)
        source.cmd('migrate', uri=uri)
        wait_until('the fourth look at dirty pages', 20, lambda: source.cmd(
            'query-migrate').get('ram', {}).get('dirty-sync-count', 0) > 3)
        source.cmd('migrate-set-parameters', downtime_limit=2000)
        info = source.wait_migration()
        check(info['status'] == 'completed', f'the migration: {info}')
        target.wait_sound(MARKS)


@test('migrate: a writer in a later RAM block, larger than the first')
def larger(env):
    moved(env, (4, 12), sev=True)


@test('migrate: a writer in a later RAM block, smaller than the first')
def smaller(env):
    moved(env, (12, 4), sev=True)


@test('migrate: a writer in a later RAM block, without SEV', sev=False)
def plain(env):
    moved(env, (4, 12), sev=False)
    moved(env, (12, 4), sev=False)


@test('migrate: a writer in the only RAM block', sev=False)
def one_block(env):
    moved(env, (16,), sev=False)
