# SPDX-License-Identifier: GPL-2.0-or-later
"""The manual page of sev-clone, from the same parser as --help.

usage: PYTHONPATH=scripts python3 -m sevclone.man > sev-clone.1
"""

import argparse
import os
import sys

from sevclone import cli

HEAD = r""".\" Made by sevclone/man.py from the command's own options.
.TH SEV\-CLONE 1 "" "sev-clone" "User Commands"
.SH NAME
sev\-clone \- seal a booted SEV guest once, start encrypted clones from it
"""
TAIL = r""".SH ENVIRONMENT
.TP
.I SEV_CLONE_HOME
templates, one folder each; else $XDG_DATA_HOME/sev\-clone, else
~/.local/share/sev\-clone
.TP
.I SEV_CLONE_RUN
sockets, screens and logs of running clones; else
$XDG_RUNTIME_DIR/sev\-clone if that folder is the user's, else
/run/sev\-clone for root and /run/user/UID/sev\-clone for others, else a folder
beside the templates
.TP
.I SEV_CLONE_QEMU
the QEMU to use, unless \-\-qemu names one
.TP
.I SEV_PSP_DIR
identity of the platform that seals and opens templates; see
.BR sev\-psp (1)
.PP
The folders of templates and of running clones must belong to the user, have mode
0700 and be no links, and no other user may be able to exchange a folder that
leads to them; otherwise every command refuses.
.SH EXIT STATUS
0 done; 1 it failed, or
.B verify
found something wrong (the sentence is on stderr, with
.B verify
on stdout); 2 wrong usage; 130 interrupted.
.SH SEE ALSO
.BR sev\-psp (1),
.BR qemu (1),
docs/templates.md
"""


def escape(text):
    """Text as roff's text: no line of it is a request."""
    text = text.replace('\\', '\\e').replace('-', '\\-')
    return '\n'.join('\\&' + line if line[:1] in ('.', "'") else line
                     for line in text.splitlines())


def option(action):
    """What is typed: "-m MIB, --memory MIB"."""
    value = action.metavar or (action.dest.upper() if action.nargs != 0 else '')
    if action.choices:
        value = '{' + ','.join(map(str, action.choices)) + '}'
    if not action.option_strings:
        return f'.I {escape(value)}'
    typed = ', '.join(f'\\fB{escape(o)}\\fR' for o in action.option_strings)
    takes = action.nargs != 0 and value
    return typed + (f' \\fI{escape(value)}\\fR' if takes else '')


def actions(parser):
    """The options and arguments to describe, without --help."""
    # pylint: disable=protected-access
    return [a for a in parser._actions
            if not isinstance(a, (argparse._HelpAction,
                                  argparse._SubParsersAction))]


def described(parser, without=()):
    lines = []
    for action in actions(parser):
        if action.dest in without:
            continue
        lines += ['.TP', option(action), escape(action.help or '') or '\\&']
    return lines


def usage(parser):
    words = ' '.join(parser.format_usage().split()[1:])
    return '.B ' + escape(words.replace('[-h] [--json] [--quiet] '
                                        '[--qemu BINARY] ', ''))


def commands(parser):
    """[(name, its parser)]."""
    # pylint: disable=protected-access
    [subs] = [a for a in parser._actions
              if isinstance(a, argparse._SubParsersAction)]
    return list(subs.choices.items())


def page(parser):
    shared = cli.common()
    known = [action.dest for action in actions(shared)]
    lines = [HEAD.rstrip(), '.SH SYNOPSIS',
             r'.B sev\-clone \fICOMMAND\fR [\fIOPTION\fR...]',
             '.SH DESCRIPTION', escape(parser.description), '.SH COMMANDS']
    for name, sub in commands(parser):
        lines += [f'.SS {escape(name)}', '.PP', usage(sub), '.PP',
                  escape(sub.description) + '.', *described(sub, known)]
    lines += ['.SH OPTIONS OF EVERY COMMAND', *described(shared)]
    examples, _, _ = parser.epilog.partition('\n\n')
    lines += ['.SH EXAMPLES', '.nf',
              escape(examples.partition('\n')[2]), '.fi', TAIL.rstrip()]
    return '\n'.join(lines) + '\n'


def main():
    os.environ['COLUMNS'] = '78'        # argparse looks there
    sys.stdout.write(page(cli.parser()))


if __name__ == '__main__':
    main()
