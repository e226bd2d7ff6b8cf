# SPDX-License-Identifier: GPL-2.0-or-later
"""What works together with SEV migration, found out and written down.

Every capability that QEMU lists, every mode, some parameters and every channel
is tried on one running SEV guest, which goes on from process to process with
those that work and stays with those that are refused.  The rows that come out
are those of docs/system/i386/sev-capabilities.rst, or the test fails.

SEV_CAPABILITY_TABLE=write writes them there instead.
"""

import contextlib
import os
import re
from dataclasses import dataclass, field

from channels import CHANNELS, ONE_WAY
from registry import test
from sevlib import ROOT
from verdict import MIGRATE_LIMIT, Failed, Skip, check, wait_until

DOCUMENT = ROOT / 'docs/system/i386/sev-capabilities.rst'
BEGIN = '.. begin: {}\n\n.. list-table::\n\n'
END = '\n.. end: {}\n'
ROW = '   * - {}\n     - {}\n     - {}\n'
CORE = ('tcp', 'unix', 'exec', 'postcopy-ram', 'mapped-ram',
        'pause-before-switchover')
LIMIT = 240             # seconds for a few ticks: the machine may be busy
MODES = ('cpr-reboot', 'cpr-transfer', 'cpr-exec')


@dataclass
class Row:
    """One thing to try."""
    section: str
    name: str
    capabilities: tuple = ()
    parameters: dict = field(default_factory=dict)
    channel: str = 'tcp'
    template: bool = False
    note: str = ''


def capability(name):
    """How to try a capability; a new one of QEMU's is simply switched on."""
    with_others = {
        'zero-copy-send': ('multifd',),
        'postcopy-preempt': ('postcopy-ram',),
        'switchover-ack': ('return-path',),
        'sev-template': (),
    }
    notes = {
        'mapped-ram': 'over file:',
        'postcopy-preempt': 'with postcopy-ram',
        'switchover-ack': 'with return-path',
        'zero-copy-send': 'with multifd',
        'x-ignore-shared': 'makes a template (``docs/templates.md``) in place',
        'sev-template': 'guest stopped, over file:',
        'late-block-activate': 'the target waits for ``cont``',
        'return-path': 'on by itself where the channel has one',
    }
    files = ('mapped-ram', 'sev-template')
    return Row('capabilities', name, (*with_others.get(name, ()), name),
               channel='file' if name in files else 'tcp',
               template=name == 'sev-template', note=notes.get(name, ''))


def rows(guest):
    """Everything there is to try."""
    for entry in guest.cmd('query-migrate-capabilities'):
        yield capability(entry['capability'])
    for mode in MODES:
        yield Row('parameters', f'mode={mode}', parameters={'mode': mode})
    for method in ('zlib', 'zstd'):
        yield Row('parameters', f'multifd-compression={method}', ('multifd',),
                  {'multifd-compression': method}, note='with multifd')
    for how in ('none', 'legacy', 'multifd'):
        yield Row('parameters', f'zero-page-detection={how}',
                  parameters={'zero-page-detection': how})
    yield Row('parameters', 'direct-io', parameters={'direct-io': True},
              channel='file', note='over file:')
    for channel in CHANNELS:
        yield Row('channels', channel, channel=channel,
                  note='one way: sealed to this platform, or to the one that '
                  'the parameters name' if channel in ONE_WAY else '')


class Refused(Exception):
    """(where, the sentence)"""


class Chain:
    """The one guest, wherever it is now."""

    def __init__(self, env):
        self.env, self.at, self.guest = env, 'a', env.boot('table')
        for one, other in ('ab', 'ba'):
            env.host(one).trust(env.host(other))

    def attempt(self, row):
        """Try @row; returns its verdict and the sentence of a refusal."""
        one_way = row.channel in ONE_WAY or row.template or \
            'mapped-ram' in row.capabilities
        there = self.at if one_way else 'ba'['ab'.index(self.at)]
        target = self.env.start('table', there, incoming='defer')
        source = self.guest
        try:
            ends = self.connect(row, source, target)
            self.send(row, source, target, ends, one_way)
        except Refused as refused:
            target.close()
            self.recover(row, source)
            return refused.args
        except BaseException:
            target.close()
            raise
        target.came_from = source
        if row.template or 'late-block-activate' in row.capabilities:
            target.wait_loaded()
            target.cmd('cont')
        target.wait_ticks(3, LIMIT)
        source.close()
        self.guest, self.at = target, there
        self.recover(row, target)
        return 'works', ''

    def connect(self, row, source, target):
        for guest in (source, target):
            self.settings(guest, row)
        return command(CHANNELS[row.channel], self.env, source, target)

    @staticmethod
    def settings(guest, row):
        for name in row.capabilities:
            command(guest.capability, name)
        if row.parameters:
            command(guest.cmd, 'migrate-set-parameters', **row.parameters)

    def send(self, row, source, target, ends, one_way):
        here, there = ends
        if row.template:
            source.cmd('stop')
        if not one_way or row.channel == 'fd (pipe)':
            command(target.cmd, 'migrate-incoming', uri=there,
                    exit_on_error=False)
        command(source.cmd, 'migrate', **self.destination(row, here))
        if 'pause-before-switchover' in row.capabilities:
            wait_until('switchover', MIGRATE_LIMIT, lambda: source.migration()
                       ['status'] == 'pre-switchover')
            source.cmd('migrate-continue', state='pre-switchover')
        info = source.wait_migration()
        if info['status'] != 'completed':
            raise Refused('``migrate``, once it has begun',
                          info.get('error-desc', info['status']))
        if one_way and row.channel != 'fd (pipe)':
            target.cmd('migrate-incoming', uri=there, exit_on_error=False)

    @staticmethod
    def destination(row, uri):
        """Arguments of `migrate`; cpr-transfer wants a second channel."""
        if row.parameters.get('mode') != 'cpr-transfer':
            return {'uri': uri}
        host, port = uri.split(':')[1:]
        return {'channels': [
            {'channel-type': 'main', 'addr': {
                'transport': 'socket', 'type': 'inet', 'host': host,
                'port': port}},
            {'channel-type': 'cpr', 'addr': {
                'transport': 'socket', 'type': 'unix', 'path': '/none'}}]}

    @staticmethod
    def recover(row, guest):
        """As it was before: capabilities off, and counting."""
        for name in reversed(row.capabilities):
            with contextlib.suppress(Failed):
                guest.capability(name, False)
        guest.cmd('migrate-set-parameters', mode='normal', tls_creds='',
                  tls_hostname='', multifd_compression='none',
                  zero_page_detection='multifd', direct_io=False)
        with contextlib.suppress(Failed):
            guest.cmd('object-del', id='tls0')
        if guest.cmd('query-status')['status'] != 'running':
            guest.cmd('cont')
        guest.wait_ticks(2, LIMIT)


def command(function, *args, **options):
    """Run a command that may be the one to refuse."""
    try:
        return function(*args, **options)
    except Failed as error:
        said = re.match(r'[\w-]+: ([\w-]+): (.*)', str(error), re.S)
        if not said:
            raise
        raise Refused(f'``{said[1]}``', said[2]) from error


def line(row, verdict, sentence):
    """A row of the document."""
    if verdict != 'works':
        verdict = f'refused by {verdict}'
        check(len(sentence.split()) > 3,
              f'{row.name} is refused without a reason: "{sentence}"')
        sentence = re.sub(r'127\.0\.0\.1:\d+', '...', sentence.strip())
    text = '; '.join(filter(None, (row.note, sentence.rstrip('.'))))
    return entry(row.name, verdict, text.replace('|', '/'))


def entry(*cells):
    """The lines of a row; a cell may be empty."""
    return re.sub(r' +$', '', ROW.format(*cells), flags=re.M)


def try_rows(env, wanted):
    """{section: {name: line}} and the rows this machine cannot try."""
    found, untried = {}, []
    chain = Chain(env)
    try:
        for row in rows(chain.guest):
            if not wanted(row):
                continue
            try:
                made = line(row, *chain.attempt(row))
            except Skip as skip:
                untried.append((row, str(skip)))
                continue
            except Failed as failed:
                raise Failed(f'{row.name}: {failed}') from failed
            found.setdefault(row.section, {})[row.name] = made
    finally:
        chain.guest.close()
    return found, untried


def documented(text, section):
    """{name: line} of a table of the document."""
    begin, end = BEGIN.format(section), END.format(section)
    inside = text.partition(begin)[2].partition(end)[0]
    lines = re.findall(r'^   \* - .*\n(?:     -.*\n){2}', inside, re.M)
    return {made.partition('\n')[0][7:]: made for made in lines}


def write(text, section, lines):
    begin, end = BEGIN.format(section), END.format(section)
    before, _, rest = text.partition(begin)
    return before + begin + ''.join(lines.values()) + end + \
        rest.partition(end)[2]


def compare(found, untried, complete):
    text = DOCUMENT.read_text('utf-8')
    if os.environ.get('SEV_CAPABILITY_TABLE') == 'write':
        for row, why in untried:
            old = documented(text, row.section).get(row.name)
            found[row.section][row.name] = old or \
                entry(row.name, 'not tried', why)
        for section, lines in found.items():
            both = lines if complete else {**documented(text, section),
                                           **lines}
            text = write(text, section, both)
        DOCUMENT.write_text(text, 'utf-8')
        return
    for section, lines in found.items():
        said = documented(text, section)
        for name, made in lines.items():
            check(said.get(name) == made, f'{DOCUMENT.name} has '
                  f'{said.get(name, "nothing").strip()!r}, and what happens '
                  f'is {made.strip()!r}')
        skipped = {row.name for row, _ in untried}
        extra = set(said) - set(lines) - skipped if complete else ()
        check(not extra, f'{DOCUMENT.name}: nobody can try {extra}')


@test('capability table: the main rows are as documented')
def core(env):
    compare(*try_rows(env, lambda row: row.name in CORE), complete=False)


@test('capability table: every row is as documented', slow=True)
def every(env):
    compare(*try_rows(env, lambda row: True), complete=True)
