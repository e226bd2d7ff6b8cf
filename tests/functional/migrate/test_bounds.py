# SPDX-License-Identifier: GPL-2.0-or-later
"""What others wrote is read in bounded time and memory, beside the main loop."""

import contextlib
import json
import os
import re
import resource
import struct
import subprocess
import sys
import threading
import time

from golden import Tiny, template_of, unpacked
from image import ANALYZE, Image
from registry import test
from test_golden import NEWEST
from test_template_query import query
from verdict import Failed, Skip, check, wait_until

MIB = 1 << 20
HEADER = 16
GAP = 255 * MIB             # query-sev-template looks 256 MiB ahead
QUICK = 10                  # seconds; it was 45 and more


@contextlib.contextmanager
def golden(env):
    path = unpacked(env.lab, NEWEST, 'template')
    try:
        yield path, Image(path)
    finally:
        path.unlink()


def stretched(path, image, gaps, fill=None):
    """Put so many gaps, with a record behind each, where its stream goes on."""
    data = path.read_bytes()
    at = image.records('BREAK')[1][0]
    record = data[at:at + HEADER]
    with open(path, 'r+b') as f:
        f.truncate(at)
        f.seek(at)
        for _ in range(gaps):
            if fill:
                for _ in range(GAP // len(fill)):
                    f.write(fill)
            else:
                f.seek(GAP, os.SEEK_CUR)
            f.write(record)
        f.write(data[at:])


@test('bounds: a template of holes is refused at once')
def sparse(env):
    with golden(env) as (path, image):
        before = path.stat().st_blocks
        stretched(path, image, 20)
        check(path.stat().st_blocks - before < 1000, 'it is not sparse here')
        began = time.monotonic()
        said = query(env, path=str(path))
        took = time.monotonic() - began
        check(not said['whole'] and 'holes of more than 64 MiB' in
              said['wrong'], f'{said}')
        check(took < QUICK, f'that took {took:.1f} s')


@test('bounds: a guest runs on while a template is read')
def beside(env):
    with golden(env) as (path, image):
        stretched(path, image, 1, fill=os.urandom(MIB))
        with Tiny(env.lab, env.name('reads'), env.host('a')) as made:
            made.wait_sound()
            counts(made, path)


def counts(made, path):
    """Between question and answer the guest must print, again and again."""
    marks, done = [], threading.Event()

    def watch():
        while not done.is_set():
            size = made.screen.stat().st_size
            if not marks or marks[-1][1] != size:
                marks.append((time.monotonic(), size))
            time.sleep(0.005)
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        began = time.monotonic()
        said = made.cmd('query-sev-template', path=str(path))
        ended = time.monotonic()
    finally:
        done.set()
        watcher.join()
    # 255 MiB more, and then it does not have the digest at its end.
    check(not said['whole'] and 'it was changed' in said['wrong'], f'{said}')
    seen = sum(began < at < ended for at, _ in marks)
    check(seen > 2, f'the guest was seen to print {seen} times within '
          f'{ended - began:.2f} s')


@test('bounds: images that overlap are refused')
def overlapping(env):
    with golden(env) as (path, image):
        # Blocks 0 and 2 get one table of headers, then one place for pages.
        for field, what in ((24, 'pages'), (32, 'headers')):
            ram = image.found['images']['pc.ram'][what]
            at = image.records('IMAGE')[2][0] + HEADER + field
            with open(path, 'r+b') as f:
                f.seek(at)
                kept = f.read(8)
                check(struct.unpack('>Q', kept)[0] ==
                      image.found['images']['pc.rom'][what], 'wrong place')
                f.seek(at)
                f.write(struct.pack('>Q', ram))
            said = query(env, path=str(path), verify=True)
            check(not said['whole'] and "'pc.rom' and 'pc.ram' overlap" in
                  said['wrong'], f'{said}')
            with open(path, 'r+b') as f:
                f.seek(at)
                f.write(kept)


# --- The analyser ---


def analyzer(path, *words, limit=60):
    """(what scripts/analyze-sev-stream.py says is wrong, all that it prints)"""
    done = subprocess.run([sys.executable, ANALYZE, *words, path], timeout=limit,
                          capture_output=True, check=False,
                          preexec_fn=little_memory)
    check(done.returncode == 1 and not done.stderr, f'the analyser ended with '
          f'{done.returncode}: {done.stderr[-500:]}')
    text = done.stdout.decode('ascii')
    return json.loads('{' + text.partition('\n{')[2])['wrong'], text


def little_memory():
    resource.setrlimit(resource.RLIMIT_DATA, (512 * MIB, 512 * MIB))


def changed(path, at, data):
    with open(path, 'r+b') as f:
        f.seek(at)
        f.write(data)


@test('bounds: the analyser sends a terminal nothing but text', sev=False)
def escapes(env):
    with golden(env) as (path, image):
        at = image.records('BLOCK')[0][0] + HEADER + 24
        for byte in (b'\x1b', b'\x07', b'\x9b', b'\n'):
            changed(path, at, byte)
            wrong, text = analyzer(path)
            check(wrong and all(line.isprintable() for line in
                                text.splitlines()), f'{text!r}')


@test('bounds: the analyser stops at holes, limits and images twice', sev=False)
def analyser(env):
    with golden(env) as (path, image):
        wrong, _ = analyzer(path, '--packets', '5')
        check('more than 5 p' in wrong[0], f'{wrong}')
        at = image.records('IMAGE')[2][0] + HEADER + 24
        changed(path, at, struct.pack('>Q', image.page_at(0, 'pc.ram')))
        wrong, _ = analyzer(path)
        check('images of blocks 0 and 2 overlap' in wrong[0], f'{wrong}')
        changed(path, at - 8, struct.pack('>Q', 7))
        wrong, _ = analyzer(path)
        check('layout 7' in wrong[0], f'{wrong}')
    with golden(env) as (path, image):
        stretched(path, image, 20)
        wrong, _ = analyzer(path, limit=QUICK)
        check('holes of more than 64 MiB' in wrong[0], f'{wrong}')


@test('bounds: a block as large as a file of holes')
def huge(env):
    """A terabyte of pages, most of them shared, which nobody reads."""
    path = env.lab.large('huge.template')
    with Tiny(env.lab, env.name('huge'), env.host('a')) as made:
        template_of(made, path)
    image, size = Image(path), 1 << 40
    flash = image.found['images']['system.flash0']['block']
    goes_on = image.records('BREAK')[1][0]
    rest = path.read_bytes()[goes_on:]
    at = image.records('BLOCK')[flash][0] + HEADER + 8
    changed(path, at, struct.pack('>Q', size))
    table = path.stat().st_size // MIB * MIB + MIB
    at = image.records('IMAGE')[flash][0] + HEADER + 24
    changed(path, at, struct.pack('>QQ', table + size, table))
    with open(path, 'r+b') as f:
        f.seek(table + 2 * size)
        f.write(rest)
    wrong, text = analyzer(path, limit=QUICK)
    check('SHARED' in text and 'have the digest' in wrong[0], f'{wrong}')
    said = query(env, path=str(path), verify=True)
    check(said['bytes'] > size and not said['whole'], f'{said}')
    path.unlink()


# --- The guest ---


VMMCALL = bytes.fromhex('0f01d9')


def stopped_within(made, vmmcall):
    """Stop the guest; whether that was in the middle of its hypercall.

    In front of it all pages are private, for it is the one that shares them.
    """
    made.cmd('stop')
    said = made.cmd('human-monitor-command', command_line='info registers')
    pages = made.cmd('x-query-sev-page-map')
    made.cmd('cont')
    at = re.search(r'^EIP=([0-9a-f]{8}) ', said, re.M)
    return int(at.group(1), 16) == vmmcall and \
        pages['seen-private'] < (made.mem - 2) * MIB // 4096


@test('bounds: a hypercall over all memory does not delay a stop')
def hypercall(env):
    firmware = env.lab.build / 'guest/bookworm/declare.fd'
    if not firmware.exists():
        raise Skip('no declare.fd; make it with "tests/guest/build.sh"')
    with Tiny(env.lab, env.name('declares'), env.host('a'), mem=96,
              firmware=firmware) as made:
        vmmcall = 0xfffff000 + firmware.read_bytes().index(VMMCALL)
        wait_until('two declarations', 60,
                   lambda: len(made.screen.read_bytes()) >= 2)
        # The guest spends most of its time with the words: stop it often.
        end = time.monotonic() + 120
        while not stopped_within(made, vmmcall):
            if time.monotonic() > end:
                raise Failed('no stop of 120 s came before its end')
            time.sleep(0.005)
        aim = len(made.screen.read_bytes()) + 4
        wait_until('four more', 60,
                   lambda: len(made.screen.read_bytes()) >= aim)
        said = made.screen.read_bytes()
        check(said.startswith(b'spsp') and b'!' not in said, f'it said {said}')
