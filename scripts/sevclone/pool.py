# SPDX-License-Identifier: GPL-2.0-or-later
"""sev-clone pool: started, empty QEMU processes wait for their memory.

The pool is one process with a unix socket in places.run().  A taker connects
and sends {"take": 1}; the answer names the folder of a process that is ready
for migrate-incoming.  It is then the taker's, and the pool starts another.
"""

import contextlib
import json
import os
import queue
import socket
import threading
import time
from pathlib import Path

from sevclone import Trouble, cloning, places, process

TAKE_LIMIT = 60         # seconds
REQUEST_MAX = 4096


def socket_path(name):
    return places.run() / f'{name}.pool'


class Pool:
    """Keeps @size waiting processes of a template."""

    def __init__(self, binary, template, size, jobs):
        self.binary, self.template, self.size = binary, template, size
        self.waiting = queue.Queue()
        self.stopping = threading.Event()
        self.trouble = None
        self.taken = 0
        self._wanted = threading.Semaphore(size)
        self._workers = [threading.Thread(target=self._refill, daemon=True)
                         for _ in range(jobs)]

    def begin(self):
        for worker in self._workers:
            worker.start()

    def _refill(self):
        while True:
            self._wanted.acquire()
            if self.stopping.is_set():
                return
            made = None
            try:
                made = cloning.start(self.binary, self.template,
                                     process.WAITING)
                cloning.ready(made, self.template)
            except (Trouble, OSError) as error:
                if made:
                    made.stop()
                self.trouble = error
                self._wanted.release()
                if self.stopping.wait(1):       # do not spin on a broken host
                    return
                continue
            made.release()
            self.trouble = None
            self.waiting.put(made)

    def take(self):
        """One waiting process, which the caller owns; the next is started."""
        end = time.monotonic() + TAKE_LIMIT
        while True:
            try:
                made = self.waiting.get(timeout=0.2)
            except queue.Empty:
                if time.monotonic() > end or self.trouble:
                    raise Trouble(f'the pool is empty: '
                                  f'{self.trouble or "too slow"}') from None
                continue
            if self.stopping.is_set():
                made.stop()
                raise Trouble('the pool is being closed')
            self._wanted.release()
            if made.alive():
                self.taken += 1
                made.let_go()
                return made
            made.stop()

    def status(self):
        return {'template': self.template.name, 'waiting': self.waiting.qsize(),
                'size': self.size, 'taken': self.taken, 'pid': os.getpid(),
                'trouble': str(self.trouble) if self.trouble else None}

    def close(self):
        self.stopping.set()
        for _ in self._workers:
            self._wanted.release()
        for worker in self._workers:
            if worker.ident:                    # it was started
                worker.join()
        with contextlib.suppress(queue.Empty):
            while True:
                self.waiting.get_nowait().stop()


def say(connection, reply):
    connection.sendall(json.dumps(reply).encode() + b'\n')


def hand_out(pool, connection):
    """A process that the taker does not hear of would be nobody's."""
    made = pool.take()
    try:
        say(connection, {'folder': str(made.folder), 'info': made.info})
    except OSError:
        made.stop()


def answer(pool, connection):
    request = json.loads(connection.recv(REQUEST_MAX))
    if not isinstance(request, dict):
        request = {}
    if request.get('take'):
        hand_out(pool, connection)
        return
    if request.get('close'):
        pool.stopping.set()
    say(connection, pool.status())


def serve_one(pool, connection):
    with connection, contextlib.suppress(OSError, ValueError):
        connection.settimeout(TAKE_LIMIT)
        try:
            answer(pool, connection)
        except Trouble as error:
            say(connection, {'error': str(error)})


def serve(pool, announce):
    """Answer takers until closed or ended by a signal."""
    path = socket_path(pool.template.name)
    places.private_folder(places.run())
    with contextlib.suppress(Trouble):
        ask(pool.template.name, {})
        raise RuntimeError
    path.unlink(missing_ok=True)
    with process.listener(path) as server:
        server.settimeout(0.2)
        try:
            pool.begin()
            announce()
            while not pool.stopping.is_set():
                with contextlib.suppress(TimeoutError):
                    connection, _ = server.accept()
                    threading.Thread(target=serve_one, daemon=True,
                                     args=(pool, connection)).start()
        except KeyboardInterrupt:
            pass
        finally:
            path.unlink(missing_ok=True)
            process.uninterrupted(pool.close)


def run(binary, template, size, jobs, announce):
    try:
        serve(Pool(binary, template, size, jobs), announce)
    except RuntimeError:
        raise Trouble(f'there is a pool of {template.name} already; "sev-clone '
                      f'pool {template.name} --close" ends it') from None


def ask(name, request):
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(TAKE_LIMIT + 5)
        try:
            client.connect(str(socket_path(name)))
            client.sendall(json.dumps(request).encode())
            reply = json.loads(client.makefile().readline())
        except (OSError, ValueError):
            raise Trouble(f'there is no pool of {name}; "sev-clone pool '
                          f'{name}" starts one') from None
    if 'error' in reply:
        raise Trouble(reply['error'])
    return reply


def take(name):
    """A waiting process from the pool of @name, now ours."""
    reply = ask(name, {'take': 1})
    return process.Process(Path(reply['folder']), reply['info'])
