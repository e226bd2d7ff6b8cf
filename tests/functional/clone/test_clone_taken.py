# SPDX-License-Identifier: GPL-2.0-or-later
"""A process on its way from a pool to the command that takes it."""

import json
import signal
import socket

from registry import test
from test_clone import LIMIT, Tool, status
from test_clone_ends import heard, waiting
from verdict import check, wait_until

from sevclone import proof

INTERRUPTED = 130


def taken(tool, where):
    """(pool's answer, PID) of a process that the pool has given away."""
    server = tool.begin('pool', 'pooled', '--size', 1)
    try:
        wait_until('a full pool', LIMIT,
                   lambda: status(tool).get('waiting') == 1)
        [pid] = waiting(tool)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(where)
            client.sendall(b'{"take": 1}')
            return client.makefile().readline().encode(), pid
    finally:
        tool.do('pool', 'pooled', '--close')
        server.communicate(timeout=LIMIT)


@test('sev-clone run: interrupted when the pool has answered, it ends that process',
      sev=False)
def answered(env):
    with Tool(env) as tool, socket.socket(socket.AF_UNIX) as pool:
        tool.have('pooled', '--after', 2)
        where = str(tool.run_folder / 'pooled.pool')
        answer, pid = taken(tool, where)
        check(json.loads(answer)['info']['pid'] == pid, f'{answer}')
        check(proof.started_at(pid), 'it ended with its pool')
        pool.bind(where)
        pool.listen()
        with heard(signal.SIGTERM):
            run = tool.begin('run', 'pooled', '--pool')
        try:
            client, _ = pool.accept()
            with client:
                client.recv(4096)
                # What comes while it stands still comes all at once.
                run.send_signal(signal.SIGSTOP)
                client.sendall(answer)
                run.send_signal(signal.SIGTERM)
                run.send_signal(signal.SIGCONT)
                code = run.wait(LIMIT)
            check(code == INTERRUPTED, f'exit code {code}')
            check(not proof.started_at(pid), 'a process is left that is nobody\'s')
        finally:
            run.kill()
            run.communicate()
