#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Completion for bash and zsh, from what the programs themselves say.

usage: completion.py FOLDER SEV-PSP      leaves sev-clone.bash, _sev-clone,
                                    sev-psp.bash and _sev-psp in FOLDER
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(1, str(ROOT / 'tools/sev-clone'))
sys.dont_write_bytecode = True

from sevclone import cli, man           # noqa: E402

BASH = r"""# Made by scripts/packaging/completion.py.
_{function}()
{{
    local word=${{COMP_WORDS[COMP_CWORD]}} command= words= one
    for one in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
        case $one in
        {names}) command=$one; break ;;
        esac
    done
    case $command in
    '') words="{commands} {top}" ;;
{cases}
    esac
    case $word in
    -*) ;;
    *) {values} ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word"
        {files})
}}
complete -F _{function} {program}
"""

ZSH = r"""#compdef {program}
# Made by scripts/packaging/completion.py.

local -a commands options
commands=(
{commands}
)
if (( CURRENT == 2 )) && [[ $PREFIX != -* ]]; then
    _describe command commands
    return
fi
case $words[2] in
{cases}
*) options=({top}) ;;
esac
if [[ $PREFIX == -* ]]; then
    compadd -- $options
else
    {values}
fi
"""

# Templates are folders with a template.json in them.
TEMPLATES = r'for one in "${SEV_CLONE_HOME:-${XDG_DATA_HOME:-$HOME/.local/share}' \
            r'/sev-clone}"/*/template.json; do one=${one%/*}; ' \
            r'[ -e "$one" ] && words="$words ${one##*/}"; done'
ZSH_TEMPLATES = r'compadd -- ${SEV_CLONE_HOME:-${XDG_DATA_HOME:-$HOME/.local/' \
                r'share}/sev-clone}/*/template.json(N:h:t)'


def of_sev_clone():
    """{command: (what it does, its options)} and the options of all."""
    parser = cli.parser()
    about = {action.dest: action.help
             for group in parser._subparsers._group_actions
             for action in group._choices_actions}      # pylint: disable=W0212
    return {name: (about[name], [word for action in man.actions(sub)
                                 for word in action.option_strings])
            for name, sub in man.commands(parser)}, ['--help']


def of_sev_psp(binary):
    """The same, from what --help prints."""
    def said(*words):
        return subprocess.run([binary, *words, '--help'], text=True, check=True,
                              capture_output=True).stdout

    def options(text):
        return ['--help'] + re.findall(r'^ +(?:-\w, )?(--[\w-]+)',
                                       text.partition('Application Options:')[2],
                                       re.M)
    whole = said()
    listed = re.findall(r'^  ([a-z]+) {2,}(\S.*)$',
                        whole.partition('Commands:')[2], re.M)
    return {name: (what, options(said(name))) for name, what in listed}, \
        options(whole)


def bash(program, commands, top, values, files):
    cases = '\n'.join(f'    {name}) words="{" ".join(options)}" ;;'
                      for name, (_, options) in commands.items())
    return BASH.format(function=program.replace('-', '_'), program=program,
                       names=' | '.join(commands), commands=' '.join(commands),
                       top=' '.join(top), cases=cases, values=values,
                       files=files)


def quoted(text):
    return text.replace("'", "'\\''").replace(':', '\\:')


def zsh(program, commands, top, values):
    listed = '\n'.join(f"    '{name}:{quoted(what)}'"
                       for name, (what, _) in commands.items())
    cases = '\n'.join(f'{name}) options=({" ".join(options)}) ;;'
                      for name, (_, options) in commands.items())
    return ZSH.format(program=program, commands=listed, cases=cases,
                      top=' '.join(top), values=values)


def main(folder, binary):
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    commands, top = of_sev_clone()
    files = 'compgen -f -- "$word"'
    for name, text in (
            ('sev-clone.bash', bash('sev-clone', commands, top,
                                    f'[ -n "$command" ] && {TEMPLATES}', '')),
            ('_sev-clone', zsh('sev-clone', commands, top, ZSH_TEMPLATES))):
        (out / name).write_text(text, 'utf-8')
    commands, top = of_sev_psp(binary)
    for name, text in (
            ('sev-psp.bash', bash('sev-psp', commands, top, ':',
                                  f'[ -n "$command" ] && {files}')),
            ('_sev-psp', zsh('sev-psp', commands, top, '_files'))):
        (out / name).write_text(text, 'utf-8')


if __name__ == '__main__':
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
