# SPDX-License-Identifier: GPL-2.0-or-later
"""Streams and templates of every version that was ever written still load."""

import re
import struct

from golden import GOLDEN, ROOT, Tiny, analysis, identity, unpacked
from registry import expect_error, test
from verdict import check

DOCUMENT = ROOT / 'docs/interop/sev-record.rst'
SETS = sorted(path.parent.name for path in GOLDEN.glob('*/records.txt'))
IMAGE_ALIGN = 1 << 16
NEWEST = SETS[-1] if SETS else None
DUMP = re.compile(r'^    ([0-9a-f]{8}): ([0-9a-f ]+?)  ', re.M)


@test('golden: every stream and template that was kept loads and runs')
def load(env):
    check(SETS, f'there are no sets in {GOLDEN}')
    for name in SETS:
        host = identity(env.lab, name)
        for what in ('stream', 'template'):
            path = unpacked(env.lab, name, what)
            with Tiny(env.lab, f'golden-{name}-{what}', host, True) as guest:
                info = guest.load(path)
                check(info['status'] == 'completed',
                      f'{what} {name}: {info.get("error-desc")}')
                guest.cmd('cont')
                guest.wait_sound()
            path.unlink()


@test('golden: the analyser prints them as it did')
def analyse(env):
    for name in SETS:
        path = unpacked(env.lab, name, 'stream')
        said, code = analysis(path)
        records = said.partition('\n{')[0]
        kept = (GOLDEN / name / 'records.txt').read_text('utf-8')
        check(not code, f'{name}: {said[-200:]}')
        check(records == kept.partition('\n{')[0],
              f'{name}: it prints something else than records.txt')
        path.unlink()


@test('golden: the document dumps the stream as it is')
def dumped(env):
    text = DOCUMENT.read_text('utf-8').partition('\nA stream, ')[2]
    path = unpacked(env.lab, NEWEST, 'stream')
    data = path.read_bytes()
    lines = DUMP.findall(text)
    check(len(lines) > 20, f'{len(lines)} lines of dump in {DOCUMENT.name}')
    for offset, digits in lines:
        there = bytes.fromhex(digits.replace(' ', ''))
        at = int(offset, 16)
        check(data[at:at + len(there)] == there,
              f'{DOCUMENT.name}: {offset} is {data[at:at + 16].hex()}')
    path.unlink()


def section(data, name):
    """(begin, end of the header) of a section with its name and version."""
    at = data.index(bytes([len(name)]) + name.encode())
    return at - 5, at + 1 + len(name) + 8


def patched(data, at, new):
    return data[:at] + new + data[at + len(new):]


def edits(data):
    """(what a reader must say, or None if it loads; the stream)."""
    record = data.index(b'SEVR')
    config, config_body = section(data, 'sev-config')
    _, sev_body = section(data, 'sev')
    config_end = config_body + 8 + 5            # two numbers and the footer
    two, zero = struct.pack('>H', 2), struct.pack('>H', 0)
    yield r'version 2', patched(data, record + 4, two)
    yield r'version 0', patched(data, record + 4, zero)
    yield r'type 99', patched(data, record + 6, struct.pack('>H', 99))
    yield r'starts with 0x53455653', patched(data, record, b'SEVS')
    # Sections are upstream's; the particulars of these are in QEMU's log.
    yield (r"unsupported version 2 for 'sev' v1",
           patched(data, sev_body - 4, struct.pack('>I', 2)))
    yield (r"unsupported version 2 for 'sev-config' v1",
           patched(data, config_body - 4, struct.pack('>I', 2)))
    yield r"Unknown savevm section or instance 'sev-confix'", \
        data.replace(b'sev-config', b'sev-confix', 1)
    yield (r'has cbitpos=47, this target was started with cbitpos=51',
           patched(data, config_body, struct.pack('>I', 47)))
    yield None, data[:config] + data[config_end:]   # as it was before sev-config


def add_log(env, guest, info):
    """query-migrate's answer with what QEMU printed."""
    log = (env.lab.folder / f'{guest.name}.log').read_text('utf-8', 'replace')
    said = [line.partition(': ')[2] for line in log.splitlines()
            if ' warning: ' not in line]
    return {**info, 'error-desc': '; '.join([info.get('error-desc', ''),
                                             *said])}


@test('golden: other versions are refused by name, or load')
def versions(env):
    stream = unpacked(env.lab, NEWEST, 'stream')
    data = stream.read_bytes()
    host = identity(env.lab, NEWEST)
    for number, (sentence, edited) in enumerate(edits(data)):
        stream.write_bytes(edited)
        with Tiny(env.lab, f'golden-edit-{number}', host, True) as guest:
            info = guest.load(stream)
            if sentence is None:
                check(info['status'] == 'completed', f'it says {info}')
            else:
                expect_error(add_log(env, guest, info), sentence)
    stream.unlink()


@test('golden: a template that ends where its image ends is refused')
def cut(env):
    path = unpacked(env.lab, NEWEST, 'template')
    data = path.read_bytes()
    host = identity(env.lab, NEWEST)
    # Device state is short: one of these is where the stream goes on behind
    # the image.
    last = len(data) // IMAGE_ALIGN
    for size in (n * IMAGE_ALIGN for n in range(last - 7, last)):
        path.write_bytes(data[:size])
        with Tiny(env.lab, f'golden-cut-{size}', host, True) as guest:
            info = guest.load(path)
            check(info['status'] == 'failed',
                  f'cut to {size} bytes it is "{info["status"]}"')
    path.unlink()
