# SPDX-License-Identifier: GPL-2.0-or-later
"""Memory without integrity: what a guest reads after the host meddled.

SEV without SNP promises that the host cannot read, not that it cannot write.
Each test says what silicon would do: the guest gets garbage in whole blocks of
16 bytes, or its own cached copy, or old data; never another's plaintext.
"""

import contextlib
import re

from registry import test
from verdict import Failed, check

PAGE = 4096
BLOCKS = PAGE // 16
FILE = '/tmp/pages'
EVERY = list(range(BLOCKS))
EDU = ('-device', 'edu')


class Pages:
    """Known pages of a running guest, and their ciphertext in its RAM file."""

    def __init__(self, guest, count=4, seed='5eed'):
        self.guest, self.seed, self.count = guest, seed, count
        self.fill()

    def fill(self):
        self.guest.shell.must(f'/tools fill {FILE} {self.count} {self.seed}')
        return self.where()

    def where(self):
        said = self.guest.shell.must(f'/tools where {FILE}')
        self.at = [int(gpa, 16) for gpa in
                   re.findall(r'^PAGE \d+ at (0x\w+)', said, re.M)]
        return self.at

    def bad(self, seed=None):
        """Per page the numbers of the blocks that are not as filled."""
        said = self.guest.shell.must(f'/tools check {FILE} {seed or self.seed}')
        return [[int(block) for block in line.split()]
                for line in re.findall(r'^PAGE \d+ bad(.*)$', said, re.M)]

    def expect(self, what, **bad):
        """Keyword pN: the blocks of page N that must be bad; others none."""
        wanted = [bad.get(f'p{n}', []) for n in range(len(self.at))]
        found = self.bad()
        check(found == wanted, f'{what}: bad blocks are {found}')

    def read(self, page):
        with open(self.guest.ram, 'rb') as ram:
            ram.seek(self.at[page])
            return ram.read(PAGE)

    def write(self, page, data, offset=0):
        with open(self.guest.ram, 'r+b') as ram:
            ram.seek(self.at[page] + offset)
            ram.write(data)

    def flip(self, page, offset):
        self.write(page, bytes([self.read(page)[offset] ^ 1]), offset)

    def dma(self, direction, page):
        self.guest.shell.must(f'/tools dma {direction} {FILE} {page}')


@contextlib.contextmanager
def stopped(guest):
    """Nothing is cached while a guest is stopped."""
    guest.cmd('stop')
    try:
        yield
    finally:
        guest.cmd('cont')


def settle(guest):
    """All that the cache holds is in DRAM too."""
    with stopped(guest):
        pass


@contextlib.contextmanager
def known_pages(env):
    with env.booted(shell=True, extra=EDU) as guest:
        pages = Pages(guest)
        pages.expect('as filled')
        yield guest, pages


@test('tamper: one flipped bit of ciphertext spoils its 16 bytes only')
def flipped(env):
    with known_pages(env) as (guest, pages):
        with stopped(guest):
            pages.flip(1, 16 * 7 + 3)
            pages.flip(2, 0)
            pages.flip(2, PAGE - 1)
        pages.expect('flipped', p1=[7], p2=[0, BLOCKS - 1])
        with stopped(guest):            # it is not in the cache for good
            pages.flip(1, 16 * 7 + 3)
        pages.expect('flipped back', p2=[0, BLOCKS - 1])


@test('tamper: ciphertext moved to another page is garbage there')
def swapped(env):
    with known_pages(env) as (guest, pages):
        with stopped(guest):
            ciphertext = pages.read(0), pages.read(3)
            pages.write(3, ciphertext[0])
            pages.write(0, ciphertext[1])
        pages.expect('swapped', p0=EVERY, p3=EVERY)
        with stopped(guest):
            pages.write(0, ciphertext[0])
            pages.write(3, ciphertext[1])
        pages.expect('back in place')


@test('tamper: old ciphertext put back is old data')
def replayed(env):
    with known_pages(env) as (guest, pages):
        with stopped(guest):
            old = pages.read(1)
        before = list(pages.at)
        guest.shell.must(f'/tools fill {FILE}.new 4 new && '
                         f'dd if={FILE}.new of={FILE} bs=4k count=4 '
                         'conv=notrunc 2> /dev/null')
        check(pages.where() == before, 'the pages moved')
        check(pages.bad()[1] == EVERY, 'the page was not rewritten')
        with stopped(guest):
            pages.write(1, old)
        check(pages.bad()[1] == [], 'old ciphertext is not the old data')


@test('tamper: memory of another key is garbage, and no guest lives on it')
def wrong_key(env):
    image = env.lab.large('wrong-key.image')
    options = dict(shell=True, extra=EDU)
    origin = env.boot('origin', **options)
    with contextlib.closing(origin):
        pages = Pages(origin)
        origin.cmd('stop')
        info = origin.migrate(f'file:{image}', sev_template=True)
        check(info['status'] == 'completed', f'sealing: {info}')
        clone = env.start('other-key', incoming=f'file:{image}', **options)
        with contextlib.closing(clone):
            clone.wait_resumed()
            pages.guest = clone
            pages.expect('in the clone')
            other_key(origin, clone, pages)


def other_key(origin, clone, pages):
    """Same plaintext, same address, another key: first a page, then all."""
    with open(origin.ram, 'rb') as ram:
        with stopped(clone):
            ours = pages.read(2)
            ram.seek(pages.at[2])
            theirs = ram.read(PAGE)
            check(ours != theirs, 'two guests have the same ciphertext')
            pages.write(2, theirs)
        pages.expect('a page of another key', p2=EVERY)
        clone.cmd('stop')
        ticks = len(clone.ticks())
        ram.seek(0)
        clone.ram.write_bytes(ram.read())
    clone.cmd('cont')
    try:
        clone.wait_more(ticks + 2, 5)
    except Failed:
        return
    check(False, 'the guest runs on in memory of another key')


@test('dma: a device reads ciphertext from a private page')
def dma_read(env):
    with known_pages(env) as (guest, pages):
        settle(guest)                   # DRAM has what the pages hold
        pages.dma('from', 0)            # page 0 to the device, to page 1
        pages.dma('to', 1)
        with stopped(guest):
            check(pages.read(0) == pages.read(1),
                  'the device did not see what DRAM holds')
        pages.expect('moved by a device', p1=EVERY)


@test('dma: a device writes to a private page behind the guest\'s back')
def dma_write(env):
    with known_pages(env) as (guest, pages):
        settle(guest)
        pages.expect('cached, clean')
        pages.dma('from', 3)
        pages.dma('to', 2)
        pages.expect('the guest reads its cached copy')
        settle(guest)                   # evicted, and it was not newer
        pages.expect('read from DRAM', p2=EVERY)


@test('dma: what the guest writes later wins over what a device wrote')
def dma_lost(env):
    with known_pages(env) as (guest, pages):
        settle(guest)
        pages.dma('from', 3)
        pages.fill()                    # newer in the cache than in DRAM
        pages.dma('to', 2)
        settle(guest)
        pages.expect('written back over the DMA')
