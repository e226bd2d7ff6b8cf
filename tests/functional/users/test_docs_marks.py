# SPDX-License-Identifier: GPL-2.0-or-later
"""make check-docs and lint see what is wrong with a document."""

import sys
from pathlib import Path

from registry import test
from sevlib import ROOT
from verdict import check

sys.path.append(str(ROOT / 'scripts/docs'))

import blocks               # noqa: E402  pylint: disable=wrong-import-position
import check as docs        # noqa: E402  pylint: disable=wrong-import-position

# (a block, what is said of it when it is looked at, and when it is run)
MARKDOWN = (
    ('```sh\ntrue\n```\n', None, None),
    ('```sh\nls none\n```\n', None, 'exit code 2'),
    ('```sh\nfalse\ntrue\n```\n', None, 'exit code 1'),
    ('<!-- check-docs: exit: 3 -->\n```sh\nexit 3\n```\n', None, None),
    ('<!-- check-docs: exit: 3 -->\n```sh\ntrue\n```\n', None, 'instead of 3'),
    ('<!-- check-docs: until: here -->\n```sh\necho here\nsleep 99\n```\n',
     None, None),
    ('<!-- check-docs: until: here -->\n```sh\necho else\n```\n', None,
     'ended without "here"'),
    ('<!-- check-docs: first: echo a > b -->\n'
     '<!-- check-docs: with: FILE=b -->\n```sh\ngrep a FILE\n```\n', None, None),
    ('```\nls\n```\n', 'a block of what?', None),
    ('```text\nmake demo\n```\n', 'a command in a block for reading', None),
    ('```sh\nqemu-system-x86_64 ... -S\n```\n', 'nobody can run', None),
    ('<!-- check-docs: not run: later -->\n```sh\nls\n```\n',
     '"not run" without a reason', None),
    ('<!-- check-docs: perhaps: it works -->\n```sh\nls\n```\n', 'is no mark',
     None),
    ('    sev-psp status\n', 'an indented command', None),
)
QMP = (('cont', None), ('migrate  { "uri": "a" }', None), ('kontinue', 'no command'),
       ('migrate  { "url": "a" }', 'no argument'), ('migrate  { "uri" }', 'delimiter'))
COMMANDS = {'cont': set(), 'migrate': {'uri'}}


def says(problems, wanted):
    said = '; '.join(filter(None, problems))
    return wanted in said if wanted else not said


@test('docs: a block that is wrong, or says not what it is, is found', sev=False)
def found(env):
    folder = Path(env.folder, 'box')
    folder.mkdir()
    box = docs.Sandbox(folder, folder, folder)
    for text, seen, wrong in MARKDOWN:
        problems = list(blocks.complaints('page.md', text))
        check(says(problems, seen), f'{text}: lint says {problems}')
        if not seen:
            problem = box.run(next(blocks.blocks('page.md', text)))
            check(says([problem], wrong), f'{text}: running it says {problem}')


@test('docs: literal blocks of the manual have marks, too', sev=False)
def literal(_env):
    text = ('Title\n=====\n\n.. check-docs: not run: it is too long\n\n'
            '.. code-block:: shell\n\n    make soak\n\nAs here::\n\n    ls\n\n'
            '::\n\n    make soak\n')
    made = list(blocks.blocks('page.rst', text))
    check([(b.language, b.lines, bool(b.marks)) for b in made] ==
          [('sh', ['make soak'], True), ('text', ['ls'], False),
           ('text', ['make soak'], False)], f'it has {[vars(b) for b in made]}')
    check(says(blocks.complaints('page.rst', text), 'page.rst:16: a command'),
          f'it says {list(blocks.complaints("page.rst", text))}')


@test('docs: QMP commands, names of files and targets are looked up', sev=False)
def names(_env):
    for text, wanted in QMP:
        block = next(blocks.blocks('page.md', f'```qmp\n{text}\n```\n'))
        problems = list(docs.qmp_complaints(block, COMMANDS))
        check(says(problems, wanted), f'{text}: {problems}')
    text = 'see `make demo`, `make tea`, `scripts/docs/check.py`, `tools/none.sh`'
    problems = list(docs.name_complaints('page.md', text, {'demo'}))
    check(len(problems) == 2 and 'make tea' in problems[0] and
          'tools/none.sh' in problems[1], f'{problems}')
