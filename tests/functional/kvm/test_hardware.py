# SPDX-License-Identifier: GPL-2.0-or-later
"""'make check-hardware' on the stand-in of ../kvm: what it says of a host where
all is well, and of hosts that lack something.
"""

import base64
import contextlib
import ctypes
import json
import os
import re
import resource
import signal
import subprocess
import sys
import unittest.mock
from pathlib import Path

from kvmhost import kvm_host, library
from registry import test
from sevlib import ROOT
from sevtiny import CERTS
from verdict import TICK_LIMIT, check, wait_until

sys.path.append(str(ROOT / 'scripts'))

# pylint: disable=wrong-import-position
from hardware import host, limits, platform     # noqa: E402
from hardware.claims import BY_NAME, CLAIMS     # noqa: E402
from hardware.ledger import Ledger      # noqa: E402

PR_CAPBSET_DROP, CAP_IPC_LOCK = 24, 14
REQUIRED = {claim.name for claim in CLAIMS if claim.required}
IDENTITY = {'FACTORY_RESET', 'PEK_GEN', 'PEK_CSR', 'PDH_GEN', 'PEK_CERT_IMPORT'}


class Tool:
    """One run of the command, @lines for the stand-in around it."""

    def __init__(self, env, stem, *lines, chain=True, limited=False):
        self.host = kvm_host(env, 'a')
        self.folder = env.lab.folder / env.name(f'hardware-{stem}')
        self.folder.mkdir()
        self.temporary, self.json = self.folder / 'tmp', self.folder / 'json'
        self.temporary.mkdir()
        self.log, self.violated = self.folder / 'log', self.folder / 'violated'
        self.screen = self.folder / 'screen'
        control = self.folder / 'control'
        control.write_text(''.join(f'{line}\n' for line in lines))
        named = self.folder / 'chain.cert'
        if chain:
            named.write_bytes(b''.join(self.certs()))
        self.command = [str(ROOT / 'scripts/check-hardware'), '--build',
                        str(env.lab.build), '--qemu', str(env.lab.binary),
                        '--guest', 'tiny', '--chain', str(named), '--json',
                        str(self.json)]
        self.environment = dict(
            os.environ, TMPDIR=str(self.temporary), LD_PRELOAD=str(library(env)),
            SEV_PSP_DIR=str(self.host.folder),
            SEV_PSP_CONFIG_DIR=str(self.host.folder),
            SEV_STANDIN_IDENTITY=str(self.host.folder),
            SEV_STANDIN_CONTROL=str(control), SEV_STANDIN_LOG=str(self.log),
            SEV_STANDIN_VIOLATIONS=str(self.violated))
        self.before = limit_memory if limited else None

    def certs(self):
        return [base64.b64decode(self.host.full_chain()[name])
                for name in CERTS]

    def start(self):
        """The process; what it prints goes into a file."""
        with self.screen.open('wb') as out:
            return subprocess.Popen(
                self.command, env=self.environment, stdout=out,
                stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                preexec_fn=self.before)

    def run(self):
        """Its exit code; nothing may be left, nothing violated."""
        with self.start() as child:
            code = child.wait(3 * TICK_LIMIT)
        self.left_nothing()
        violated = self.violated.exists() and self.said(self.violated)
        check(not violated, f'violated: {violated}')
        return code

    def left_nothing(self):
        check(not any(self.temporary.iterdir()),
              f'it left {list(self.temporary.iterdir())}')
        left = subprocess.run(['pgrep', '-f', str(self.temporary)],
                              capture_output=True, text=True, check=False)
        check(not left.stdout, f'processes are left: {left.stdout.split()}')

    @staticmethod
    def said(path):
        return path.read_text('utf-8', 'replace')

    def report(self):
        return json.loads(self.json.read_text())

    def rows(self):
        return {row['name']: row for row in self.report()['rows']}

    def verdicts(self, verdict):
        """The required rows with @verdict"""
        return {name for name, row in self.rows().items()
                if row['verdict'] == verdict and name in REQUIRED}


def limit_memory():
    """In the child: 64 KiB to lock, and no capability to lock more."""
    ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_IPC_LOCK, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (64 << 10, 64 << 10))


@test('hardware: all required rows hold on the stand-in')
def holds(env):
    tool = Tool(env, 'whole')
    code, rows, report = tool.run(), tool.rows(), tool.report()
    check(code == 0 and report['held'], f'exit code {code}, not passed: '
          f'{REQUIRED - tool.verdicts("pass")}')
    check((report['format'], report['version'], report['platform']) ==
          ('sev-check-hardware', 1, 'stand-in'), f'{report["platform"]}')
    check(list(rows) == list(BY_NAME), f'rows: {list(rows)}')
    check(not rows['export']['values']['cek-signed'], 'a signed CEK')
    check_links(env, tool, rows['chain']['values'])
    for name, least in (('send-rate', 256), ('receive-rate', 256),
                        ('migrate', 10), ('save', 10)):
        values = rows[name]['values']
        check(values['packets'] >= least and values['mb-per-second'] > 0 and
              ('median-us' in values or values['firmware-ms'] > 0),
              f'{name}: {values}')
    check(rows['cancel-time']['values']['ms'] > 0, f'{rows["cancel-time"]}')
    table = tool.said(tool.screen)
    check('of the stand-in for Linux, not of hardware' in table and
          all(f'pass      {name}: ' in table for name in REQUIRED), table[-300:])
    private(env, tool)


def check_links(env, tool, values):
    """A signature that does not hold is named, where sev-psp is built."""
    if not (env.lab.build / 'lib/tools/sev-psp/sev-psp').exists():
        check(values['broken'] is None, f'who checked the chain? {values}')
        return
    check(values['broken'] == [] and values['root'].endswith('self.cert'),
          f'{values}')
    pdh, plat, amd = tool.certs()
    bad = bytearray(plat)
    bad[-1500] ^= 1             # of what the ASK signed in the CEK
    with unittest.mock.patch.dict(os.environ, tool.environment, LD_PRELOAD=''):
        broken, _ = platform.broken_links((pdh, bad, amd), tool.folder,
                                          env.lab.build)
    check(broken == ['CEK signed by the ASK'], f'broken: {broken}')


def private(env, tool):
    """Nothing in it names the chip, the machine or its user; no identity
    changed. Only its user may read it."""
    check(tool.json.stat().st_mode & 0o777 == 0o600, 'others may read it')
    text = tool.json.read_text()
    forbidden = [str(tool.temporary), str(env.lab.build)]
    if len(os.uname().nodename) > 3:        # "vm" names nobody
        forbidden.append(os.uname().nodename)
    forbidden += [cert[:64].hex() for cert in tool.certs()]
    forbidden += [base64.b64encode(cert)[:64].decode() for cert in tool.certs()]
    forbidden += [tool.host.capabilities()['cpu0-id'],
                  tool.host.platform_certs()['fingerprint']]
    check(not re.search(r'[0-9a-fA-F]{65}', text), 'a long number in it')
    for word in forbidden:
        check(not re.search(rf'(?<!\w){re.escape(word)}(?!\w)', text),
              f'"{word}" is in the report')
    asked = set(re.findall(r' ioctl (\w+) ', tool.said(tool.log)))
    check(asked and not asked & IDENTITY, f'it asked for {asked & IDENTITY}')


# What a host lacks: (name, lines for the stand-in, options, the required rows
# that fail, what they must say, rows that pass all the same).
LACKS = (
    ('device', ['no-device'], {}, {'dev-sev'}, r'no /dev/sev.*ccp', {'dev-kvm'}),
    ('memory', [], {'limited': True}, {'memlock', 'region'},
     r'RLIMIT_MEMLOCK 0 MiB; a guest needs 40 MiB.*ulimit -l.*ENOMEM',
     {'chain', 'launch-start'}),
    ('capability', ['no-exit-hypercall'], {}, {'exit-hypercall'},
     r'0x0.*Linux 5\.14', {'send-finish', 'launch', 'measurement'}),
    ('chain', [], {'chain': False}, {'chain'},
     r'signature of the CEK, ASK and ARK are missing.*chain import',
     {'send-start', 'receive-finish', 'measurement'}),
    ('command', ['fail RECEIVE_START all status 3'], {},
     {'receive-start', 'migrate', 'restore'},
     r'RECEIVE_START: the firmware says INVALID_CONFIG \(0x3\)',
     {'launch', 'cancel', 'save', 'platform'}),
)


@test('hardware: what a host lacks is named, with what to do')
def lacks(env):
    for stem, lines, options, failing, pattern, passing in LACKS:
        tool = Tool(env, stem, *lines, **options)
        code, rows = tool.run(), tool.rows()
        check(code == 1 and not tool.report()['held'], f'{stem}: code {code}')
        check(tool.verdicts('fail') == failing,
              f'{stem}: {tool.verdicts("fail")} fail, not {failing}')
        said = ' '.join(rows[name]['seen'] + ' ' + rows[name].get('remedy', '')
                        for name in BY_NAME if name in failing)
        check(re.search(pattern, said), f'{stem}: it says "{said}"')
        check(passing <= tool.verdicts('pass'),
              f'{stem}: {passing - tool.verdicts("pass")} did not pass')
        for name in tool.verdicts('unknown'):
            check(rows[name].get('remedy'), f'{stem}: {name} says nothing')


@test('hardware: interrupted, it leaves nothing behind')
def interrupted(env):
    tool = Tool(env, 'interrupted', 'delay SEND_UPDATE_DATA 2000')
    with tool.start() as child:
        wait_until('a guest', TICK_LIMIT,
                   lambda: 'pass    launch: ' in tool.said(tool.screen))
        child.send_signal(signal.SIGINT)
        code = child.wait(TICK_LIMIT)
    tool.left_nothing()
    check(code == 130, f'exit code {code}: {tool.said(tool.screen)[-300:]}')
    check({'cpu', 'launch'} <= tool.verdicts('pass') and
          'interrupted SIGINT' in tool.rows()['save']['seen'],
          f'{tool.rows()["save"]}')


# --- Files of an EPYC, which no machine here has ------------------------------

MILAN = {
    'proc/cpuinfo': 'cpu family\t: 25\nmodel\t\t: 1\nmodel name\t: AMD EPYC 7763\n'
                    'flags\t\t: fpu sme sev sev_es\nmicrocode\t: 0xa0011d1\n',
    'proc/self/status': 'CapEff:\t0000000000004000\n',
    'proc/self/cgroup': '0::/user.slice/a\n',
    'proc/meminfo': 'MemFree: 5 kB\nMemAvailable: 4194304 kB\n',
    'sys/module/kvm_amd/parameters/sev': 'Y\n',
    'sys/module/kvm_amd/parameters/sev_es': 'N\n',
    'sys/fs/cgroup/misc.capacity': 'sev 410\nsev_es 99\n',
    'sys/fs/cgroup/misc.current': 'sev 7\nsev_es 0\n',
    'sys/fs/cgroup/user.slice/misc.max': 'sev 9\nsev_es max\n',
    'sys/fs/cgroup/user.slice/misc.current': 'sev 8\n',
}
LOG = """ccp 0000:47:00.1: SEV: memory encryption not enabled by BIOS
kvm_amd: SEV unusable (ASIDs 100 - 99)
"""


@test('hardware: the probe reads what an EPYC\'s kernel says')
def epyc(env):
    root = Path(env.lab.folder / env.name('epyc'))
    for name, text in MILAN.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    leaf = host.Sev(0x40a, 51 | 5 << 6, 509, 100)
    ledger = Ledger('hardware', out=lambda line: None)
    host.probe_cpu(ledger, root, leaf)
    host.probe_coherent(ledger, leaf)
    host.probe_module(ledger, root, leaf)
    host.probe_log(ledger, LOG)
    limits.probe_asids(ledger, root, leaf, guests=7)
    limits.probe_room(ledger, root, 64 << 20, root)
    seen = {name: row['seen'] for name, row in ledger.rows.items()}
    for name, wanted in (
            ('cpu', 'EPYC 7763, family 25, model 1 (Milan); SEV, SEV-ES, '
             'SME_COHERENT; C-bit 51; ASIDs: 410 for SEV of 509'),
            ('kvm-amd', 'sev=Y, sev_es=N'), ('room', '4096 MiB of memory'),
            ('asids', '1 of 410 are free'), ('log', 'off in the BIOS; all')):
        check(wanted in seen[name], f'{name}: {seen[name]}')
    check({name for name in seen if not ledger.passed(name)} ==
          {'asids', 'log'}, f'{seen}')
    check(limits.may_lock_all(root), 'CAP_IPC_LOCK is not seen')
    # Not even that much: CPUID, less the guests that run.
    for name in MILAN:
        with contextlib.suppress(FileNotFoundError):
            (root / name).unlink()
    ledger.rows.pop('asids')
    limits.probe_asids(ledger, root, leaf, guests=7)
    check(ledger.rows['asids']['values'] == {'free': 403, 'total': 410},
          f'{ledger.rows["asids"]}')


@test('hardware: the guide has a line for each row')
def guide(env):
    del env
    text = (ROOT / 'docs/hardware.md').read_text()
    for name in BY_NAME:
        check(f'| `{name}` |' in text, f'docs/hardware.md lacks `{name}`')
