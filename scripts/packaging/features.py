#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a QEMU has, by its own word; two of them beside the table in docs/features.md.

    features.py survey BINARY                   as JSON: {kind: [names]}
    features.py compare DEBIANS OURS            two such files; exit code 1 when what
                                                differs is not what the table says

Only what a user can ask for by name is compared: devices, back ends, formats of disks,
commands of QMP and options, not their members.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).parent / '../../docs/features.md'
LISTS = {'device': '-device', 'audiodev': '-audiodev', 'display': '-display',
         'netdev': '-netdev', 'chardev': '-chardev', 'object': '-object',
         'accel': '-accel', 'machine': '-machine', 'cpu': '-cpu',
         'tpmdev': '-tpmdev', 'vga': '-vga'}
# Where an enumeration of the schema is used: command, member
ENUMS = {'block': ('blockdev-add', 'driver')}
PATTERNS = {'device': r'^name "([^"]+)"', 'machine': r'^(\S+) {2,}\S',
            'cpu': r'^ {2}([A-Za-z]\S*)', 'vga': r'^(\S+) {2,}\S',
            'tpmdev': r'^ *([a-z]\S*) {2,}\S'}
# Two of one thing: versioned names and aliases say nothing of features.
IGNORED = {'machine': r'^(pc-(i440fx|q35)-|Supported)|-\d', 'cpu': r'-v\d+$'}


class Monitor:
    """QMP of a QEMU without a machine."""

    def __init__(self, binary):
        self.process = subprocess.Popen(
            [binary, '-machine', 'none', '-nodefaults', '-display', 'none', '-qmp',
             'stdio'], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._next()
        self.cmd('qmp_capabilities')

    def _next(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit('error: QEMU has ended')
        return json.loads(line)

    def cmd(self, name):
        self.process.stdin.write(json.dumps({'execute': name}) + '\n')
        self.process.stdin.flush()
        while 'return' not in (answer := self._next()):
            if 'error' in answer:
                sys.exit(f'error: {name}: {answer["error"]["desc"]}')
        return answer['return']

    def close(self):
        self.cmd('quit')
        self.process.wait()


def listed(binary, kind, option):
    """Names that QEMU prints for "OPTION help"."""
    machine = [] if kind == 'machine' else ['-machine', 'none']
    done = subprocess.run([binary, *machine, option, 'help'], text=True,
                          capture_output=True, check=False)
    pattern = PATTERNS.get(kind, r'^ *([a-z][\w.+-]*)$')
    said = (done.stdout + done.stderr).split('Recognized CPUID flags')[0]
    return re.findall(pattern, said, re.M)


def members(schema, command, member):
    """Values of the enumeration that is this member of the command's argument."""
    entry = schema[schema[command]['arg-type']]
    kind = next(m['type'] for m in entry['members'] if m['name'] == member)
    return [m['name'] for m in schema[kind]['members']]


def survey(binary):
    found = {kind: listed(binary, kind, option) for kind, option in LISTS.items()}
    monitor = Monitor(binary)
    schema = {entry['name']: entry for entry in monitor.cmd('query-qmp-schema')}
    for kind, where in ENUMS.items():
        found[kind] = members(schema, *where)
    found['command'] = [c['name'] for c in monitor.cmd('query-commands')]
    found['event'] = [name for name, entry in schema.items()
                      if entry['meta-type'] == 'event']
    found['option'] = [o['option'] for o in monitor.cmd('query-command-line-options')]
    version = monitor.cmd('query-version')
    monitor.close()
    for kind, pattern in IGNORED.items():
        found[kind] = [name for name in found[kind] if not re.search(pattern, name)]
    return {'version': '{major}.{minor}.{micro}'.format(**version['qemu']),
            'package': version['package'],
            'names': {kind: sorted(set(names)) for kind, names in found.items()}}


def table(name):
    """{(kind, name): why} between "begin: NAME" and "end: NAME"."""
    text = DOCS.read_text('utf-8')
    text = text.split(f'<!-- begin: {name} -->')[1].split(f'<!-- end: {name} -->')[0]
    rows = {}
    for line in text.strip().splitlines()[2:]:
        kind, names, why = (cell.strip() for cell in line.strip('|').split('|'))
        rows |= {(kind, one.strip(' `')): why for one in names.split(',')}
    return rows


def beyond(one, other):
    """{(kind, name)} that @one has and @other lacks."""
    return {(kind, name) for kind, names in one['names'].items()
            for name in names if name not in other['names'].get(kind, ())}


def compare(debians, ours):
    """Prints what the two tables get wrong; whether they are right."""
    good = True
    for name, found in (('lacks', beyond(debians, ours)),
                        ('more', beyond(ours, debians))):
        said = table(name)
        words = {'lacks': ("Debian's has it and ours lacks it", 'ours has it'),
                 'more': ("ours has it and Debian's lacks it", "Debian's has it")}[name]
        for kind, one in sorted(found - set(said)):
            print(f'not in the table: {kind} {one}: {words[0]}')
            good = False
        for kind, one in sorted(set(said) - found):
            print(f'wrong in the table: {kind} {one}: {words[1]}, or neither has it')
            good = False
        print(f'  {name:10} {len(found)} names, {len(said)} in the table')
    counts = {kind: len(names) for kind, names in ours['names'].items()}
    empty = [kind for kind, count in counts.items()
             if not count or not debians['names'].get(kind)]
    if empty:
        print(f'nothing was read of: {", ".join(empty)}')
    return good and not empty


def main():
    words = sys.argv[1:]
    if len(words) == 2 and words[0] == 'survey':
        print(json.dumps(survey(words[1]), indent=1))
        return 0
    if len(words) == 3 and words[0] == 'compare':
        debians, ours = (json.loads(Path(path).read_text('utf-8'))
                         for path in words[1:])
        for who, one in (("Debian's", debians), ('ours', ours)):
            print(f'  {who:10} {one["version"]} {one["package"]}')
        return 0 if compare(debians, ours) else 1
    sys.exit(__doc__)


if __name__ == '__main__':
    sys.exit(main())
