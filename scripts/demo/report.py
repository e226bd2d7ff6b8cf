# SPDX-License-Identifier: GPL-2.0-or-later
"""What the demo says: one line per step while it runs, one table at the end."""

import json
import shutil
import sys
import textwrap
import time


class Report:
    """Collects checks and numbers; prints progress as it goes."""

    def __init__(self, steps):
        self.steps, self.step = steps, 0
        self.rows, self.numbers = [], {}
        self.began = self.step_began = time.monotonic()
        self.live = sys.stdout.isatty()

    # --- Progress ---

    def begin(self, title):
        self.step += 1
        self.step_began = time.monotonic()
        print(f'[{self.step}/{self.steps}] {title}', flush=True)

    def doing(self, what):
        """What takes the time just now; a terminal shows it in place."""
        elapsed = time.monotonic() - self.began
        if self.live:
            width = shutil.get_terminal_size().columns
            line = f'      {elapsed:5.1f} s  {what} ...'[:width - 1]
            print(f'\r\033[K{line}', end='', flush=True)
        else:
            print(f'      {elapsed:5.1f} s  {what}', flush=True)

    def note(self, text):
        elapsed = time.monotonic() - self.began
        start = '\r\033[K' if self.live else ''
        print(f'{start}      {elapsed:5.1f} s  {text}', flush=True)

    # --- Results ---

    def check(self, held, what, found):
        """One thing that had to hold, and what was found."""
        self.rows.append(dict(step=self.step, check=what, held=bool(held),
                              found=str(found)))
        self.note(f'{"ok " if held else "NOT OK"} {what}: {found}')
        return held

    def number(self, name, value):
        self.numbers[name] = value

    def failed(self):
        return [row for row in self.rows if not row['held']]

    # --- The end ---

    def table(self):
        head = ('', 'what was checked', 'what was found', '')
        cells = [head]
        for row in self.rows:
            cells.append((str(row['step']), row['check'], row['found'],
                          'ok' if row['held'] else 'NOT OK'))
        limits = (2, 44, 60, 6)
        widths = [min(limit, max(len(c[i]) for c in cells))
                  for i, limit in enumerate(limits)]
        rule = '+'.join(['', *('-' * (w + 2) for w in widths), ''])
        lines = [rule]
        for number, row in enumerate(cells):
            columns = [textwrap.wrap(text, width) or ['']
                       for text, width in zip(row, widths)]
            for i in range(max(map(len, columns))):
                line = ' | '.join((c[i] if i < len(c) else '').ljust(w)
                                  for c, w in zip(columns, widths))
                lines.append(f'| {line} |')
            if number == 0:
                lines.append(rule)
        return '\n'.join([*lines, rule])

    def write_json(self, path):
        path.write_text(json.dumps(dict(
            seconds=round(time.monotonic() - self.began, 1),
            held=not self.failed(), checks=self.rows,
            numbers=self.numbers), indent=2) + '\n')
