# SPDX-License-Identifier: GPL-2.0-or-later
"""What an SEV guest cannot have: snapshots, and RAM that the host discards."""

import contextlib
import shutil
import subprocess

import registry
from registry import test
from shape import Shape
from verdict import Failed, check, wait_until

SNAPSHOT = 'a snapshot inside a disk image cannot hold an SEV guest'
DISCARD = 'Discarding RAM is disabled'
MIB = 1 << 20


def image_tool(lab, *words):
    tool = lab.binary.with_name('qemu-img')
    subprocess.run([tool, *map(str, words)], check=True,
                   stdout=subprocess.DEVNULL)


class Snapshots(Shape):
    """The variables in a format that holds snapshots."""

    def firmware_args(self, lab, variables):
        args = super().firmware_args(lab, variables)
        raw = variables.with_suffix('.raw')
        shutil.move(variables, raw)
        image_tool(lab, 'convert', '-O', 'qcow2', raw, variables)
        raw.unlink()
        return [word.replace(f'format=raw,file={variables}',
                             f'format=qcow2,node-name=vars,file={variables}')
                for word in args]


class Kept(Snapshots):
    """The variables with another guest's snapshot in them."""
    image = None

    def firmware_args(self, lab, variables):
        args = super().firmware_args(lab, variables)
        shutil.copy(self.image, variables)
        return args


def says(subject, answer, said):
    registry.SAID.append(answer.strip())
    check(said in answer, f'{subject}: "{answer}"')


def monitor(guest, command, said):
    """HMP answers with this sentence, or QEMU's log has it."""
    log = len(guest.log())
    answer = guest.cmd('human-monitor-command', command_line=command)
    says(command, answer + guest.log()[log:], said)


def no_start(guest, said):
    """QEMU ends with this sentence."""
    with contextlib.closing(guest):
        try:
            guest.start()
            guest.wait_off(60)
        except Failed:
            says('start', ' '.join(guest.log().strip().splitlines()[-2:]), said)
        else:
            check(False, 'the guest started')


def job(guest, command, said, **arguments):
    """A QMP job ends with this sentence, or QEMU's log has it."""
    log = len(guest.log())
    guest.cmd(command, job_id='job0', tag='two', vmstate='vars',
              devices=['vars'], **arguments)
    ended = wait_until('end of the job', 60, lambda: [
        one for one in guest.cmd('query-jobs') if one['status'] == 'concluded'])
    says(command, ended[0].get('error', '') + guest.log()[log:], said)
    guest.cmd('job-dismiss', id='job0')


@test('refused: savevm and snapshot-save, and the guest runs on')
def snapshot_save(env):
    guest = env.boot('savevm', shape=Snapshots())
    with contextlib.closing(guest):
        monitor(guest, 'savevm one', SNAPSHOT)
        guest.wait_ticks(2)
        job(guest, 'snapshot-save', SNAPSHOT)
        guest.wait_ticks(2)
        check(guest.cmd('query-status')['running'], 'the guest was stopped')


@test('refused: loadvm, snapshot-load and -loadvm', slow=True)
def snapshot_load(env):
    plain = env.boot('plain', shape=Snapshots(), sev=False)
    with contextlib.closing(plain):
        monitor(plain, 'savevm two', '')
        Kept.image = env.lab.large('kept.qcow2')
        plain.cmd('quit')
        plain.wait_off()
        shutil.copy(plain.variables, Kept.image)
    no_start(env.lab.guest(env.name('loadvm'), host=env.host('a'), shape=Kept(),
                           extra=('-loadvm', 'two')), SNAPSHOT)
    guest = env.boot('loadvm', shape=Kept())
    with contextlib.closing(guest):
        monitor(guest, 'loadvm two', SNAPSHOT)
        # Upstream has put the disks back and reset the machine by then.
        job(guest, 'snapshot-load', SNAPSHOT)
        check(not guest.cmd('query-status')['running'], 'it runs')
        guest.cmd('cont')
        guest.wait_text(r'^TICK 2 ', times=2)
    Kept.image.unlink()


@test('refused: devices that discard RAM, at the start and later')
def discard(env):
    extra = ('-m', '256M,slots=2,maxmem=1G',
             '-object', 'memory-backend-ram,id=mem1,size=128M',
             '-device', 'pcie-root-port,id=port1')
    device = 'virtio-mem-pci,id=vmem,memdev=mem1,bus=port1'
    no_start(env.lab.guest(env.name('virtio-mem'), host=env.host('a'),
                           extra=(*extra, '-device', device)), DISCARD)
    guest = env.boot('virtio-mem', extra=extra)
    with contextlib.closing(guest):
        monitor(guest, f'device_add {device}', DISCARD)
        guest.wait_ticks(2)


@test('refused: a balloon takes nothing from an SEV guest', sev=False, slow=True)
def balloon(env):
    guest = env.boot('balloon', shell=True, extra=(
        '-device', 'virtio-balloon-pci,id=balloon,free-page-reporting=on'))
    with contextlib.closing(guest):
        guest.cmd('balloon', value=192 * MIB)
        guest.shell.must('sleep 4')
        actual = guest.cmd('query-balloon')['actual'] // MIB
        said = guest.shell.must('dmesg | grep -i balloon || true')
        registry.SAID.append(f'{actual} MiB left; {said}')
        check((actual < 256) != env.lab.sev, f'the guest has {actual} MiB')
        check('must provide VIRTIO_F_ACCESS_PLATFORM' in said or
              not env.lab.sev, f'Linux says "{said}"')
        guest.wait_ticks(2)
