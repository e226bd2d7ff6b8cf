# SPDX-License-Identifier: GPL-2.0-or-later
"""What a person sees: one line that moves on a terminal, or plain lines.

Much of it was written by others: a guest, QEMU, the author of a template.  None
of it reaches the terminal as a control character.
"""

import codecs
import json
import re
import shutil
import sys
import threading
import time

WIDTH = 24

# What a terminal takes for a command (ECMA-48), and the beginning of one.
COMMAND = re.compile(r'\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*'
                     r'(?:\x07|\x1b\\)|[ -/]*[0-OQ-WYZ\\`-~])')
BEGUN = re.compile(r'(?:\x1b(?:\[[0-?]{0,64}[ -/]{0,8}|[\]PX^_][^\x07\x1b]{0,256}'
                   r'|[ -/]{0,8})|\r)\Z')


def clean(text):
    """@text with every control character written out: ESC becomes \\x1b."""
    return ''.join(c if c in '\n\t' or c.isprintable() else
                   c.encode('unicode_escape', 'surrogatepass').decode()
                   for c in text)


class Plain:
    """Makes text of what was meant for a terminal, piece by piece."""

    def __init__(self):
        self._decoder = codecs.getincrementaldecoder('utf-8')('replace')
        self._rest = ''

    def feed(self, data, last=False):
        text = self._rest + self._decoder.decode(data, last)
        begun = None if last else BEGUN.search(text)
        self._rest = begun.group() if begun else ''
        text = text[:len(text) - len(self._rest)]
        return clean(COMMAND.sub('', text).replace('\r\n', '\n')
                     .replace('\r', '\n'))


def plain(data):
    return Plain().feed(data, True)


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
        text = clean(text)[:columns]
        sys.stderr.write(f'\r\x1b[K{text}' + ('\n' if final else ''))
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
                print(clean(text), file=sys.stderr, flush=True)

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
            print(clean(line))


def complain(text):
    print(clean(f'error: {text}'), file=sys.stderr)


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
