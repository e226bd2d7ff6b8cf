# SPDX-License-Identifier: GPL-2.0-or-later
"""What a person sees: one line that moves on a terminal, or plain lines."""

import json
import shutil
import sys
import threading
import time

WIDTH = 24


class Progress:
    """Steps of one job on stderr; silent with --json or --quiet."""

    def __init__(self, quiet=False):
        self.quiet = quiet
        self.live = not quiet and sys.stderr.isatty()
        self._lock = threading.Lock()
        self._last = 0.0
        self._open = False

    def _show(self, text, final):
        columns = shutil.get_terminal_size().columns - 1
        sys.stderr.write(f'\r\x1b[K{text[:columns]}' + ('\n' if final else ''))
        sys.stderr.flush()
        self._open = not final

    def step(self, text):
        """A step that takes a while, without a measure."""
        with self._lock:
            if self.live:
                self._show(f'{text} ...', False)

    def bar(self, text, done, total):
        with self._lock:
            now = time.monotonic()
            if not self.live or (done < total and now - self._last < 0.05):
                return
            self._last = now
            filled = WIDTH * done // max(total, 1)
            self._show(f'{text} [{"#" * filled}{"." * (WIDTH - filled)}] '
                       f'{done}/{total}', False)

    def done(self, text):
        """A step is over; the line stays."""
        with self._lock:
            if self.live:
                self._show(text, True)
            elif not self.quiet:
                print(text, file=sys.stderr, flush=True)

    def clear(self):
        with self._lock:
            if self._open:
                sys.stderr.write('\r\x1b[K')
                self._open = False


def put(options, data, lines):
    """The result: JSON on request, lines for people otherwise."""
    if options.json:
        print(json.dumps(data, indent=1))
    else:
        for line in lines:
            print(line)


def mib(count):
    return f'{count / (1 << 20):.1f} MiB'


def ms(seconds):
    return f'{seconds * 1000:.1f} ms'


def table(rows):
    """Columns as wide as they need to be."""
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows)]
    return ['  '.join(c.ljust(w) for c, w in zip(row, widths)).rstrip()
            for row in rows]


def spread(values):
    """p50 and p99 by rank."""
    values = sorted(values)

    def rank(percent):
        return values[min(len(values) - 1,
                          -(-len(values) * percent // 100) - 1)]
    return {'p50': rank(50), 'p99': rank(99), 'min': values[0],
            'max': values[-1], 'n': len(values)}
