#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands of a guide, as one script: what a reader pastes, and nothing else.

usage: paste.py [--host NAME]... [--with WORD=VALUE]... [--without PROGRAM]...
                FILE[#HEADING]...

In our guides a block that begins with ```sh is for pasting, all its lines, in the
order of the page; "```sh host2" is for the machine that the guide calls so.  Any
other block is for reading.  The script stops at the first command that fails and
names its file and line.  WORD is what the guide leaves to the reader, as URL in
"git clone URL"; one that the guide does not have is an error.  PROGRAM's lines
are left out: where its work is done already, as apt-get's.

    bash <(scripts/docs/paste.py --with URL=/srv/repo README.md) < /dev/null
"""

import argparse
import re
import shlex
import sys
from pathlib import Path

FENCE = re.compile(r'^( *)```(.*)$')
HEADING = re.compile(r'^#+ +(.*)$')
# The line that runs is counted from the block's first; only bash knows it.
PROLOGUE = """\
set -eE
_at() {
    echo "not ok $_page:$((_first + $1 - _block)): $BASH_COMMAND" >&2
}
trap '_at "$LINENO"' ERR
"""


class Block:
    """Lines between two fences, and where they are."""

    def __init__(self, page, line, heading, info):
        self.page, self.line, self.heading = page, line, heading
        self.language, *self.hosts = info.split() or ['']
        self.lines = []

    def first(self):
        return next((line for line in self.lines if line.strip()), '')


def blocks(page, text):
    """All fenced blocks of a page."""
    heading, block, indent = '', None, 0
    for number, line in enumerate(text.splitlines(), 1):
        fence, title = FENCE.match(line), HEADING.match(line)
        if fence and block is None:
            indent = len(fence[1])
            block = Block(page, number + 1, heading, fence[2])
        elif fence:
            yield block
            block = None
        elif block is not None:
            block.lines.append(line[indent:] if line[:indent].isspace()
                               else line)
        elif title:
            heading = title[1]
    if block is not None:
        raise SystemExit(f'{page}:{block.line - 1}: this block has no end')


def chosen(sources, hosts):
    """The blocks to paste on one of @hosts, of each file or section in turn."""
    for source in sources:
        page, _, heading = source.partition('#')
        found = False
        for block in blocks(page, Path(page).read_text('utf-8')):
            if block.language == 'sh' and heading in ('', block.heading):
                found = True
                if not block.hosts or set(hosts) & set(block.hosts):
                    yield block
        if not found:
            raise SystemExit(f'{source}: nothing to paste there')


def left_out(lines, programs):
    """Empty lines where one of @programs is called, with its continuations."""
    goes = False
    for line in lines:
        goes = goes or line.split()[:1] in [[name] for name in programs]
        yield '' if goes else line
        goes = goes and line.endswith('\\')


def script(picked, values, programs):
    """The text for bash."""
    used, text = set(), PROLOGUE
    for block in picked:
        text += (f'\n_page={shlex.quote(block.page)} _first={block.line} '
                 '_block=$((LINENO + 2))\n'
                 f'echo "-- $_page:$_first"\n')
        for number, line in enumerate(left_out(block.lines, programs),
                                      block.line):
            if '&&' in line:            # bash would not stop there
                raise SystemExit(f'{block.page}:{number}: two lines, please')
            for word, value in values.items():
                line, times = re.subn(rf'\b{re.escape(word)}\b',
                                      lambda _, v=value: v, line)
                used |= {word} if times else set()
            text += line + '\n'
    if set(values) - used:
        raise SystemExit(f'not in the guide: {", ".join(set(values) - used)}')
    return text


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter,
        usage='paste.py [--host NAME]... [--with WORD=VALUE]... '
        '[--without PROGRAM]... FILE[#HEADING]...')
    parser.add_argument('--host', action='append', default=[],
                        help='default: host1')
    parser.add_argument('--with', dest='values', metavar='WORD=VALUE',
                        action='append', default=[])
    parser.add_argument('--without', metavar='PROGRAM', action='append',
                        default=[])
    parser.add_argument('--list', action='store_true',
                        help='only say where the blocks are')
    parser.add_argument('sources', nargs='+', metavar='FILE[#HEADING]')
    args = parser.parse_args()
    picked = list(chosen(args.sources, args.host or ['host1']))
    if args.list:
        for block in picked:
            print(f'{block.page}:{block.line}: {block.first()}')
    else:
        sys.stdout.write(script(
            picked, dict(pair.split('=', 1) for pair in args.values),
            args.without))


if __name__ == '__main__':
    main()
