# SPDX-License-Identifier: GPL-2.0-or-later
"""A template is changed, one kind of byte at a time; no guest sees it.

What is checked at load is refused with a sentence.  What is checked at first
touch stops the guest with a sentence that names the page.
"""

import contextlib
import re
import shutil
from pathlib import Path

from image import HEADER, PAGE, Image, flip
from registry import SAID, expect_error, test
from shape import Shape
from test_template_image import (counted_on, kata_clone, kata_seal,
                                 start_clones, template)
from verdict import check, wait_until

STOPPED = r"SEV: the packet for block 'ram' offset 0x[0-9a-f]+ fails its MAC"


def refused(env, incoming, sentence, **options):
    """A clone of it does not load, and says why."""
    clone = env.start('refused', incoming='defer', ram_file=False, **options)
    with contextlib.closing(clone):
        clone.cmd('migrate-incoming', uri=incoming, exit_on_error=False)
        expect_error(clone.wait_migration(), sentence)


def contained(clone, reason=STOPPED):
    """The guest stops where it touches what was changed."""
    def stopped():
        return clone.cmd('query-status')['status'] == 'internal-error'
    if not clone.cmd('query-status')['running']:
        clone.cmd('cont')
    wait_until(f'{clone.name} to stop', 60, stopped)
    said = [line for line in clone.log().splitlines()
            if re.search(reason, line)]
    check(said, f'{clone.name} does not name the page: {clone.log()[-200:]}')
    SAID.append(said[0])
    clone.sound_ticks()                 # nothing it printed was wrong


SUM = r'shared pages do not have the sum of its SHARED record'

RECORDS = (
    # record, byte of its payload (negative: from its end), sentence
    ('MANIFEST', 7, r'field layout is'),
    ('MANIFEST', 15, r'field policy is'),
    ('MANIFEST', 63, r'field ram-bytes is'),
    ('MANIFEST', 100, r'sealed to the (platform|PDH)|not printable'),
    ('MANIFEST', -4, r'field ram-layout is|not printable'),
    ('MANIFEST', -80, r'digest at its end|not printable'),      # chip
    ('MANIFEST', -150, r'field cpu is|not printable'),
    ('SESSION', 7, r'RECEIVE_START|out of range|policy'),
    ('SESSION', -100, r'RECEIVE_START'),
    ('BLOCK', -1, r'is unknown here|not printable'),
    ('IMAGE', 31, r'cut short or was changed|fails its MAC|digest'),
    ('IMAGE', 38, r'cut short or was changed|digest'),
    ('STATE', -7, r'private run|headers does not have the digest'),
    ('DIGEST', -1, r'does not have the digest'),
    ('SHARED', 7, SUM),
    ('SHARED', -1, SUM),
    ('END', 7, r'END counts'),
)


@test('tamper: every kind of byte of a template')
def every_kind(env):
    with template(env, 'spoiled') as (path, sealed_at):
        image = Image(path)
        uri = f'file:{path}'
        for record, byte, sentence in RECORDS:
            at, length = image.records(record)[0]
            place = at + 16 + (byte if byte >= 0 else length + byte)
            flip(path, place)
            refused(env, uri, sentence)
            flip(path, place)
        for page in shared_pages(path, image):
            flip(path, page + 100)
            refused(env, uri, SUM)
            flip(path, page + 100)
        private = image.private_pages()
        flip(path, image.header_at(private[len(private) // 2]) + 20)
        refused(env, uri, r'table of packet headers does not have the digest')
        flip(path, image.header_at(private[len(private) // 2]) + 20)
        for place in device_state(image):
            flip(path, place)
            refused(env, uri, r'')
            flip(path, place)
        places = [image.page_at(page) + 100 for page in private]
        flip(path, *places)
        clone = env.start('spoiled', incoming=uri, ram_file=False)
        clone.wait_loaded()
        contained(clone)
        clone.close()
        flip(path, *places)
        [clone] = start_clones(env, path, 1)    # it was flipped back
        counted_on([clone], sealed_at)
        clone.close()
        truncated(env, path, image)


def shared_pages(path, image, ram=None):
    """Where the first page that is not private lies, the last, and a hole."""
    private = set(image.private_pages())
    base = 0 if ram else image.page_at(0)
    data = Path(ram or path).read_bytes()
    pages = [page for page in range(0, max(private), PAGE)
             if page not in private]
    full = [page for page in pages
            if any(data[base + page:base + page + PAGE])]
    hole = next(page for page in pages if page not in set(full))
    return [base + page for page in (full[0], full[-1], hole)]


def device_state(image, samples=6):
    """Some bytes between the END record and the digest at the end.

    What follows that is upstream's description of the stream, for tools.
    """
    end = image.records('END')[0][0] + 32
    data = image.path.read_bytes()
    last = data.index(b'sev-template-end', end) + 16
    return [*range(end + 16, last, (last - end) // samples), last + 20]


def truncated(env, path, image):
    middle = image.page_at(image.private_pages()[-1])
    end, _length = image.records('END')[0]
    for length in (device_state(image)[-1], end + 500, end, middle, 70000, 5000, 300, 0):
        with open(path, 'r+b') as f:
            f.truncate(length)
        refused(env, f'file:{path}', r'')


def swap(path, one, other, length):
    with open(path, 'r+b') as f:
        f.seek(one)
        first = f.read(length)
        f.seek(other)
        second = f.read(length)
        f.seek(one)
        f.write(second)
        f.seek(other)
        f.write(first)


@test('tamper: two packets of a template exchanged')
def exchanged(env):
    """A packet knows no address: only the digest of the table does."""
    with template(env, 'swapped') as (path, _sealed_at):
        image = Image(path)
        one, other = image.private_pages()[100:102]
        swap(path, image.page_at(one), image.page_at(other), PAGE)
        swap(path, image.header_at(one), image.header_at(other), HEADER)
        refused(env, f'file:{path}',
                r'table of packet headers does not have the digest')


@test('tamper: a template sealed in place')
def in_place(env):
    folder = env.lab.folder / 'spoiled'
    folder.mkdir()
    try:
        kata_seal(env, folder)
        ram, state = folder / 'memory', folder / 'state'
        image = Image(state)
        places = [page + 100 for page in image.private_pages()]
        flip(ram, *places)
        clone = kata_clone(env, folder)
        clone.wait_loaded()
        contained(clone)
        clone.close()
        flip(ram, *places)
        shape = Shape(backend=f'private:{ram}')
        for record, byte, sentence in (
                ('MANIFEST', 63, r'field ram-bytes is'),
                ('END', 7, r'END counts'),
                ('STATE', -7, r'private run|digest')):
            at, length = image.records(record)[0]
            place = at + 16 + (byte if byte >= 0 else length + byte)
            flip(state, place)
            in_place_refused(env, state, shape, sentence)
            flip(state, place)
        for place in device_state(image, 3):
            flip(state, place)
            in_place_refused(env, state, shape, r'')
            flip(state, place)
        for page in shared_pages(state, image, ram):
            flip(ram, page + 100)
            in_place_refused(env, state, shape, SUM)
            flip(ram, page + 100)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def in_place_refused(env, state, shape, sentence):
    clone = env.start('refused', incoming='defer', ram_file=False, shape=shape)
    with contextlib.closing(clone):
        clone.capability('x-ignore-shared')
        clone.cmd('migrate-incoming', uri=f'exec:cat {state}',
                  exit_on_error=False)
        expect_error(clone.wait_migration(), sentence)
