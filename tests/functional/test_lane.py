# SPDX-License-Identifier: GPL-2.0-or-later
"""The lane: a program in the guest seals its pages, and opens them elsewhere."""

import contextlib

import hunt
from image import Image
from registry import SAID, expect_error, test
from shape import Shape
from tamper import Proxy
from test_template_query import query
from verdict import Failed, check

LANE = Shape(sev=',lane=on')


def use_lane(guest, method='lane'):
    guest.cmd('migrate-set-parameters', sev_method=method)


def delay(guest, us):
    guest.cmd('qom-set', path='/objects/sev0', property='x-psp-delay-us',
              value=us)


def seal(origin, uri):
    """A template of it; the tick it was sealed at.  It stays stopped."""
    origin.cmd('stop')
    sealed_at = origin.sound_ticks()[-1][0]
    use_lane(origin)
    origin.capability('sev-template')
    info = origin.migrate(uri)
    check(info['status'] == 'completed', f'sealing: {info}')
    check(info['sev']['method'] == 'lane', f'{info["sev"]}')
    return sealed_at


def go_on(origin):
    """The guest that a template was made of runs on, sound."""
    origin.capability('sev-template', False)
    origin.cmd('cont')
    origin.wait_ticks(2)


@contextlib.contextmanager
def loaded(env, uri, **options):
    clone = env.start('lane-clone', incoming='defer', ram_file=True, **options)
    with contextlib.closing(clone):
        clone.cmd('migrate-incoming', uri=uri)
        clone.wait_loaded()
        yield clone


def counts_on(clone, sealed_at):
    if not clone.cmd('query-status')['running']:
        clone.cmd('cont')
    ticks = clone.wait_ticks(3)
    check(ticks[0][0] > sealed_at, f'{clone.name} began at {ticks[0]}')


def no_secret(env, *paths):
    for path in paths:
        hits = hunt.count(path, env.lab.needle())
        check(hits == 0, f'{path}: the secret is there {hits} times')


def looks_right(env, path):
    image = Image(path)
    check(not image.wrong, f'{image.wrong}')
    check(image.found['method'] == 'lane', f'{image.found["method"]}')
    info = query(env, path=str(path), verify=True)
    check(info['whole'] and info['method'] == 'lane', f'{info}')
    check(info['verified'] <= 16, f'{info["verified"]} packets of the program')
    return info


@test('lane: a template, its clone, and a clone of the clone')
def template(env):
    path, second = env.lab.large('lane.image'), env.lab.large('lane2.image')
    with env.booted(shape=LANE) as origin:
        program = origin.cmd('query-sev-lane')
        check(program['present'] and not program['is-claim'], f'{program}')
        sealed_at = seal(origin, f'file:{path}')
        go_on(origin)
    info = looks_right(env, path)
    check(info['lane-program'] == program['program'], f'{info}')
    with loaded(env, f'file:{path}', extra=('-S',)) as clone:
        claim = clone.cmd('query-sev-lane')
        check(claim['program'] == program['program'] and claim['is-claim'],
              f'{claim}')
        no_secret(env, path, clone.ram)     # paused: nothing in the clear
        counts_on(clone, sealed_at)
        sealed_again = seal(clone, f'file:{second}')
        no_secret(env, second, clone.ram)
    with loaded(env, f'file:{second}') as grandchild:
        counts_on(grandchild, sealed_again)


@test('lane: a template through a pipe')
def pipe(env):
    path = env.lab.large('lane.pipe')
    with env.booted(shape=LANE) as origin:
        sealed_at = seal(origin, f'exec:cat>{path}')
        go_on(origin)
    looks_right(env, path)
    no_secret(env, path)
    with loaded(env, f'exec:cat {path}') as clone:
        counts_on(clone, sealed_at)


@test('lane: two vCPUs, with firmware in SMM, migrate there and back')
def live(env):
    record = env.lab.large('lane.stream')
    guest = env.boot('lane-live', shape=LANE, smp=2)
    for hop, host in enumerate(('b', 'a')):
        env.host('a').trust(env.host('b'))
        env.host('b').trust(env.host('a'))
        with contextlib.closing(guest), open(record, 'wb') as f:
            target = env.start('lane-target', host, incoming='defer', smp=2)
            proxy = Proxy(target.listen(guest), record=f)
            before = guest.ticks()[-1]
            use_lane(guest)
            info = guest.migrate(proxy.uri)
            check(info['status'] == 'completed', f'hop {hop}: {info}')
            check(info['sev']['method'] == 'lane', f'{info["sev"]}')
            target.wait_loaded()
            proxy.finish()
            guest.between(before, guest.ticks()[-1])
        no_secret(env, record)
        guest = target
        guest.wait_ticks(4)
    guest.close()


@test('lane: a chip of 2.5 ms a packet makes 16 packets at most')
def few_packets(env):
    path = env.lab.large('lane.slow')
    with env.booted(shape=LANE) as origin:
        delay(origin, 2500)
        use_lane(origin, 'auto')
        origin.cmd('stop')
        sealed_at = origin.sound_ticks()[-1][0]
        origin.capability('sev-template')
        info = origin.migrate(f'file:{path}')
        check(info['status'] == 'completed', f'{info}')
        check(info['sev']['method'] == 'lane' and
              'lane, because a packet takes' in info['sev']['method-reason'],
              f'{info["sev"]}')
        SAID.append(info['sev']['method-reason'])
        delay(origin, 0)
        go_on(origin)
    packets = looks_right(env, path)['verified']
    check(packets <= 16, f'{packets} packets')
    with loaded(env, f'file:{path}') as clone:
        counts_on(clone, sealed_at)


# --- What is refused ---------------------------------------------------------

@test('lane: a guest that has none, a CPU that cannot, a channel too many')
def refusals(env):
    path = env.lab.large('lane.refused')
    with env.booted() as plain:
        use_lane(plain)
        try:
            plain.cmd('migrate', uri=f'file:{path}')
            expect_error(plain.wait_migration(), r'this guest has no lane')
        except Failed as refused:
            check('this guest has no lane' in str(refused), str(refused))
        use_lane(plain, 'packets')
    for shape, words in (
            (Shape(sev=',lane=on', cpu='EPYC-v4,-aes'), "CPU model with 'aes'"),
            (Shape(sev=',lane=on', cpu='EPYC-v4,-pclmulqdq'),
             "CPU model with 'pclmulqdq'"),
            (Shape(sev=',lane=/nowhere/lane.bin'), 'there is no file'),
            (Shape(sev=f',lane={env.lab.firmware}'), 'a lane has 1 to 65536')):
        try:
            env.start('lane-never', shape=shape).wait_ticks(1)
        except Failed as refused:
            check(words in str(refused), f'{refused}')
            SAID.append(str(refused))
        else:
            raise Failed(f'{shape} started')
    with env.booted(shape=LANE) as guest:
        use_lane(guest)
        guest.capability('multifd')
        try:
            guest.cmd('migrate', uri='tcp:127.0.0.1:1')
            raise Failed('multifd was not refused')
        except Failed as refused:
            check("unset capability 'multifd'" in str(refused), str(refused))
        guest.capability('multifd', False)


# --- The program is spoiled, a step fails ------------------------------------

FAULTS = (
    ('lane-program:1:fail=1', r"the lane's program (shut down|faulted|did not)"),
    ('lane-program:1:fail=2', r"the lane's program"),
    ('lane-program:3:fail=3', r"the lane's program|its digest|the lane"),
    ('lane-key', r'lane-key'),
    ('lane-write', r'lane-write'),
    ('lane-seal:2', r'lane-seal'),
    ('lane-digest', r'lane-digest'),
)


@test('lane: whatever fails at the source, the guest is whole')
def faults(env):
    path = env.lab.large('lane.fault')
    with env.booted(shape=LANE) as origin:
        origin.cmd('stop')
        use_lane(origin)
        origin.capability('sev-template')
        for fault, words in FAULTS:
            origin.cmd('qom-set', path='/objects/sev0', property='x-fault',
                       value=fault)
            info = origin.migrate(f'file:{path}')
            expect_error(info, words)
            check(origin.cmd('query-status')['status'] != 'internal-error',
                  f'after {fault}')
        origin.cmd('cont')
        origin.wait_ticks(2)            # nobody has reset it
        sealed_at = seal(origin, f'file:{path}')
        go_on(origin)
    with loaded(env, f'file:{path}') as clone:
        counts_on(clone, sealed_at)


TARGET_FAULTS = (
    ('lane-read', r'lane-read'),
    ('lane-adopt', r'lane-adopt'),
    ('lane-open:3', r'lane-open'),
    ('sealed-read', r'sealed-read'),
    ('lane-check', r'lane-check'),
    ('lane-program:2:fail=2', r"the lane's program|the lane"),
)


@test('lane: whatever fails at the target, no guest runs there')
def target_faults(env):
    path = env.lab.large('lane.target-fault')
    with env.booted(shape=LANE) as origin:
        seal(origin, f'file:{path}')
        go_on(origin)
    for fault, words in TARGET_FAULTS:
        clone = env.start('lane-fault', incoming='defer', ram_file=False)
        with contextlib.closing(clone):
            clone.cmd('qom-set', path='/objects/sev0', property='x-fault',
                      value=fault)
            clone.cmd('migrate-incoming', uri=f'file:{path}',
                      exit_on_error=False)
            expect_error(clone.wait_migration(), words)
            check(not clone.ticks(), f'{fault}: it counts')
