# SPDX-License-Identifier: GPL-2.0-or-later
"""What the Kata runtime does, replayed: its command lines, command by command."""

import contextlib
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

import compare
import hunt
from registry import SAID, test
from sevlib import ROOT
from test_kata_config import TCG, keys
from verdict import BOOT_LIMIT, TICK_LIMIT, Failed, check, wait_until

sys.path.insert(1, str(ROOT / 'integration/kata'))
import player                           # noqa: E402
import process                          # noqa: E402

CLONES = 3
ROOM = 8 << 20          # what the runtime's tmpfs has beyond the guest's memory
WITNESS = b'witness ' * 8

ORDINARY, BY_MACHINE = 'ordinary-4.1.0', 'sev-by-machine-4.1.0'
HOST_SEV, HOST_SNP = 'sev-3.18.0', 'sev-4.1.0-snp-host'


def ticks(vm):
    return vm.screen.read_bytes().count(b'TICK ')


def wait_ticks(vm, more, limit):
    aim = ticks(vm) + more

    def probe():
        check(vm.process.poll() is None, f'QEMU ended: {vm.log()[-300:]}')
        return ticks(vm) >= aim
    wait_until(f'{more} ticks', limit, probe)


@contextlib.contextmanager
def runtime(env, case=None, environ=None, path=None):
    """A runtime whose template is on a tmpfs; all of it goes at the end.

    @path: the installed qemu-kata, where there is one.
    """
    case = case or (BY_MACHINE if env.lab.sev else ORDINARY)
    folder = Path(tempfile.mkdtemp(prefix='kata.', dir='/dev/shm'))
    identity = env.host('kata')
    path = path or process.installed(folder / 'bin', env.lab.binary,
                                     player.WRAPPER)
    kata = player.Kata(
        path, case, folder / 'template', folder / 'vms', env.lab.kernel,
        environ={**({'SEV_PSP_DIR': str(identity.folder)} if identity else {}),
                 **(environ or {})})
    made = []
    launch = player.Vm.start

    def start(vm, arguments):
        made.append(vm)
        launch(vm, arguments)
    player.Vm.start = start
    try:
        yield kata
    finally:
        player.Vm.start = launch
        for vm in made:
            vm.kill()
        shutil.rmtree(folder, ignore_errors=True)


def seal(kata):
    kata.prepare()
    origin = kata.boot_template()
    wait_ticks(origin, 3, BOOT_LIMIT)
    return kata.save(origin)


def in_the_clear(path):
    return hunt.count(path, WITNESS) > 0


def restore_all(kata, count):
    """@count clones, side by side."""
    results = [None] * count

    def one(i):
        try:
            results[i] = kata.clone()[0]
        except (player.KataError, OSError) as error:
            results[i] = error
    threads = [threading.Thread(target=one, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        if isinstance(result, Exception):
            raise Failed(f'a clone failed: {result}')
    return results


def replay(kata, sev):
    """Template, clones side by side, which are returned; the folder goes while
    they count."""
    seal(kata)
    files = {p.name: p.stat().st_size for p in kata.folder.iterdir()}
    check(files.pop('memory') == kata.memory << 20, 'memory has grown')
    check(sum(files.values()) < ROOM,
          f'{files} is more than the tmpfs has room for')
    check(in_the_clear(kata.folder / 'memory') != sev,
          'what the guest wrote is in the clear' if sev else
          'an ordinary guest\'s memory is hidden')
    changed = (kata.folder / 'memory').stat().st_mtime_ns
    clones = restore_all(kata, CLONES)
    for clone in clones:
        wait_ticks(clone, 3, TICK_LIMIT)
    check((kata.folder / 'memory').stat().st_mtime_ns == changed,
          'a clone wrote to the template')
    shutil.rmtree(kata.folder)          # factory destroy, while they run
    for clone in clones:
        wait_ticks(clone, 5, TICK_LIMIT)
    return clones


# --- The recordings, as they are ---------------------------------------------

@test('kata: 4.1.0 on a host without SEV, an encrypted guest')
def by_machine(env):
    with runtime(env, BY_MACHINE) as kata:
        replay(kata, sev=True)


@test('kata: 4.1.0, an ordinary guest under TCG', sev=False)
def ordinary(env):
    with runtime(env, ORDINARY) as kata:
        replay(kata, sev=False)


@test('kata: 3.18.0 on a host with SEV', slow=True)
def host_sev(env):
    with runtime(env, HOST_SEV) as kata:
        replay(kata, sev=True)


@test('kata: 4.1.0 on a host with SEV-SNP', slow=True)
def host_snp(env):
    with runtime(env, HOST_SNP) as kata:
        replay(kata, sev=True)


@test('kata: 4.1.0 on a host without SEV, policy 0x5 (SEV-ES)', slow=True)
def es(env):
    folder = '/usr/share/OVMF'
    with runtime(env, BY_MACHINE, environ={
            'QEMU_KATA_POLICY': '0x5',
            'QEMU_KATA_CODE': f'{folder}/OVMF_CODE.fd',
            'QEMU_KATA_VARS': f'{folder}/OVMF_VARS.fd'}) as kata:
        seal(kata)
        found = compare.analyze(kata.folder / 'state')
        check(found['vcpus'] == [0], f'the template has registers of {found}')
        check(not in_the_clear(kata.folder / 'memory'), 'it is in the clear')
        for clone in restore_all(kata, CLONES):
            wait_ticks(clone, 5, TICK_LIMIT)


@test('kata: with the bounce buffer that the configuration file asks for',
      slow=True)
def bounce_buffer(env):
    params = keys(TCG)['hypervisor']['qemu']['kernel_params']
    with runtime(env, BY_MACHINE) as kata:
        kata.append = f'tick=50 {params}'       # the last one counts
        replay(kata, sev=True)


# --- What cannot start ---------------------------------------------------------

def ended(kata, role):
    """What QEMU said; the runtime must have been told that it is gone."""
    try:
        kata.start(role)
    except player.KataError as error:
        seen = str(error)
    else:
        raise Failed(f'the {role} has started')
    log, = kata.store.glob('*/log')
    said = log.read_text('utf-8', 'replace').strip()
    shutil.rmtree(kata.store)
    SAID.append(said)
    check(seen == player.ENDED, f'{seen}; QEMU had said "{said}"')
    return said


@test('kata: what ends QEMU before its monitor ends the runtime\'s wait')
def no_start(env):
    folder = env.lab.folder / 'psp-open'
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    cases = (({'SEV_PSP_DIR': str(folder)}, 'mode 0755'),
             ({'SEV_PSP_DIR': '/proc/nobody'}, '/proc/nobody'),
             ({'QEMU_KATA_CODE': '/no/code.fd'}, '/no/code.fd'))
    for environ, word in cases:
        with runtime(env, BY_MACHINE, environ) as kata:
            kata.prepare()
            for role in ('template', 'clone'):
                said = ended(kata, role)
                check(word in said, f'{environ}: QEMU said "{said}"')
    with runtime(env, BY_MACHINE) as kata:      # no template was made
        said = ended(kata, 'clone')
        check('template/memory' in said, f'QEMU said "{said}"')


@test('kata: the plain QEMU as "path", or an option that it refuses, ends the wait')
def plain(env):
    with runtime(env, BY_MACHINE) as kata:
        kata.prepare()
        kata.path, told = str(env.lab.binary), kata.arguments
        said = ended(kata, 'template')
        check("Device 'sev' not found" in said, f'QEMU said "{said}"')
        # Such an option ends QEMU before it opens its monitor.
        kata.arguments = lambda vm, role: [
            *told(vm, role), '-object', 'sev-guest,id=sev,policy=much']
        said = ended(kata, 'template')
        check("Parameter 'policy' expects" in said, f'QEMU said "{said}"')


# --- What does not fit ---------------------------------------------------------

@test('kata: a clone that does not fit says so and ends')
def misfit(env):
    with runtime(env) as kata:
        seal(kata)
        state = (kata.folder / 'state')
        whole = state.read_bytes()
        state.write_bytes(whole[:len(whole) // 2])
        said = refusal(kata)
        SAID.append(said)
        check('emplate' in said or 'SEV' in said or 'stream' in said,
              f'a state cut short: QEMU said "{said}"')
        state.write_bytes(whole)
        kata.memory //= 2
        said = refusal(kata)
        SAID.append(said)
        check('192' in said or 'size' in said.lower() or 'fit' in said,
              f'half the memory: QEMU said "{said}"')


def refusal(kata):
    """The runtime leaves no such process behind: QEMU must end by itself."""
    vm = kata.launch()
    try:
        kata.limit, limit = 1, kata.limit
        kata.restore(vm)
        raise Failed('it was accepted')
    except player.KataError as error:
        said = str(error)
    finally:
        kata.limit = limit
    end = time.monotonic() + BOOT_LIMIT
    while vm.process.poll() is None and time.monotonic() < end:
        time.sleep(0.05)
    check(vm.process.poll() is not None, f'QEMU stays after "{said}"')
    return vm.log() or said
