# SPDX-License-Identifier: GPL-2.0-or-later
"""What was seen of each claim: on the screen, in a table, as JSON.

Nothing of the machine's or the user's name gets into either: folders and names
are replaced where a row is written down.
"""

import getpass
import json
import os
import re
import socket
import textwrap
import time
from pathlib import Path

from .claims import BY_NAME, CLAIMS, PARTS

FORMAT, VERSION = 'sev-check-hardware', 1
PASS, FAIL, UNKNOWN = 'pass', 'fail', 'unknown'
LEFT, RIGHT = 40, 48         # columns of the table


class Stop(Exception):
    """The rest of a step makes no sense; a row says why."""


def private_words(folder, build, source):
    """[(what names this machine or its user, what stands for it)]"""
    words = [(str(folder), 'FOLDER'), (str(build), 'BUILD'),
             (str(source), 'SOURCE'), (str(Path.home()), '~')]
    names = {socket.gethostname(), socket.gethostname().partition('.')[0],
             os.uname().nodename}
    try:
        names.add(getpass.getuser())
    except (KeyError, OSError):
        pass
    # "root", "kvm", "sev" and the like name nobody.
    words += [(name, 'NAME') for name in sorted(names, key=len, reverse=True)
              if len(name) > 3 and name not in ('root', 'localhost')]
    return words


def wrap(text, width, **how):
    return textwrap.wrap(text, width, break_on_hyphens=False, **how)


class Ledger:
    """The rows so far."""

    def __init__(self, platform, words=(), out=print):
        self.platform, self.words, self.out = platform, list(words), out
        self.rows, self.began = {}, time.monotonic()
        self.date = time.strftime('%Y-%m-%d', time.gmtime())
        self.facts = {}

    # --- Writing ---

    def scrub(self, text):
        for word, instead in self.words:
            text = re.sub(rf'(?<![\w-]){re.escape(word)}(?![\w-])', instead,
                          text)
        return text

    def say(self, name, verdict, seen, remedy='', **values):
        """@values: numbers and words for machines; a name with _ gets a -"""
        claim = BY_NAME[name]
        row = dict(part=claim.part, name=name, claim=claim.text,
                   required=claim.required, verdict=verdict,
                   seen=self.scrub(str(seen)))
        if remedy:
            row['remedy'] = self.scrub(remedy)
        row['values'] = {key.replace('_', '-'):
                         self.scrub(value) if isinstance(value, str) else value
                         for key, value in values.items()}
        self.rows[name] = row
        self.out(f'{self.seconds():6.1f} s  {verdict:<7} {name}: {row["seen"]}')
        return verdict == PASS

    def check(self, name, held, seen, remedy='', **values):
        return self.say(name, PASS if held else FAIL, seen,
                        '' if held else remedy, **values)

    def note(self, text):
        self.out(f'{self.seconds():6.1f} s  {self.scrub(text)}')

    def seconds(self):
        return time.monotonic() - self.began

    # --- Reading ---

    def passed(self, name):
        return name in self.rows and self.rows[name]['verdict'] == PASS

    def lacking(self, names):
        """The first of @names that did not pass, or None."""
        return next((name for name in names if not self.passed(name)), None)

    def not_run(self, names, reason, remedy=''):
        """Rows that nobody got to; one line on the screen for all of them."""
        left = [name for name in names if name not in self.rows]
        out, self.out = self.out, lambda line: None
        for name in left:
            self.say(name, UNKNOWN, f'not run: {reason}', remedy)
        self.out = out
        if left:
            self.note(f'unknown {", ".join(left)}: not run: {reason}')

    def needs(self, names, needed):
        """Do @needed hold? If not, the rows @names say what is in the way."""
        lacking = self.lacking(needed)
        if lacking:
            self.not_run(names, f'it needs "{BY_NAME[lacking].text}"',
                         f'see {lacking}')
        return not lacking

    def culprit(self, names):
        """What to do about rows that nobody got to: look at the first bad one"""
        bad = [name for name in names if name in self.rows
               and not self.passed(name) and BY_NAME[name].required]
        return f'see {bad[0]}' if bad else ''

    def finish(self, reason):
        self.not_run([claim.name for claim in CLAIMS], reason)

    def held(self):
        return all(self.passed(claim.name) for claim in CLAIMS
                   if claim.required)

    # --- Out ---

    def table(self):
        lines = []
        for part, title in PARTS.items():
            lines += ['', title, '-' * len(title)]
            before = {}
            for claim in CLAIMS:
                if claim.part == part:
                    row = self.rows[claim.name]
                    lines += self._row(row, before)
                    before = row
        return '\n'.join([*lines, '', self.verdict()])

    @staticmethod
    def _row(row, before):
        """verdict | claim | what was seen, and below it what to do"""
        left = wrap(f'{row["name"]}: {row["claim"]}', LEFT)
        right = wrap(row['seen'], RIGHT)
        if row['verdict'] == UNKNOWN and all(
                row.get(k) == before.get(k) for k in ('seen', 'remedy')):
            right = ['as above']
        elif row.get('remedy'):
            right += wrap(f'-> {row["remedy"]}', RIGHT,
                          subsequent_indent='   ')
        word = row['verdict'] if row['required'] or row['verdict'] == PASS \
            else f'({row["verdict"]})'
        rows = max(len(left), len(right))
        cells = zip([word] + [''] * rows, left + [''] * rows,
                    right + [''] * rows, range(rows))
        return [f'{a:<9} {b:<{LEFT}}  {c}'.rstrip() for a, b, c, _ in cells]

    def verdict(self):
        wanted = [self.rows[c.name] for c in CLAIMS if c.required]
        failed = [row['name'] for row in wanted if row['verdict'] == FAIL]
        unknown = sum(row['verdict'] == UNKNOWN for row in wanted)
        of = {'hardware': '', 'stand-in': ' (of the stand-in for Linux, '
              'not of hardware)', 'software': ' (of the software secure '
              'processor, not of hardware)'}[self.platform]
        if self.held():
            return f'All {len(wanted)} required rows hold{of}.'
        held = len(wanted) - len(failed) - unknown
        fail = f' ({", ".join(failed)})' if failed else ''
        return (f'Required rows{of}: {held} hold, {len(failed)} fail{fail}, '
                f'{unknown} are unknown.')

    def document(self):
        return dict(
            format=FORMAT, version=VERSION, platform=self.platform,
            date=self.date, seconds=round(self.seconds(), 1),
            held=self.held(), facts=self.facts,
            rows=[self.rows[claim.name] for claim in CLAIMS])

    def write(self, path):
        """Over what lies there, in one step, for this user alone."""
        new = path.with_name(path.name + '.new')
        new.unlink(missing_ok=True)
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, 'w', encoding='utf-8') as out:
            json.dump(self.document(), out, indent=1)
            out.write('\n')
        os.replace(new, path)
