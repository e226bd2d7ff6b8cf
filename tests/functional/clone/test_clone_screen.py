# SPDX-License-Identifier: GPL-2.0-or-later
"""What a guest says to sev-clone: bounded, plain text, and no more than words."""

import json
import re
import socket
import time
from pathlib import Path

from registry import SAID, test
from test_clone import Tool
from verdict import check, wait_until

SCREEN_MAX = 256 << 10  # as docs/templates.md says
# A title, a colour, a cursor that goes home, an 8-bit CSI, a bell.
HOSTILE = '\x1b]0;owned\x07\x1b[31mred\x1b[H\u009b2J\x07'
CONTROL = re.compile(r'[\x00-\x08\x0b-\x1f\x7f-\x9f]')
LINES = 2200            # answers of about 130 bytes: more than is kept
WHOLE = re.compile(rb' writes=\d+\r?\n')
AT_ONCE = 10            # what a terminal takes in before somebody reads


def flood(clone, last):
    """Make a clone print more than its screen keeps, @last at the end."""
    words = [f'{i:060}' for i in range(LINES)] + [last]
    with socket.socket(socket.AF_UNIX) as console:
        console.settimeout(60)
        console.connect(f'{clone["folder"]}/console')
        for first in range(0, len(words), AT_ONCE):
            some = words[first:first + AT_ONCE]
            console.sendall(''.join(f'PING {w}\n' for w in some).encode())
            answers, end = b'', time.monotonic() + 60
            while len(WHOLE.findall(answers)) < len(some):
                check(time.monotonic() < end, f'it answers {answers[-200:]}')
                answers += console.recv(65536)


@test('sev-clone screen: bounded, and nothing that a terminal obeys', sev=False)
def screens(env):
    with Tool(env) as tool:
        tool.have('base')
        [clone] = tool.do('run', 'base', '--detach')
        flood(clone, HOSTILE)
        code, text, said = tool.ask('screen', clone['id'])
        check(code == 0, f'screen said {said}')
        check('PONG ' in text and 'red' in text, f'it shows {text[-300:]}')
        check(not CONTROL.search(text), 'it shows control characters: '
              f'{CONTROL.search(text)} in {text[-300:]!r}')
        check(len(text) > SCREEN_MAX // 2, f'it shows {len(text)} bytes')
        for path in Path(clone['folder']).iterdir():
            size = path.stat().st_size
            check(size <= SCREEN_MAX, f'{path.name} has {size} bytes')
        # The guest goes on: its last line may not have been whole.
        whole = text.removesuffix('\n').rpartition('\n')[0] + '\n'
        code, again, said = tool.ask('screen', 'base')
        check(code == 0, f'screen said {said}')
        check(whole[-500:] in again, 'what was shown once is not shown again: '
              f'{whole[-500:]!r} is not in {again[-1000:]!r}')
        tool.do('stop', 'base')
        tool.refused('no clones of "base" are running', 'screen', 'base')


@test('sev-clone: a sentence with what others wrote has no control characters',
      sev=False)
def sentences(env):
    with Tool(env) as tool:
        run = tool.begin('make', 'bad', '--after', 1, '--', '-device', HOSTILE)
        out, err = run.communicate(timeout=60)
        SAID.append(err.strip())
        check(run.returncode == 1 and 'red' in err, f'make said {err!r}')
        check(not CONTROL.search(out + err), f'make said {err!r}')


def told_to_reseed(channel, word):
    """Say to a guest that it is a clone; it must say @word, in the end."""
    channel.sendall(f'clone id=x{word} time={time.time():.6f}\n'.encode())
    said = b''
    while f'{word} x{word}\n'.encode() not in said:
        data = channel.recv(512)
        check(data, f'the guest said {said} and left')
        said += data


@test('sev-reseed --seal: a clone that cannot re-seed does not go on',
      sev=False)
def not_reseeded(env):
    with Tool(env) as tool:
        # An ordinary guest: an SEV guest gets RDRAND whatever its CPU is.
        tool.do('make', 'base', '--no-sev', '--append', 'draws=1')
        spec = tool.home / 'base/template.json'
        told = json.loads(spec.read_text())
        told['cpu'] += ',rdrand=off,rdseed=off'
        spec.write_text(json.dumps(told))
        tool.refused('could not re-seed; the last line.*RDRAND', 'run', 'base')
        [clone] = tool.do('run', 'base', '--detach', '--no-reseed')
        with socket.socket(socket.AF_UNIX) as channel:
            channel.settimeout(60)
            channel.connect(f'{clone["folder"]}/clone')
            for _ in range(3):          # it waits for another word, each time
                told_to_reseed(channel, 'failed')
        screen = tool.do('screen', clone['id'])['screen']
        check('RDRAND' in screen and 'TICK' not in screen and
              'RANDOM' not in screen, f'the guest went on: {screen[-200:]}')
        told['cpu'] = told['cpu'].partition(',')[0]
        spec.write_text(json.dumps(told))
        [clone] = tool.do('run', 'base', '--detach')
        wait_until('a tick', 60, lambda: 'TICK' in
                   tool.do('screen', clone['id'])['screen'], 0.2)
