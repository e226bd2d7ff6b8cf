# SPDX-License-Identifier: GPL-2.0-or-later
"""Play what the Kata runtime (Go, 3.2 and later) does to make and use a template.

The command lines, the QMP and the limits are those that the runtime was seen to
use.  Left out: vhost-vsock, which needs a kernel module of the host, and the
agent's RPCs, which need an agent.
"""

import json
import os
import select
import signal
import socket
import subprocess
import time
import uuid
from pathlib import Path

LIMIT = 5               # seconds for a save or a restore
POLL = 0.1
START_LIMIT = 60
ENDED = 'exiting QMP loop, command cancelled'

# The runtime's own words for the guest's kernel, and a console that we can read.
APPEND = ('tsc=reliable no_timer_check rcupdate.rcu_expedited=1 i8042.direct=1 '
          'i8042.dumbkbd=1 i8042.nopnp=1 i8042.noaux=1 noreplace-smp reboot=k '
          'cryptomgr.notests net.ifnames=0 pci=lastbus=0 panic=1 selinux=0 '
          'swiotlb=4096 console=ttyS0')


class KataError(Exception):
    """What the runtime would have reported."""


class Vm:
    """One QEMU as the runtime starts it; the monitor's listener is ours."""

    def __init__(self, binary, store, environ=None):
        self.binary, self.environ = binary, environ
        self.id = str(uuid.uuid4())
        self.store = Path(store) / self.id
        self.store.mkdir(parents=True, mode=0o700)
        self.screen = self.store / 'screen'
        self.monitor_path = self.store / 'qmp.sock'
        self.process = self.spawned = None

    def start(self, arguments):
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(self.monitor_path))
            server.listen(1)
            first = Monitor(self.monitor_path)      # before QEMU runs
            self.spawned = time.time()
            with (self.store / 'log').open('wb') as log:
                self.process = subprocess.Popen(
                    [self.binary, '-qmp',
                     f'unix:fd={server.fileno()},server=on,wait=off',
                     *arguments],
                    pass_fds=[server.fileno()], stdout=log, stderr=log,
                    env=self.environ, start_new_session=True)
        with first:
            first.greet(START_LIMIT)

    def monitor(self):
        """A new connection, as the runtime makes for each step."""
        monitor = Monitor(self.monitor_path)
        monitor.greet(START_LIMIT)
        return monitor

    def log(self):
        return (self.store / 'log').read_text('utf-8', 'replace').strip()

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        if self.process:
            self.process.wait()


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

    def line(self, limit):
        end = time.monotonic() + limit
        while b'\n' not in self.text:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.socket], [], [], left)[0]:
                raise KataError('no reply from QEMU')
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

    def greet(self, limit):
        version = self.line(limit)['QMP']['version']['qemu']
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
    """A runtime's configuration, and a template folder on a tmpfs."""

    def __init__(self, binary, folder, store, kernel, initrd, memory=256,
                 sev=True, firmware=None, accelerators='accel=tcg', append='',
                 cpu='host,pmu=off', environ=None,
                 limit=LIMIT):
        self.binary, self.store = str(binary), Path(store)
        self.folder = Path(folder)
        self.kernel, self.initrd, self.memory = kernel, initrd, memory
        self.sev, self.firmware = sev, firmware
        self.accelerators, self.append, self.cpu = accelerators, append, cpu
        self.environ, self.limit = {**os.environ, **(environ or {})}, limit

    def arguments(self, vm, clone):
        """The command line, in the runtime's order."""
        machine = 'q35,accel=kvm'
        if self.sev:
            machine += ',kernel_irqchip=split,confidential-guest-support=sev'
        backend = (f'memory-backend-file,id=dimm1,size={self.memory}M,'
                   f'mem-path={self.folder}/memory')
        args = ['-name', f'sandbox-{vm.id}', '-uuid', vm.id,
                '-machine', f'{machine},{self.accelerators}',
                '-cpu', self.cpu, '-m', f'{self.memory}M',
                '-device', 'pci-bridge,bus=pcie.0,id=pci-bridge-0,chassis_nr=1,'
                'shpc=off,addr=2,io-reserve=4k,mem-reserve=1m,'
                'pref64-reserve=1m',
                '-device', 'virtio-serial-pci,disable-modern=false,id=serial0',
                '-device', 'virtconsole,chardev=charconsole0,id=console0',
                '-chardev', 'socket,id=charconsole0,'
                f'path={vm.store}/console.sock,server=on,wait=off',
                '-device', 'virtio-scsi-pci,id=scsi0,disable-modern=false']
        if self.sev:
            args += ['-object', 'sev-guest,id=sev,cbitpos=51,'
                     'reduced-phys-bits=1']
        else:
            args += ['-object', 'rng-random,id=rng0,filename=/dev/urandom',
                     '-device', 'virtio-rng-pci,rng=rng0']
        for part in self.firmware or ():
            args += ['-drive', 'if=pflash,format=raw,readonly=on,'
                     f'file={part}']
        args += ['-rtc', 'base=utc,driftfix=slew,clock=host',
                 '-global', 'kvm-pit.lost_tick_policy=discard',
                 '-vga', 'none', '-no-user-config', '-nodefaults', '-nographic',
                 '--no-reboot',
                 '-object', backend if clone else backend + ',share=on',
                 '-numa', 'node,memdev=dimm1',
                 '-kernel', str(self.kernel), '-initrd', str(self.initrd),
                 '-append', f'{APPEND} {self.append}',
                 '-pidfile', f'{vm.store}/pid',
                 '-smp', '1,cores=1,threads=1',
                 '-serial', f'file:{vm.screen}']
        return args + (['-S', '-incoming', 'defer'] if clone else [])

    def prepare(self):
        """factory init: an empty 'memory', of the exact size since 3.32."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.folder / 'memory').open('wb') as f:
            f.truncate(self.memory << 20)

    def boot_template(self):
        vm = Vm(self.binary, self.store, self.environ)
        vm.start(self.arguments(vm, clone=False))
        return vm

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
        vm = Vm(self.binary, self.store, self.environ)
        vm.start(self.arguments(vm, clone=True))
        return vm

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
