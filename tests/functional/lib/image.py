# SPDX-License-Identifier: GPL-2.0-or-later
"""Templates as files: where what lies in them, and how to spoil it."""

import json
import subprocess
import sys
from pathlib import Path

ANALYZE = Path(__file__).resolve().parents[3] / 'scripts/analyze-sev-stream.py'
PAGE, HEADER = 4096, 52


class Image:
    """What scripts/analyze-sev-stream.py finds in a template or state file."""

    def __init__(self, path):
        self.path = Path(path)
        done = subprocess.run([sys.executable, str(ANALYZE), '--json',
                               str(path)], stdout=subprocess.PIPE, check=False)
        self.found = json.loads(done.stdout)
        self.wrong = self.found['wrong']

    def private_pages(self, block='ram'):
        """Offsets in the block."""
        return [offset for start, length in self.found['private_runs'][block]
                for offset in range(start, start + length, PAGE)]

    def page_at(self, offset, block='ram'):
        return self.found['images'][block]['pages'] + offset

    def header_at(self, offset, block='ram'):
        return (self.found['images'][block]['headers']
                + offset // PAGE * HEADER)

    def records(self, name):
        """[(offset in the file, length of the payload)]"""
        return self.found['places'].get(name, [])


def flip(path, *offsets, bit=0x10):
    """Flip a bit at each of these places in a file; twice is not at all."""
    with open(path, 'r+b') as f:
        for offset in offsets:
            f.seek(offset)
            byte = f.read(1)[0]
            f.seek(offset)
            f.write(bytes([byte ^ bit]))
