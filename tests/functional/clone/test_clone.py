# SPDX-License-Identifier: GPL-2.0-or-later
"""sev-clone, the command; and what must differ between clones."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import shape
from image import Image, flip
from registry import SAID, test
from sevlib import ROOT
from verdict import Failed, Skip, check, wait_until

sys.path.insert(1, str(ROOT / 'tools/sev-clone'))
from sevclone import process, qmp       # noqa: E402
from sevclone.folder import Place       # noqa: E402

TOOL = ROOT / 'tools/sev-clone/sev-clone'
LIMIT = 400             # seconds, for one command
RANDOM = re.compile(rb'^RANDOM (\w{32})$', re.M)

PONG = re.compile(rb'PONG (\w+) clock=([\d.]+) id=(\w+) '
                  rb'page=(\w+) writes=(\d+)\r?\n')
TEMPLATE_ID = '00000000000000000000000000000001'    # init-clone's machine-id
HUNDRED = 100
NEEDS_MIB = 120         # for each of the hundred, QEMU itself included
PAGE = 4096


class Tool:
    """sev-clone with homes of its own; what it started ends with it."""

    command = (sys.executable, TOOL)

    def __init__(self, env, host='clones'):
        self.env = env
        # The build may be in another user's home: root does not trust that.
        self.top = Path(tempfile.mkdtemp(prefix='sev-clone-', dir='/var/tmp'))
        self.home = self.top / 'home'
        self.run_folder = self.top / 'run'
        identity = env.host(host)
        self.environ = {
            **os.environ, 'BUILD': str(env.lab.build),
            'SEV_CLONE_QEMU': str(env.lab.binary),
            'SEV_CLONE_HOME': str(self.home),
            'SEV_CLONE_RUN': str(self.run_folder),
            'PYTHONDONTWRITEBYTECODE': '1'}
        if identity:
            self.environ['SEV_PSP_DIR'] = str(identity.folder)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for told in self.guests():
            with contextlib.suppress(OSError, KeyError, TypeError):
                os.kill(told['pid'], signal.SIGKILL)
        shutil.rmtree(self.top, ignore_errors=True)

    def guests(self):
        """What the clone.json of each guest says, as far as one can read it.

        A guest that ends takes its file away at any moment, and some tests
        plant files that are none.
        """
        found = []
        for path in self.run_folder.glob('*/clone.json'):
            with contextlib.suppress(OSError, ValueError):
                found.append(json.loads(path.read_text()))
        return found

    def begin(self, *words):
        return subprocess.Popen([*self.command, *map(str, words)],
                                env=self.environ, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)

    def ask(self, *words):
        """(exit code, stdout, last line of stderr)."""
        done = self.begin(*words)
        try:
            out, err = done.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            done.kill()
            raise Failed(f'sev-clone {words[0]} took {LIMIT} s') from None
        return done.returncode, out, (err.strip().splitlines() or [''])[-1]

    def do(self, *words):
        """It must work; the JSON it prints."""
        code, out, said = self.ask(*words, '--json')
        check(code == 0, f'sev-clone {words[0]}: {said}')
        return json.loads(out)

    def refused(self, pattern, *words):
        code, _, said = self.ask(*words)
        SAID.append(said)
        check(code == 1 and re.search(pattern, said),
              f'sev-clone {" ".join(map(str, words))} said "{said}"')

    def make(self, name, *words):
        kind = [] if self.env.lab.sev else ['--no-sev']
        return self.do('make', name, '--limit', LIMIT, *kind, *words)

    def have(self, name, *words):
        """make(), or a copy of what another test made in the same way."""
        kept = self.env.kept.get(words)
        if kept is None:
            self.make(name, *words)
            kept = Path(tempfile.mkdtemp(prefix='sev-kept-', dir='/var/tmp'))
            self.env.kept[words] = kept
            shutil.copytree(self.home / name, kept / 'template')
        else:
            self.home.mkdir(mode=0o700, exist_ok=True)
            shutil.copytree(kept / 'template', self.home / name)


def screen(clone):
    """What it printed last, as "sev-clone screen" shows it."""
    run = Place(Path(clone['folder']).parent, 'SEV_CLONE_RUN').open()
    found = process.Process(run, clone)
    try:
        return found.screen().encode()
    finally:
        found.release()


def draws(clone, count):
    """The first @count random values that a clone printed."""
    def probe():
        found = RANDOM.findall(screen(clone))
        return len(found) >= count and found[:count]
    return wait_until(f'{count} random values', 60, probe)


def ping(clone, word):
    """Ask a clone: its clock, machine-id, witness page, writes to that."""
    with socket.socket(socket.AF_UNIX) as console:
        console.settimeout(60)
        console.connect(f'{clone["folder"]}/console')
        console.sendall(f'PING {word}\n'.encode())
        said = b''
        while not (found := PONG.search(said)):
            data = console.recv(4096)
            check(data, f'clone {clone["id"]} closed its console')
            said += data
    check(found.group(1).decode() == word, f'it answered {found.group()}')
    return (float(found.group(2)), found.group(3).decode(),
            int(found.group(4), 16), int(found.group(5)))


def check_distinct(clones):
    """Nothing that must differ is the same."""
    for field in ('id', 'uuid', 'mac', 'cid', 'pid'):
        values = {c[field] for c in clones}
        check(len(values) == len(clones), f'two clones have one {field}')
    first = [draws(c, 1)[0] for c in clones]
    check(len(set(first)) == len(clones),
          f'{len(clones)} clones drew {len(set(first))} different values')
    answers = [ping(c, f'word{i}') for i, c in enumerate(clones)]
    check(len({a[1] for a in answers}) == len(clones),
          'two clones have one machine-id')
    return answers


@test('sev-clone: make, run, list, verify, stop, rm', sev=False)
def commands(env):
    with Tool(env) as tool:
        tool.refused(r'there is no template "base"', 'run', 'base')
        tool.refused(r'is no name for a template', 'make', '../base')
        spec = tool.make('base', '--append', 'draws=1')
        check(spec['point'] == 'ready', f'it sealed at "{spec["point"]}"')
        tool.refused(r'there is a template "base" already', 'make', 'base')
        clones = tool.do('run', 'base', 3, '--detach')
        listed = tool.do('list')
        check([t['name'] for t in listed] == ['base'] and
              {c['id'] for c in listed[0]['clones']} ==
              {c['id'] for c in clones}, f'list says {listed}')
        now = time.time()
        answers = check_distinct(clones)
        for clock, _, _, _ in answers:
            check(abs(clock - now) < 60, f'a clone\'s clock is {clock - now:.1f}'
                  ' s off')
        if env.lab.sev:
            check_keys(env, clones, answers)
        said = tool.do('verify', 'base')
        check(said['sha256'] == spec['image']['sha256'], 'the digest changed')
        if env.lab.sev:
            inspected(tool, said)
        tool.do('stop', 'base')
        check(not tool.do('list')[0]['clones'], 'clones live on')
        tool.refused(r'no clone of "base" is running', 'stop', 'base')
        spoiled(tool)
        tool.do('rm', 'base')
        check(tool.do('list') == [], 'it is still there')


def inspected(tool, verified):
    told = tool.do('inspect', 'base')
    check(told['whole'] and told['here'] and told['machine'].startswith('pc-'),
          f'inspect says {told}')
    check(verified['manifest']['verified'] == told['private-pages'] > 1000,
          f'verify says {verified}')


def spoiled(tool):
    """One byte changed in a packet: verify says so, with and without SHA-256."""
    image = next((tool.home / 'base').glob('image*'))
    place = image.stat().st_size // 2
    if tool.env.lab.sev:
        found = Image(image)
        pages = found.private_pages()
        place = found.page_at(pages[len(pages) // 2]) + 100
    flip(image, place)
    code, out, _ = tool.ask('verify', 'base')
    check(code == 1 and 'SHA-256' in out, f'verify said {out}')
    if not tool.env.lab.sev:
        return
    spec = tool.home / 'base/template.json'     # its author knew what to do
    told = json.loads(spec.read_text())
    told['image']['sha256'] = hashlib.sha256(image.read_bytes()).hexdigest()
    spec.write_text(json.dumps(told))
    code, out, _ = tool.ask('verify', 'base')
    SAID.append(out.strip())
    check(code == 1 and 'fails its MAC' in out, f'verify said {out}')
    code, out, _ = tool.ask('verify', image)
    check(code == 1 and 'fails its MAC' in out, f'verify said {out}')


@test('clones: without a helper they draw the same bytes')
def twins(env):
    # A young kernel adds to its seed what its timers did, every few seconds. A
    # template that is sealed just before that has clones that differ.
    with Tool(env) as tool:
        for _ in range(3):
            tool.make('bare', '--append', 'draws=1', '--until', '^TICK 3 ',
                      '--replace', '--kernel', env.lab.kernel / 'vmlinuz',
                      '--initrd', env.lab.kernel / 'initrd-clone.img')
            clones = tool.do('run', 'bare', 2, '--detach')
            one, two = (draws(c, 3) for c in clones)
            tool.do('stop', 'bare')
            if one[0] == two[0]:
                return
        check(False, 'the clones of three templates differ by themselves: the '
              'helper would prove nothing')


@test('clones: a daemon re-seeds on a word by fw_cfg, without a port')
def by_fw_cfg(env):
    with Tool(env) as tool:
        tool.make('watched', '--append', 'draws=1 watch=1 tick=3000', '--until',
                  '^TICK 1 ', '--kernel', env.lab.kernel / 'vmlinuz',
                  '--initrd', env.lab.kernel / 'initrd-clone.img')
        spec = tool.home / 'watched/template.json'
        clones = []
        for i in range(2):
            told = json.loads(spec.read_text())
            told['extra'] = ['-fw_cfg', 'name=opt/org.qemu-sev/clone-id,string='
                             f'clone id=by{i}']
            spec.write_text(json.dumps(told))
            clones += tool.do('run', 'watched', 1, '--detach',
                              '--no-reseed')
        told = [after_reseed(c) for c in clones]
        check(told[0] != told[1], 'the clones draw the same bytes after they '
              'were told')


def after_reseed(clone):
    """What a clone draws next when its hooks, which come last, have run."""
    wait_until(f'a machine-id of its own in clone {clone["id"]}', 60,
               lambda: ping(clone, 'id')[1] != TEMPLATE_ID, 0.2)
    drawn = len(RANDOM.findall(screen(clone)))
    return draws(clone, drawn + 1)[-1]


@test('sev-clone: a pool hands out processes and starts others', sev=False)
def pool(env):
    with Tool(env) as tool:
        tool.have('pooled', '--append', 'draws=1')
        tool.refused(r'there is no pool of pooled', 'run', 'pooled', '--pool')
        server = tool.begin('pool', 'pooled', '--size', 2)
        try:
            wait_until('a full pool', LIMIT, lambda: status(tool)
                       .get('waiting') == 2)
            tool.refused(r'there is a pool of pooled already', 'pool', 'pooled')
            clones = tool.do('run', 'pooled', 3, '--pool', '--detach')
            check_distinct(clones)
            wait_until('a refilled pool', LIMIT, lambda: status(tool)
                       .get('waiting') == 2)
            tool.do('pool', 'pooled', '--close')
            check(server.wait(60) == 0, f'the pool said {server.stderr.read()}')
        finally:
            server.kill()
            server.communicate()
        left = tool.do('list')[0]['clones']
        check({c['id'] for c in left} == {c['id'] for c in clones},
              'the pool left processes behind')


def status(tool, name='pooled'):
    code, out, _ = tool.ask('pool', name, '--status', '--json')
    return json.loads(out) if code == 0 else {}


@test('sev-clone: a killed make leaves no template', sev=False)
def killed(env):
    with Tool(env) as tool:
        kind = [] if env.lab.sev else ['--no-sev']
        making = tool.begin('make', 'half', *kind, '--after', 3)
        wait_until('a guest', 60, tool.guests)
        time.sleep(1)
        making.kill()
        making.communicate()
        check(tool.do('list') == [], 'half a template is listed')
        tool.refused(r'there is no template "half"', 'run', 'half')
        tool.make('half', '--after', 3)
        left = [p.name for p in tool.home.iterdir()]
        check(left == ['half'], f'left behind: {left}')


def under_its_key(clone, address, scratch):
    """The witness page as the host has it, of a clone that stands still."""
    with qmp.Qmp(f'{clone["folder"]}/qmp') as monitor:
        monitor.hello()
        monitor.cmd('stop')
        monitor.cmd('pmemsave', {'val': address, 'size': PAGE,
                                 'filename': str(scratch)})
        monitor.cmd('cont')
    found = scratch.read_bytes()
    scratch.unlink()
    return found


def check_keys(env, clones, answers):
    """One page, the same bytes, the same address: a key each."""
    addresses = {a[2] for a in answers}
    check(len(addresses) == 1 and 0 not in addresses,
          f'the witness page is at {addresses}')
    for clone, answer in zip(clones, answers):
        # What nobody wrote since the seal is the template's packet still.
        wait_until(f'a written page in clone {clone["id"]}', 60,
                   lambda c=clone, a=answer: ping(c, 'w')[3] > a[3] + 1, 0.2)
    found = [under_its_key(c, answers[0][2], env.lab.folder / 'page')
             for c in clones]
    check(not any(b'witness' in page for page in found),
          'a clone\'s private page is in the clear')
    check(len(set(found)) == len(clones), f'{len(clones)} clones, '
          f'{len(set(found))} ciphertexts of one page')


def available_mib():
    with open('/proc/meminfo', encoding='ascii') as f:
        return int(re.search(r'MemAvailable: +(\d+)', f.read()).group(1)) >> 10


@test('clones: a hundred at once, a hundred keys', slow=True)
def hundred(env):
    if available_mib() < HUNDRED * NEEDS_MIB:
        raise Skip(f'needs {HUNDRED * NEEDS_MIB} MiB of free memory')
    with Tool(env) as tool:
        before = tool.make('base', '--append', 'draws=1 tick=1000 witness=2000')
        clones = tool.do('run', 'base', HUNDRED, '--detach')
        answers = check_distinct(clones)
        check_keys(env, clones, answers)
        alive = tool.do('list')[0]['clones']
        check(len(alive) == HUNDRED, f'{len(alive)} are alive')
        after = tool.do('verify', 'base')
        check(after['sha256'] == before['image']['sha256'],
              'the template is not what it was')


@test('clones: free memory stays out of a trimmed template')
def trimmed(env):
    with Tool(env) as tool:
        private = {}
        for name, words in (('plain', ''), ('trimmed', 'trim=1')):
            tool.make(name, '--append', f'draws=1 {words}')
            private[name] = tool.do('verify', name)['stream']['private_pages']
        SAID.append(f'private pages: {private}')
        check(private['trimmed'] < private['plain'] * 0.9,
              f'private pages: {private}')
        clones = tool.do('run', 'trimmed', 2, '--detach')
        check_keys(env, clones, check_distinct(clones))
        for clone in clones:
            draws(clone, 20)            # while memory is given back


@test('clones: of an SEV-ES guest with two vCPUs')
def encrypted_registers(env):
    with Tool(env) as tool:
        tool.make('es', '--policy', '0x5', '--firmware', shape.ES, '--smp', 2,
                  '--append', 'draws=1')
        told = tool.do('verify', 'es')
        check(told['stream']['vcpus'] == [0, 1], f'{told["stream"]}')
        check_distinct(tool.do('run', 'es', 3, '--detach'))
