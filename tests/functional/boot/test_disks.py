# SPDX-License-Identifier: GPL-2.0-or-later
"""Disks of SEV guests that move or are cloned: an overlay for each clone of a template
with a disk, and a disk that another process serves (vhost-user) across a migration."""

import contextlib
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import bulk
from bulk import MIB
from registry import test
from shape import Shape
from test_states import LONG, moved
from test_template import seal
from verdict import Skip, check, wait_until
from vhostproxy import Proxy

CLONES = 2
WRITER = """i=0; while :; do i=$((i + 1)); yes $i | head -c 65536 > /tmp/w
dd if=/tmp/w of=/dev/vda bs=64k seek=64 conv=fsync 2> /dev/null || break
dd if=/dev/vda bs=64k skip=64 count=1 2> /dev/null | cmp -s - /tmp/w || break
echo $i > /tmp/rounds; done; echo BAD > /tmp/bad"""


def words(path, form):
    return ('-drive', f'if=none,id=disk0,format={form},file={path}', '-device',
            'virtio-blk-pci,drive=disk0')


@test('disk: a template with a disk image, an overlay of it for each clone', sev=False,
      slow=True)
def overlays(env):
    base, _ = bulk.disk(env.lab, env.name('base'))
    image = env.lab.large(env.name('template'))
    with contextlib.closing(env.start('origin', shell=True,
                                      extra=words(base, 'raw'))) as origin:
        origin.wait_text(r'^TICK 1 ', LONG)
        origin.shell.must('until [ -b /dev/vda ]; do usleep 100000; done; '
                          'dd if=/bin/busybox of=/dev/vda bs=64k count=16 conv=fsync '
                          '2> /dev/null; sync')
        seal(env, origin, image)
    sealed = bulk.digest(base)
    base.chmod(0o444)
    tool = env.lab.build / 'obj/qemu-img'
    said = []
    with contextlib.ExitStack() as stack:
        for number in range(CLONES):
            overlay = env.lab.large(env.name('overlay'))
            subprocess.run([tool, 'create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', base,
                            overlay], check=True)
            clone = stack.enter_context(contextlib.closing(env.start(
                'clone', shell=True, incoming=f'file:{image}',
                extra=words(overlay, 'qcow2'))))
            clone.wait_resumed()
            said.append(own_disk(clone, number))
    check(said[0] != said[1], 'both clones have the same disk')
    check(bulk.digest(base) == sealed, 'a clone wrote to the image of the template')


def own_disk(clone, number):
    """It reads what the template wrote, and keeps what it writes itself."""
    must = clone.shell.must
    must('echo 3 > /proc/sys/vm/drop_caches')
    check(must('head -c 1048576 /dev/vda | sha256sum') ==
          must('head -c 1048576 /bin/busybox | sha256sum'),
          'what the template wrote is not there')
    must(f'yes clone-{number} | head -c 1048576 > /tmp/w; dd if=/tmp/w of=/dev/vda '
         'bs=64k conv=fsync 2> /dev/null; echo 3 > /proc/sys/vm/drop_caches')
    said = must('head -c 1048576 /dev/vda | sha256sum')
    check(said == must('sha256sum < /tmp/w'), 'what it wrote is not there')
    return said


@contextlib.contextmanager
def served(env, path, count):
    """Sockets of Debian's storage daemon, which serves the image at @path."""
    daemon = shutil.which('qemu-storage-daemon')
    if not daemon:
        raise Skip('no qemu-storage-daemon; the package qemu-system-common has it')
    folder = Path(env.short_folder())
    sockets = [folder / f'blk{number}' for number in range(count)]
    words = [daemon, '--blockdev', f'driver=file,node-name=disk,filename={path}']
    for number, socket in enumerate(sockets):
        words += ['--export', f'type=vhost-user-blk,id=e{number},node-name=disk,'
                  f'addr.type=unix,addr.path={socket},writable=on']
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    try:
        wait_until('sockets of qemu-storage-daemon', 20,
                   lambda: all(map(os.path.exists, sockets)) or process.poll())
        if process.poll():
            raise Skip('this qemu-storage-daemon has no vhost-user-blk')
        yield sockets
    finally:
        process.kill()
        process.wait()


@test('disk: a guest with a vhost-user disk migrates while it writes', sev=False,
      slow=True)
def vhost_user(env):
    path, sha = bulk.disk(env.lab, env.name('disk'), size=8 * MIB)
    options = dict(shell=True, ram_file=False, shape=Shape(backend='memfd'))
    with contextlib.ExitStack() as stack:
        devices = []
        for number, socket in enumerate(stack.enter_context(served(env, path, 2))):
            proxy = socket.with_name(f'proxy{number}')
            stack.enter_context(contextlib.closing(Proxy(proxy, socket)))
            devices.append(('-chardev', f'socket,id=vu,path={proxy}', '-device',
                            'vhost-user-blk-pci,chardev=vu'))
        source = stack.enter_context(contextlib.closing(
            env.start('source', extra=devices[0], **options)))
        source.wait_text(r'^TICK 1 ', LONG)
        must = source.shell.must
        must('until [ -b /dev/vda ]; do usleep 100000; done')
        check(must('sha256sum < /dev/vda').split()[0] == sha, 'it reads otherwise')
        must(f'({WRITER}) > /dev/null 2>&1 &')
        with env.target(extra=devices[1], **options) as target:
            moved(env, source, target)
            must = target.shell.must
            before = int(must('cat /tmp/rounds'))
            must(f'until [ $(cat /tmp/rounds) -gt {before + 2} ]; do sleep 0.2; done')
            check(must('test ! -e /tmp/bad && echo good') == 'good',
                  'what was written was not read back')
            must('dd if=/dev/vda bs=64k count=1 skip=64 of=/tmp/last 2> /dev/null')
            said = must('sha256sum < /tmp/last').split()[0]
        part = path.read_bytes()[4 * MIB:4 * MIB + 65536]
        check(said == hashlib.sha256(part).hexdigest() or part.strip(b'0123456789\n')
              == b'', 'the image has something else')
