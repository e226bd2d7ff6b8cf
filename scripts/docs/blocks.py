# SPDX-License-Identifier: GPL-2.0-or-later
"""The blocks of a document, Markdown or reStructuredText, and their marks.

A block says what it is by the word behind its fence, or behind '.. code-block::':

  sh       for the reader to run; scripts/docs/check.py runs it, too
  qmp      commands of QMP, each "NAME" or "NAME {ARGUMENTS}"; looked up in the schema
  text     for reading; a literal block of reStructuredText ('::') is one

"sh" and "qmp" may have words behind them, which scripts/docs/paste.py explains.
Marks are comments in front of a block, '<!-- check-docs: VERB: ... -->' or
'.. check-docs: VERB: ...':

  not run: REASON     why check.py leaves it out; a sentence
  first: COMMANDS     what has to be there that the page made elsewhere
  with: WORD=VALUE    what the page leaves to the reader
  until: TEXT         the block goes on for ever; it is ended when it has printed TEXT
  exit: NUMBER        the exit code of its last command
"""

import re

import paste

MARK = re.compile(r'^ *(?:<!--|\.\.) *check-docs: *(.*?)(?: *-->)?$')
VERBS = ('not run', 'first', 'with', 'until', 'exit')
KINDS = ('sh', 'qmp', 'text')
COMMAND = re.compile(r'^\s*(?:[#$] )?(?:[A-Z_]+=\S+ )*(?:make|git|cp|sev-(?:psp|clone)'
                     r'|qemu-\S+|(?:\./)?(?:tools|tests|scripts|build)/\S+)(?= |$)')


def mark(line):
    """(verb, words) of a comment that is a mark, else None."""
    found = MARK.match(line)
    if not found:
        return None
    verb, _, words = found[1].partition(':')
    return verb.strip(), words.strip()


def markdown(page, text):
    """All fenced blocks of a page, with the marks right above them."""
    lines = text.splitlines()
    for block in paste.blocks(page, text):
        above = block.line - 3          # block.line counts from 1, its fence is before
        block.marks = {}
        while above >= 0 and mark(lines[above]):
            block.marks.update([mark(lines[above])])
            above -= 1
        yield block


def literal(page, text):
    """All code blocks and literal blocks of reStructuredText."""
    lines, marks, number = text.splitlines(), {}, 0
    while number < len(lines):
        line = lines[number]
        number += 1
        if mark(line):
            marks.update([mark(line)])
            continue
        directive = re.match(r'^( *)\.\. code-block:: *(.*)$', line)
        if not directive and (line.lstrip().startswith('..') or
                              not line.endswith('::')):
            if line.strip():
                marks = {}              # they were of nothing
            continue
        indent = len(line) - len(line.lstrip())
        word = directive[2] if directive else 'text'
        block = paste.Block(page, number + 2, '', {'shell': 'sh'}.get(word, word))
        block.marks, marks = marks, {}
        while number < len(lines) and (
                not lines[number].strip() or
                len(lines[number]) - len(lines[number].lstrip()) > indent):
            block.lines.append(lines[number])
            number += 1
        while block.lines and not block.lines[-1].strip():
            block.lines.pop()
        block.lines = block.lines[1:]
        deep = min((len(one) - len(one.lstrip()) for one in block.lines
                    if one.strip()), default=0)
        block.lines = [one[deep:] for one in block.lines]
        yield block


def where(block):
    return f'{block.page}:{block.line}'


def blocks(page, text):
    """The blocks of file @page, in their order."""
    yield from (literal if str(page).endswith('.rst') else markdown)(page, text)


def complaints(page, text):
    """What a reader of @page could not run and no mark explains."""
    for block in blocks(page, text):
        at = where(block)
        if block.language not in KINDS:
            yield (f'{at}: a block of what? say {", ".join(KINDS[:-1])} or '
                   f'{KINDS[-1]}')
        for verb, words in block.marks.items():
            if verb not in VERBS or not words:
                yield f'{at}: "check-docs: {verb}" is no mark, or lacks its words'
        if len(block.marks.get('not run', 'a real reason').split()) < 3:
            yield f'{at}: "not run" without a reason'
        if block.language == 'text':
            for number, line in enumerate(block.lines, block.line):
                if COMMAND.match(line):
                    yield f'{page}:{number}: a command in a block for reading'
        if block.language == 'sh' and 'not run' not in block.marks:
            for number, line in enumerate(block.lines, block.line):
                if re.search(r'(?<!\S)\.\.\.(?!\S)', line.split(' # ')[0]):
                    yield f'{page}:{number}: nobody can run "..."; mark the block'
    if not str(page).endswith('.rst'):
        inside = False
        for number, line in enumerate(text.splitlines(), 1):
            inside ^= bool(paste.FENCE.match(line))
            if not inside and line.startswith('    ') and COMMAND.match(line):
                yield f'{page}:{number}: an indented command; fence it'
