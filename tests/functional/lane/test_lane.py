# SPDX-License-Identifier: GPL-2.0-or-later
"""The lane: a program in the guest seals its pages, and opens them elsewhere."""

import contextlib
import hashlib
import mmap
import re
import struct
import zlib

import hunt
from image import HEADER, PAGE, Image, flip
from registry import SAID, expect_error, test
from shape import Shape
from tamper import Proxy
from test_template_query import query
from test_template_tamper import shared_pages
from verdict import Failed, check

LANE = Shape(sev=',lane=on')
SIZE = dict(mem=160)                # of the guests here


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
    clone = env.start('lane-clone', incoming='defer', **SIZE, **options)
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
    with env.booted(shape=LANE, **SIZE) as origin:
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
    with env.booted(shape=LANE, **SIZE) as origin:
        sealed_at = seal(origin, f'exec:cat>{path}')
        go_on(origin)
    looks_right(env, path)
    no_secret(env, path)
    with loaded(env, f'exec:cat {path}') as clone:
        counts_on(clone, sealed_at)


@test('lane: a guest with two vCPUs migrates there and back')
def live(env):
    record = env.lab.large('lane.stream')
    guest = env.boot('lane-live', shape=LANE, smp=2, **SIZE)
    for hop, host in enumerate(('b', 'a')):
        env.host('a').trust(env.host('b'))
        env.host('b').trust(env.host('a'))
        with contextlib.closing(guest), open(record, 'wb') as f:
            target = env.start('lane-target', host, incoming='defer', smp=2,
                               **SIZE)
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
    # Memory of two nodes: the machine's own block is none.
    nodes = dict(smp=2, **SIZE)
    with env.booted(shape=Shape(sev=',lane=on', nodes=2), **nodes) as origin:
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
    with loaded(env, f'file:{path}', shape=Shape(nodes=2), smp=2) as clone:
        counts_on(clone, sealed_at)


# --- What is refused ---------------------------------------------------------

@test('lane: a guest that has none, a CPU that cannot, channels of long ago')
def refusals(env):
    path = env.lab.large('lane.refused')
    with env.booted(**SIZE) as plain:
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
    guest = env.boot('lane-old', shape=LANE, **SIZE, extra=(
        '-global', 'migration.multifd-flush-after-each-section=on'))
    with contextlib.closing(guest):
        use_lane(guest)
        guest.capability('multifd')
        try:
            guest.cmd('migrate', uri='tcp:127.0.0.1:1')
            raise Failed('multifd was not refused')
        except Failed as refused:
            check("unset 'multifd'" in str(refused), str(refused))


# --- The program is spoiled, a step fails ------------------------------------

FAULTS = (
    # A spoiled page is random to the CPU: it may shut down, fault, halt, or go round.
    ('lane-program:1:fail=1', r"the lane's program "),
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
    with env.booted(shape=LANE, **SIZE) as origin:
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
    with env.booted(shape=LANE, **SIZE) as origin:
        seal(origin, f'file:{path}')
        go_on(origin)
    for fault, words in TARGET_FAULTS:
        clone = env.start('lane-fault', incoming='defer', ram_file=False, **SIZE)
        with contextlib.closing(clone):
            clone.cmd('qom-set', path='/objects/sev0', property='x-fault',
                      value=fault)
            clone.cmd('migrate-incoming', uri=f'file:{path}',
                      exit_on_error=False)
            expect_error(clone.wait_migration(), words)
            check(not clone.ticks(), f'{fault}: it counts')


# --- Changed by somebody who makes every sum right that has no key -----------

END = b'\x10sev-template-end' + bytes(7) + b'\1'
ZEROS = bytes(PAGE)


class Forgery:
    """A mapped template, changed where it lies, its digests without a key made again."""

    def __init__(self, path):
        self.path, self.image = path, Image(path)
        with open(path, 'r+b') as file:
            self.bytes = mmap.mmap(file.fileno(), 0)
        self.changed = []               # (place, what was there), oldest first

    def change(self, at, new):
        old = self.bytes[at:at + len(new)]
        if old != new:
            self.changed.append((at, old))
            self.bytes[at:at + len(new)] = new

    def flip(self, at, bit=1):
        self.change(at, bytes([self.bytes[at] ^ bit]))

    def swap(self, start, other, length):
        first, second = (self.bytes[at:at + length] for at in (start, other))
        self.change(start, second)
        self.change(other, first)

    def restore(self):
        while self.changed:
            at, old = self.changed.pop()
            self.bytes[at:at + len(old)] = old

    def _set(self, name, payload_offset, value):
        self.change(self.image.records(name)[0][0] + 16 + payload_offset, value)

    def make_sums(self):
        found, digest, total, pages = self.image.found, hashlib.sha256(), 0, 0
        numbers = {name: n for n, name in enumerate(found['blocks'])}
        for name, number in sorted(numbers.items(), key=lambda i: i[1]):
            private = set(self.image.private_pages(name)) \
                if name in found['private_runs'] else set()
            for offset in sorted(private):
                at = self.image.header_at(offset, name)
                digest.update(self.bytes[at:at + HEADER])
            for offset in range(0, found['blocks'][name], PAGE):
                if offset in private:
                    continue
                at = self.image.page_at(offset, name)
                page = self.bytes[at:at + PAGE]
                if page != ZEROS:
                    place = struct.pack('>QQ', number, offset)
                    total += zlib.crc32(page, zlib.crc32(place))
                    pages += 1
        self._set('DIGEST', 8, digest.digest())
        self._set('SHARED', 0, struct.pack('>QQ', pages, total % 2 ** 64))
        first = self.image.records('BREAK')[0][0] + 16
        last = max(i['pages'] + found['blocks'][n]
                   for n, i in found['images'].items())
        end = self.bytes.rfind(END) + len(END)
        manifest = self.image.records('MANIFEST')[0][0]
        said = hashlib.sha256(
            self.bytes[manifest:manifest + 16]
            + self._records(first) + self.bytes[-(-last // 65536) * 65536:end])
        self.change(end, said.digest())

    def _records(self, end):
        """What follows the manifest's header, up to the first BREAK."""
        at, length = self.image.records('MANIFEST')[0]
        start = self.image.records('SESSION')[0][0]
        return self.bytes[at + 16:at + 16 + length] + self.bytes[start:end]


def refused(env, uri, words):
    clone = env.start('lane-refuses', incoming='defer', ram_file=False, **SIZE)
    with contextlib.closing(clone):
        clone.cmd('migrate-incoming', uri=uri, exit_on_error=False)
        expect_error(clone.wait_migration(), words)
        check(not clone.ticks(), 'it counts')


def moved(forgery):
    """Two whole pages, headers and all."""
    a, b = forgery.image.private_pages()[100:102]
    forgery.swap(forgery.image.page_at(a), forgery.image.page_at(b), PAGE)
    forgery.swap(forgery.image.header_at(a), forgery.image.header_at(b), HEADER)


def flipped(what, byte):
    def change(forgery):
        page = forgery.image.private_pages()[200]
        at = getattr(forgery.image, what)(page) + byte
        forgery.flip(at, 4)
    return change


def shared(forgery):
    page = shared_pages(forgery.path, forgery.image)[0]
    forgery.flip(page + 100)


def devices(forgery):
    """A byte of the vCPU's state, in the middle of its vector registers."""
    forgery.flip(forgery.bytes.rfind(b'\x03cpu' + bytes(4)) + 700)


def record(name, byte):
    def change(forgery):
        at, length = forgery.image.records(name)[-1]
        forgery.flip(at + 16 + (byte if byte >= 0 else length + byte))
    return change


NAMED = r'page 0x[0-9a-f]+ of RAM block ram: the lane finds it changed'
FORGERIES = (
    ('two pages exchanged', moved, NAMED),
    ('a byte of a page', flipped('page_at', 1000), NAMED),
    ('an epoch', flipped('header_at', 0), NAMED),
    ('a nonce', flipped('header_at', 6), NAMED),
    ('a tag', flipped('header_at', 20), NAMED),
    ('the rest of a header', flipped('header_at', 45), 'header was changed'),
    ('a shared page', shared, r'shared pages were changed'),
    ('device state', devices, r'records or device state were changed'),
    ("the program's packet", record('LANE', 300), r'fails its MAC'),
    ("the key's packet", record('LANE', -7), r'fails its MAC'),
    ("the program's sum", record('LANE', 9), r'records or device state'),
    ('the digest', record('SEALED', 900), r'the lane|digest'),
)


@test('lane: a template changed by somebody who knows every sum but the key')
def forged(env):
    path = env.lab.large('lane.forged')
    with env.booted(shape=LANE, **SIZE) as origin:
        sealed_at = seal(origin, f'file:{path}')
        go_on(origin)
    forgery = Forgery(path)
    forgery.make_sums()
    check(not forgery.changed, 'what was not changed has other sums')
    for what, change, words in FORGERIES:
        change(forgery)
        forgery.make_sums()
        try:
            refused(env, f'file:{path}', words)
        except Failed as error:
            raise Failed(f'{what}: {error}') from error
        forgery.restore()
    with loaded(env, f'file:{path}') as clone:
        counts_on(clone, sealed_at)


# --- Old pages, and pages left out, of a guest that was saved while it ran ---

ENTRY = 8 + HEADER + PAGE


def entries(data):
    """{(block, offset): [place of the entry, its record]} in their order."""
    found = {}
    for at in (m.start() for m in re.finditer(
            re.escape(b'SEVR\0\1\0\6'), data)):
        block, count = struct.unpack_from('>QQ', data, at + 16)
        if count > 64:
            continue
        for i in range(count):
            place = at + 32 + i * ENTRY
            offset, = struct.unpack_from('>Q', data, place)
            found.setdefault((block, offset), []).append((place, at, count))
    return found


def old_for_new(data, places):
    (old, *_), (new, *_) = places[-2:]
    data[new:new + ENTRY] = data[old:old + ENTRY]
    return data


def left_out(data, places):
    """The newest version is not there, and nothing says that it was."""
    new, at, count = places[-1]
    data[at + 8:at + 16] = struct.pack('>Q', 16 + (count - 1) * ENTRY)
    data[at + 24:at + 32] = struct.pack('>Q', count - 1)
    end = data.rindex(b'SEVR\0\1\0\x09')
    packets, = struct.unpack_from('>Q', data, end + 16)
    data[end + 16:end + 24] = struct.pack('>Q', packets - 1)
    del data[new:new + ENTRY]
    return data


@test('lane: an old page of the same session, and a page left out')
def old_pages(env):
    path, other = env.lab.large('lane.saved'), env.lab.large('lane.saved2')
    with env.booted(shape=LANE, keep=False, **SIZE) as origin:
        use_lane(origin)
        info = origin.migrate(f'exec:cat>{path}')
        check(info['status'] == 'completed', f'{info}')
    data = path.read_bytes()
    twice = [p for p in entries(data).values() if len(p) > 1]
    check(twice, 'no page was sent twice')
    for edit, words in (
            (old_for_new, r'page 0x[0-9a-f]+ of RAM block ram: the lane had '
                          'this version'),
            (left_out, r'page 0x[0-9a-f]+ of RAM block ram( on)?: it was '
                       'left out')):
        other.write_bytes(edit(bytearray(data), twice[len(twice) // 2]))
        refused(env, f'exec:cat {other}', words)
    with loaded(env, f'exec:cat {path}') as clone:
        clone.cmd('cont')
        clone.wait_ticks(3)


# --- Kata's flow -------------------------------------------------------------

@test('lane: sealed in the file of its memory')
def in_place(env):
    ram, state = env.lab.large('lane.memory'), env.lab.large('lane.state')
    shape = Shape(sev=',lane=on', backend=f'shared:{ram}')
    with env.booted(shape=shape, keep=False, ram_file=False, **SIZE) as origin:
        origin.cmd('stop')
        sealed_at = origin.sound_ticks()[-1][0]
        use_lane(origin)
        origin.capability('x-ignore-shared')
        info = origin.migrate(f'exec:cat>{state}')
        check(info['status'] == 'completed', f'{info}')
    no_secret(env, ram, state)
    check(state.stat().st_size < 8 << 20, 'beyond what Kata has room for')
    for _ in range(2):
        clone = env.start('lane-kata', incoming='defer', ram_file=False,
                          shape=Shape(backend=f'private:{ram}'), **SIZE)
        with contextlib.closing(clone):
            clone.capability('x-ignore-shared')
            clone.cmd('migrate-incoming', uri=f'exec:cat {state}')
            clone.wait_loaded()
            counts_on(clone, sealed_at)
    flip(ram, 2000 * PAGE + 7)
    clone = env.start('lane-kata', incoming='defer', ram_file=False,
                      shape=Shape(backend=f'private:{ram}'), **SIZE)
    with contextlib.closing(clone):
        clone.capability('x-ignore-shared')
        clone.cmd('migrate-incoming', uri=f'exec:cat {state}',
                  exit_on_error=False)
        expect_error(clone.wait_migration(), r'the lane finds it changed|SHARED')
