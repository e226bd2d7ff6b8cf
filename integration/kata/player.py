# SPDX-License-Identifier: GPL-2.0-or-later
"""Play what the Kata runtime (Go, 3.2 and later) does to make and use a template.

The command lines are those that the runtime was recorded with
(tests/data/kata); the monitor's connections, the commands and the limits are
those that it was seen to use.  The recordings were made without an agent; the
device of its channel is what the runtime's source adds for one.
"""

import fcntl
import json
import os
import random
import select
import socket
import time
import uuid
from pathlib import Path

import process

HERE = Path(__file__).resolve().parent
LINES = HERE.parents[1] / 'tests/data/kata'
WRAPPER = HERE / 'qemu-kata'

LIMIT = 5               # seconds for a save or a restore
POLL = 0.1
START_LIMIT = 60        # ours; the runtime has none for the first greeting
SET_GUEST_CID = 0x4008af60          # VHOST_VSOCK_SET_GUEST_CID
ENDED = 'exiting QMP loop, command cancelled'
HANGS = 'QEMU ended before it took the monitor: the runtime waits for ever'


class KataError(Exception):
    """What the runtime would have reported."""


def recorded(case, role):
    """What the runtime gave to its 'path': what comes first is a wrapper's."""
    words = (LINES / f'{case}.{role}').read_text('utf-8').splitlines()
    return words[words.index('-name'):]


class Channel:
    """The agent's: the runtime finds a free address, and hands the file on."""

    def __init__(self):
        self.file = os.open('/dev/vhost-vsock', os.O_RDWR | os.O_CLOEXEC)
        self.cid = random.randrange(3, 1 << 31)
        fcntl.ioctl(self.file, SET_GUEST_CID,
                    self.cid.to_bytes(8, 'little'))

    def device(self, number):
        return ['-device', 'vhost-vsock-pci,disable-modern=false,'
                f'vhostfd={number},id=vsock-{self.cid},guest-cid={self.cid}']


class Vm:
    """One QEMU as the runtime starts it; the monitor's listener is ours."""

    channel = None

    def __init__(self, path, store, environ):
        self.path, self.environ = path, environ
        self.id = str(uuid.uuid4())
        self.store = Path(store) / self.id
        self.store.mkdir(parents=True, mode=0o700)
        self.screen = self.store / 'screen'
        self.monitor_path = self.store / 'qmp.sock'
        self.process = self.spawned = None

    def start(self, arguments):
        self.screen.touch()
        # The runtime keeps its listener: a connection that nobody took stays
        # open when QEMU ends.
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(self.monitor_path))
            server.listen(1)
            first = Monitor(self.monitor_path)      # before QEMU runs
            files = {process.EXTRA: server.fileno()}
            if self.channel:
                files[process.EXTRA + 1] = self.channel.file
            self.spawned = time.time()
            self.process = process.Process(
                [self.path, *arguments], self.environ, files,
                self.store / 'log')
            process.record(self.store / 'console.sock', self.screen,
                           self.process)
            with first:
                first.greet(START_LIMIT, self.process)

    def monitor(self):
        """A new connection, as the runtime makes for each step."""
        monitor = Monitor(self.monitor_path)
        monitor.greet(START_LIMIT)
        return monitor

    def log(self):
        return (self.store / 'log').read_text('utf-8', 'replace').strip()

    def kill(self):
        if self.process:
            self.process.kill()
        if self.channel:
            os.close(self.channel.file)
            self.channel = None


class Monitor:
    """The runtime's QMP client: lines of at most 64 KiB, one at a time."""

    LINE_MAX = 65536

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(path))
        self.text, self.events = b'', []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def ready(self, seconds):
        return select.select([self.socket], [], [], max(seconds, 0))[0]

    def line(self, limit, server=None):
        """The next line; @server: QEMU, which may never take the connection."""
        end = time.monotonic() + limit
        while b'\n' not in self.text:
            left = end - time.monotonic()
            gone = server is not None and server.poll() is not None
            if not self.ready(min(left, 0.05) if server else left):
                if gone:
                    raise KataError(HANGS)
                if left <= 0:
                    raise KataError('no reply from QEMU')
                continue
            try:
                data = self.socket.recv(self.LINE_MAX)
            except ConnectionError:
                data = b''
            if not data:
                raise KataError(ENDED)
            self.text += data
            if len(self.text.split(b'\n', 1)[0]) > self.LINE_MAX:
                raise KataError('bufio.Scanner: token too long')
        line, self.text = self.text.split(b'\n', 1)
        return json.loads(line)

    def greet(self, limit, server=None):
        version = self.line(limit, server)['QMP']['version']['qemu']
        if version['major'] < 5:
            raise KataError('govmm requires qemu version 5.0 or later')
        self.cmd('qmp_capabilities')

    def cmd(self, command, **arguments):
        # As Go's encoder writes it: keys in order, '>' escaped.
        message = {'arguments': arguments} if arguments else {}
        text = json.dumps({**message, 'execute': command},
                          separators=(',', ':'))
        try:
            self.socket.sendall(text.replace('>', '\\u003e').encode() + b'\n')
        except ConnectionError:
            raise KataError(ENDED) from None
        while True:
            reply = self.line(START_LIMIT)
            if 'error' in reply:
                raise KataError(reply['error']['desc'])
            if 'return' in reply:
                return reply['return']
            self.events.append(reply)

    def wait_migration(self, poll, limit):
        """Only 'completed' counts; anything else is polled till the limit."""
        end = time.monotonic() + limit
        info = {}
        while time.monotonic() < end:
            info = self.cmd('query-migrate')
            if info.get('status') == 'completed':
                return info
            time.sleep(poll)
        raise KataError(f'timed out after {limit} s waiting for qemu migration: '
                        f'{info.get("error-desc", info.get("status"))}')

    def ignore_shared(self):
        self.cmd('migrate-set-capabilities', capabilities=[
            {'capability': 'x-ignore-shared', 'state': True}])


class Kata:
    """A runtime with the configuration of @case, and its template folder.

    @path: what its configuration calls "path".  @memory (MiB) and @append (in
    the place of the recordings' "tick=50") are what default_memory and
    kernel_params say instead.  @vsock: with the agent's channel.
    """

    def __init__(self, path, case, folder, store, guest, memory=256,
                 append='tick=50', environ=None, limit=LIMIT, vsock=False):
        self.path, self.case = str(path), case
        self.folder, self.store, self.guest = Path(folder), Path(store), guest
        self.memory, self.append, self.vsock = memory, append, vsock
        self.environ, self.limit = {**os.environ, **(environ or {})}, limit

    def arguments(self, vm, role):
        """The recorded command line, for this VM."""
        said = {'@ID@': vm.id, '@UUID@': str(uuid.uuid4()),
                '@STORE@': vm.store, '@TEMPLATE@': self.folder,
                '@GUEST@': self.guest,
                '256M': f'{self.memory}M', 'tick=50': self.append}

        def filled(word):
            for mark, value in said.items():
                word = word.replace(mark, str(value))
            return word
        words = [filled(word) for word in recorded(self.case, role)]
        if vm.channel:
            at = words.index('-rtc')            # behind the other devices
            words[at:at] = vm.channel.device(process.EXTRA + 1)
        return words

    def prepare(self):
        """factory init: an empty 'memory', of the exact size since 3.32."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.folder / 'memory').open('wb') as f:
            f.truncate(self.memory << 20)

    def start(self, role):
        vm = Vm(self.path, self.store, self.environ)
        vm.channel = Channel() if self.vsock else None
        try:
            vm.start(self.arguments(vm, role))
        except BaseException:
            vm.kill()
            raise
        return vm

    def boot_template(self):
        return self.start('template')

    def save(self, vm, poll=POLL):
        """Pause, save, SIGKILL; what query-migrate said."""
        with vm.monitor() as monitor:
            monitor.cmd('stop')
        with vm.monitor() as monitor:
            monitor.ignore_shared()
            monitor.cmd('migrate', uri=f'exec:cat>{self.folder}/state')
            info = monitor.wait_migration(poll, self.limit)
        vm.kill()
        return info

    def launch(self):
        """A clone's QEMU, waiting."""
        return self.start('clone')

    def restore(self, vm, poll=POLL):
        """Fill a waiting QEMU and let it run; the time of RESUME."""
        with vm.monitor() as monitor:
            monitor.ignore_shared()
            monitor.cmd('migrate-incoming', uri=f'exec:cat {self.folder}/state')
            monitor.wait_migration(poll, self.limit)
        with vm.monitor() as monitor:
            monitor.cmd('cont')
            while not (stamps := [e['timestamp'] for e in monitor.events
                                  if e['event'] == 'RESUME']):
                monitor.events.append(monitor.line(START_LIMIT))
        return stamps[0]['seconds'] + stamps[0]['microseconds'] / 1e6

    def clone(self, poll=POLL):
        """(Vm, time of RESUME)"""
        vm = self.launch()
        try:
            return vm, self.restore(vm, poll)
        except BaseException:
            vm.kill()
            raise
