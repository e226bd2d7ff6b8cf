# SPDX-License-Identifier: GPL-2.0-or-later
"""sev-clone pool: started, empty QEMU processes wait for their memory.

The pool is one process with a unix socket in places.run().  A taker connects
and sends {"take": 1}; the answer names the folder of a process that is ready
for migrate-incoming.  It is then the taker's, and the pool starts another.
We believe no more of an answer than an id, and look for that ourselves.
"""

import collections
import contextlib
import json
import os
import select
import socket
import struct
import threading
import time

from sevclone import Trouble, begun, cloning, places, process, store

TAKE_LIMIT = 60         # seconds, all of them
CLOSE_LIMIT = 60
GONE_LIMIT = 2          # without a template, before a pool gives up
TEND_EVERY = 1
REQUEST_MAX = 4096
REPLY_MAX = 65536


def socket_name(name):
    return f'{name}.pool'


class Pool:
    """Keeps @size waiting processes of a template, as that is now."""

    def __init__(self, binary, template, size, jobs):
        self.binary, self.template, self.size = binary, template, size
        self.stopping = threading.Event()
        self.taken = 0
        self.gone = None                # why there is no template, since when
        # Guards those above too, and says that something can be taken or not.
        self._change = threading.Condition()
        self._waiting = collections.deque()
        self._trouble = None
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
            made, template = None, self.template
            try:
                made = cloning.start(self.binary, template, process.WAITING)
                cloning.ready(made, template)
            except (Trouble, OSError) as error:
                if made:
                    made.stop()
                self._tell(error)
                self._wanted.release()
                if self.stopping.wait(1):       # do not spin on a broken host
                    return
                continue
            made.release()
            if not self._add(made, template):
                self._drop([made])

    def _tell(self, trouble):
        with self._change:
            self._trouble = trouble
            self._change.notify_all()

    def _add(self, made, template):
        """False when it is of a template that was replaced meanwhile."""
        with self._change:
            if template is not self.template:
                return False
            self._waiting.append(made)
            self._tell(None)
            return True

    def _drop(self, processes):
        """End them; others take their places."""
        for made in processes:
            made.stop()
            self._wanted.release()

    def tend(self):
        """Let go of the dead, and of all when the template is another now."""
        with self._change:
            try:
                found = store.open_template(self.template.name)
            except Trouble as error:
                self.gone = self.gone or (error, time.monotonic())
                return
            self.gone = None
            old = list(self._waiting)
            if found.stamp == self.template.stamp:
                old = [made for made in old if not made.alive()]
            else:
                self.template = found
            for made in old:
                self._waiting.remove(made)
        self._drop(old)

    def abandoned(self):
        """Whether the template is gone, and not just being replaced."""
        return self.gone and time.monotonic() - self.gone[1] > GONE_LIMIT

    def _next(self):
        with self._change:
            self._change.wait_for(lambda: self._waiting or self._trouble or
                                  self.stopping.is_set(), TAKE_LIMIT)
            if self.stopping.is_set():
                raise Trouble('the pool is being closed')
            if not self._waiting:
                raise Trouble(f'the pool is empty: '
                              f'{self._trouble or "too slow"}')
            return self._waiting.popleft()

    def take(self):
        """One waiting process, which the caller owns; the next is started."""
        self.tend()
        if self.gone:
            raise Trouble(str(self.gone[0]))
        while not (made := self._next()).alive():
            self._drop([made])
        self._wanted.release()
        self.taken += 1
        made.let_go()
        return made

    def status(self):
        self.tend()
        return {'template': self.template.name, 'waiting': len(self._waiting),
                'size': self.size, 'taken': self.taken, 'pid': os.getpid(),
                'trouble': str(self._trouble) if self._trouble else None}

    def close(self):
        with self._change:
            self.stopping.set()
            self._change.notify_all()
        for _ in self._workers:
            self._wanted.release()
        for worker in self._workers:
            if worker.ident:                    # it was started
                worker.join()
        while self._waiting:
            self._waiting.popleft().stop()


def say(connection, reply):
    connection.sendall(json.dumps(reply).encode() + b'\n')


def hand_out(pool, connection):
    """A process that the taker does not hear of would be nobody's."""
    made = pool.take()
    try:
        say(connection, {'folder': str(made.folder), 'info': made.info})
        begun.let_go(made)
    except OSError:
        made.stop()


def answer(pool, connection):
    request = json.loads(connection.recv(REQUEST_MAX))
    if not isinstance(request, dict):
        request = {}
    if request.get('take'):
        hand_out(pool, connection)
        return
    try:
        say(connection, pool.status())
    finally:
        if request.get('close'):        # now: the pool's end is this thread's, too
            pool.stopping.set()


def serve_one(pool, connection):
    with connection, contextlib.suppress(OSError, ValueError):
        connection.settimeout(TAKE_LIMIT)
        try:
            answer(pool, connection)
        except Trouble as error:
            say(connection, {'error': str(error)})


def serve(pool, announce):
    """Answer takers until closed or ended by a signal."""
    name = socket_name(pool.template.name)
    run = places.run(make=True)
    with contextlib.suppress(Trouble):
        ask(pool.template.name, {})
        raise RuntimeError
    run.remove(name)
    with process.listener(run / name) as server:
        server.settimeout(0.2)
        try:
            pool.begin()
            announce()
            tended = time.monotonic()
            while not pool.stopping.is_set() and not pool.abandoned():
                with contextlib.suppress(TimeoutError):
                    connection, _ = server.accept()
                    threading.Thread(target=serve_one, daemon=True,
                                     args=(pool, connection)).start()
                if time.monotonic() - tended > TEND_EVERY:
                    pool.tend()
                    tended = time.monotonic()
        except KeyboardInterrupt:
            pass
        finally:
            run.remove(name)
            pool.close()
    if pool.abandoned():
        raise Trouble(f'the pool is closed: {pool.gone[0]}')


def run(binary, template, size, jobs, announce):
    try:
        serve(Pool(binary, template, size, jobs), announce)
    except RuntimeError:
        raise Trouble(f'there is a pool of {template.name} already; "sev-clone '
                      f'pool {template.name} --close" ends it') from None


def peer(client):
    """The user at the other end of a unix socket."""
    said = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return struct.unpack('=3i', said)[1]


def await_reply(client):
    """Wait, within begun.whole(), until there is a reply or we are interrupted.

    Who gives up closes his end for reading first: then either the reply is here
    already and is taken, or the pool cannot send it and keeps the process.
    """
    end = time.monotonic() + TAKE_LIMIT + 5
    while not select.select([client], [], [], 0.1)[0]:
        if begun.is_interrupted() or time.monotonic() > end:
            client.shutdown(socket.SHUT_RD)
            return


def ask(name, request, accept=lambda reply: reply):
    """Put @request to the pool of @name; @accept takes the reply over.

    Nothing comes between the reply and that: a process that was given to us
    is ours at once.
    """
    run = places.run()
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(TAKE_LIMIT + 5)
        try:
            client.connect(run.at(socket_name(name)) if run else '')
            if peer(client) != os.geteuid():
                raise Trouble(f'{run / socket_name(name)} is not answered by '
                              'a pool of ours')
            with begun.whole():
                client.sendall(json.dumps(request).encode())
                await_reply(client)
                reply = json.loads(client.makefile().readline(REPLY_MAX))
                if not isinstance(reply, dict):
                    raise ValueError
                if 'error' in reply:
                    raise Trouble(str(reply['error']))
                return accept(reply)
        except (OSError, ValueError):
            raise Trouble(f'there is no pool of {name}; "sev-clone pool '
                          f'{name}" starts one') from None


def take(name):
    """A waiting process from the pool of @name, now ours."""
    run = places.run()

    def accept(reply):
        given = isinstance(reply.get('info'), dict) and reply['info'].get('id')
        found = isinstance(given, str) and process.find(run, given)
        if not found or found.info['template'] != name:
            raise Trouble(f'the pool of {name} named no process of its own')
        begun.found(found)
        return found
    return ask(name, {'take': 1}, accept)


def close(name):
    """End the pool of @name and its processes; whether there was one."""
    try:
        pid = ask(name, {'close': 1})['pid']
    except Trouble:
        return False
    end = time.monotonic() + CLOSE_LIMIT
    while any(p.info.get('owner', {}).get('pid') == pid
              for p in process.running(name)):
        if time.monotonic() > end:
            raise Trouble(f'the pool of {name} (process {pid}) does not end')
        time.sleep(0.05)
    return True
