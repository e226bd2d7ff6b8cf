# SPDX-License-Identifier: GPL-2.0-or-later
"""A power cut while a template is made: what the disk may have is no half one.

What was written before a sync is there; of what was written after it any page
may be missing, and the file may be shorter.
"""

import os
import random
import subprocess
from pathlib import Path

from golden import Tiny, identity, template_of
from image import Image
from registry import SAID, test
from test_golden import IMAGE_ALIGN, NEWEST, section
from verdict import Skip, check

PAGE = 4096
CUTS = 16
SOURCE = Path(__file__).with_name('powercut.c')


def recorder(lab):
    library = lab.large('powercut.so')
    try:
        done = subprocess.run(['cc', '-shared', '-fPIC', '-O', '-o', library,
                               SOURCE, '-ldl'], capture_output=True, text=True,
                              timeout=60, check=False)
    except OSError as error:
        raise Skip(f'no C compiler: {error}') from error
    check(done.returncode == 0, done.stderr)
    return library


def journal(path):
    """[(offset, length) of a write, or None for a sync]."""
    lines = (line.split() for line in path.read_text('ascii').splitlines())
    return [tuple(map(int, words[1:])) if words[0] == 'w' else None
            for words in lines]


def lost(data, after, draw):
    """A file in which some of the pages of the writes @after are missing."""
    pages = sorted({page for at, length in after
                    for page in range(at // PAGE, -(-(at + length) // PAGE))})
    gone = draw.sample(pages, draw.randint(1, len(pages)))
    left = bytearray(data)
    for page in gone:
        at = max(page * PAGE, after[0][0])
        end = min((page + 1) * PAGE, len(left))
        left[at:end] = bytes(max(end - at, 0))
    if draw.random() < 0.5:             # its length was not written either
        del left[max(gone[-1] * PAGE, after[0][0]):]
    return bytes(left)


@test('template: a power cut leaves a whole one or none')
def power_cut(env):
    lab, host = env.lab, identity(env.lab, NEWEST)
    path, notes = lab.large('cut.image'), lab.large('cut.journal')
    with Tiny(lab, 'cut-source', host, environment=(
            f'LD_PRELOAD={recorder(lab)}', f'POWERCUT_FILE={path}',
            f'POWERCUT_JOURNAL={notes}')) as source:
        template_of(source, path)
    done = journal(notes)
    check(None in done, 'it was never synced')
    synced = len(done) - 1 - done[::-1].index(None)
    goes_on = Image(path).records('BREAK')[1][0] // IMAGE_ALIGN * IMAGE_ALIGN
    after = done[synced + 1:]
    check(after and all(at >= goes_on for at, _ in after),
          f'parts of the image were written after the sync: {after}')
    data, draw = path.read_bytes(), random.Random(os.urandom(8))
    # The digest and the section's footer; upstream's description follows.
    needed = section(data, 'sev-template-end')[1] + 32 + 5
    for number in range(CUTS):
        left = lost(data, sorted(after), draw)
        path.write_bytes(left)
        whole = left[:needed] == data[:needed]
        with Tiny(lab, f'cut-{number}', host, True) as clone:
            info = clone.load(path)
        check(info['status'] == ('completed' if whole else 'failed'),
              f'cut {number}: {"a whole" if whole else "half a"} template is '
              f'"{info["status"]}"')
    path.write_bytes(data)
    with Tiny(lab, 'cut-whole', host, True) as clone:
        check(clone.load(path)['status'] == 'completed', 'it is not whole')
        clone.cmd('cont')
        clone.wait_sound()
    SAID.append(f'{len(done)} calls, {len(after)} writes after the last sync')
