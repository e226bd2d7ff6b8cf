# SPDX-License-Identifier: GPL-2.0-or-later
"""Compare the RAM files of clones: one memory, but a key each."""

import json
import mmap
import subprocess
import sys
from pathlib import Path

PAGE = 4096
ANALYZE = Path(__file__).resolve().parents[3] / 'scripts/analyze-sev-stream.py'


class Broken(Exception):
    """The stream is not what it should be."""


def analyze(stream):
    """What analyze-sev-stream.py says about a stream; it must be whole."""
    done = subprocess.run([sys.executable, ANALYZE, '--json', stream],
                          capture_output=True, text=True, timeout=120,
                          check=False)
    if done.returncode not in (0, 1):
        raise Broken(f'no analysis of {stream}: {done.stderr}')
    said = json.loads(done.stdout)
    if said['wrong']:
        raise Broken(f'{stream}: {said["wrong"]}')
    return said


def ciphertext(paths, runs):
    """(pages compared, pages that any two files have in common).

    @runs: (offset, length) of the pages that are private, from the template.
    What is shared is plaintext and rightly the same in all of them.
    """
    files = [open(path, 'rb') for path in paths]
    views = [mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) for f in files]
    compared = same = 0
    for start, length in runs:
        for offset in range(start, start + length, PAGE):
            pages = {view[offset:offset + PAGE] for view in views}
            compared += 1
            same += len(pages) < len(views)
    for view, f in zip(views, files):
        view.close()
        f.close()
    return compared, same
