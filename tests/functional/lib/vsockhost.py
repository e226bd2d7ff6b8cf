# SPDX-License-Identifier: GPL-2.0-or-later
"""The agent's channel of a Kata template and its clones, on a host that has it.

usage: vsockhost.py PATH GUEST CASE LIMIT

PATH is what Kata's "path" names, GUEST the folder of kernel and initrd, LIMIT
the seconds for a save or a restore.  Prints one line per step, "vsock: passed"
last.  Runs on a machine with /dev/vhost-vsock, or in a guest that plays one
(nesthost.py); needs nothing but player.py.
"""

import contextlib
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path

import player

PORT = 1024             # Kata's agent listens there
CLONES = 2
WORDS = 200             # 12 KiB there and back: the rings go round
BEGAN = time.monotonic()


def note(text):
    print(f'vsock: {time.monotonic() - BEGAN:6.1f} s  {text}', flush=True)


def dialed(vm, patience):
    """A connection to the guest, whose driver may not be there yet."""
    end = time.monotonic() + patience
    while True:
        peer = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
        peer.settimeout(patience)
        try:
            peer.connect((vm.channel.cid, PORT))
            return peer
        except OSError as error:
            peer.close()
            if vm.process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f'vsock: cannot dial {vm.channel.cid}: '
                                 f'{error}; {vm.log()}') from error
            time.sleep(0.2)


def ask(vm, patience):
    """The guest must answer each word, and know its own address."""
    with dialed(vm, patience) as peer, peer.makefile('rw') as lines:
        words = [f'{i} of {vm.id}' for i in range(WORDS)]
        lines.write('\n'.join([*words, '']))
        lines.flush()
        for word in words:
            said = lines.readline().strip()
            if said != f'{vm.channel.cid} {word}':
                raise SystemExit(f'vsock: {vm.channel.cid} was told "{word}", '
                                 f'and said "{said}"')


def clones(kata):
    """Side by side, as the runtime makes them."""
    made, wrong = [], []

    def one():
        try:
            made.append(kata.clone()[0])
        except (player.KataError, OSError) as error:
            wrong.append(error)
    threads = [threading.Thread(target=one) for _ in range(CLONES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if wrong:
        raise SystemExit(f'vsock: a clone failed: {wrong[0]}')
    return made


def steps(kata, patience, stack):
    kata.prepare()
    origin = kata.boot_template()
    stack.callback(origin.kill)
    ask(origin, patience)
    note(f'the template answers at {origin.channel.cid}')
    time.sleep(2)                       # as the runtime waits for the agent
    kata.save(origin)
    note('saved')
    made = clones(kata)
    for vm in made:
        stack.callback(vm.kill)
    for vm in made:
        ask(vm, patience)
        note(f'a clone answers at {vm.channel.cid}')
    for name in ('memory', 'state'):
        (kata.folder / name).unlink()
    for vm in made:
        ask(vm, patience)
    note('and when the template is gone')


def main(path, guest, case, limit):
    with tempfile.TemporaryDirectory(prefix='kata.', dir='/dev/shm') as top, \
            contextlib.ExitStack() as stack:
        kata = player.Kata(path, case, Path(top, 'template'), Path(top, 'vms'),
                           guest, append='tick=50 witness=0 vsock=1',
                           limit=float(limit), vsock=True)
        player.START_LIMIT = 60 * kata.limit
        try:
            steps(kata, 60 * kata.limit, stack)
        except player.KataError as error:
            for log in kata.store.glob('*/log'):
                print(log.read_text('utf-8', 'replace'))
            sys.exit(f'vsock: {error}')
    print('vsock: passed', flush=True)


if __name__ == '__main__':
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    main(*sys.argv[1:])
