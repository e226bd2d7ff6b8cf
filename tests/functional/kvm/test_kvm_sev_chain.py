# SPDX-License-Identifier: GPL-2.0-or-later
"""SEV guests under KVM: what a real chip does not export, its operator keeps in
a file, and nobody names certificates in parameters.
"""

import contextlib
import os
import subprocess

from guest import free_port
from kvmhost import FORCED, KvmTiny, kvm_host, library
from registry import expect_error, test
from sevlib import sev_psp
from sevtiny import arrived, migrate, running
from verdict import check

EFI = dict(kind='efi', control=[FORCED])
NO_AMD = 'the chain has no ASK and no ARK'


def hardware(env, host, *words):
    """sev-psp --hardware on @host."""
    done = subprocess.run(
        [sev_psp(env.lab), '--hardware', *words], text=True, timeout=60,
        capture_output=True, check=False,
        env={**os.environ, 'LD_PRELOAD': str(library(env)),
             'SEV_PSP_CONFIG_DIR': str(host.folder),
             'SEV_STANDIN_IDENTITY': str(host.folder)})
    return done.returncode, done.stdout + done.stderr


def make_whole(env, host):
    """What an operator does once for a host."""
    code, said = hardware(env, host, 'chain', 'show')
    check(code == 3 and f'missing: {NO_AMD}' in said and '/cek/id/' in said,
          f'chain show: {said}')
    cek, ask_ark = host.published()
    code, said = hardware(env, host, 'chain', 'import', '--cek', cek,
                          '--ask-ark', ask_ark)
    check(not code and f'file: {host.folder}/chain.cert' in said,
          f'chain import: {said}')
    code, said = hardware(env, host, 'verify')
    check(not code and 'verified: yes' in said, f'verify: {said}')


@contextlib.contextmanager
def unnamed(env, host):
    """(a QEMU on @host that listens, its URI); the source is told nothing."""
    target = KvmTiny(env, 'target', host, incoming='defer', **EFI)
    with contextlib.closing(target.start()):
        uri = f'tcp:127.0.0.1:{free_port()}'
        target.cmd('migrate-incoming', uri=uri, exit_on_error=False)
        yield target, uri


@test('kvm chain: trusted roots and the target\'s whole chain move a guest')
def moves(env):
    one, two = kvm_host(env, 'chain-a'), kvm_host(env, 'chain-b')
    with running(env, 'source', one, **EFI) as guest:
        with unnamed(env, two) as (_, uri):
            expect_error(migrate(guest, uri), f'cannot be checked: {NO_AMD}; '
                         "'sev-psp chain import' on the target")
        make_whole(env, two)
        with unnamed(env, two) as (_, uri):
            expect_error(migrate(guest, uri), "not a root that is trusted here"
                         f".*'{one.folder}/roots'.*'sev-psp --hardware root "
                         "trust' puts them")
        one.trust(two)
        guest.soundly(1)
        with unnamed(env, two) as (target, uri):
            info = migrate(guest, uri)
            check(info['status'] == 'completed', f'{info}')
            arrived(guest, target)
            said = target.cmd('query-sev-platform-certs')
            check('missing' not in said, f'it lacks {said.get("missing")}')


@test('kvm chain: a guest is saved for its own platform once that is whole')
def saved(env):
    host = kvm_host(env, 'chain-c')
    stream = env.lab.large('chain.stream')
    with running(env, 'saved', host, **EFI) as guest:
        check(guest.cmd('query-sev-platform-certs')['missing'] == NO_AMD,
              'nothing is missing')
        for template in (False, True):
            guest.cmd('stop')
            guest.capabilities(sev_template=template)
            expect_error(migrate(guest, f'exec:cat > {stream}'),
                         f'cannot be sealed to this platform .*: {NO_AMD}; '
                         "'sev-psp --hardware chain import' makes the whole "
                         f"chain, '{host.folder}/chain.cert'")
            guest.cmd('cont')
            guest.soundly(1)
        guest.capabilities(sev_template=False)
        make_whole(env, host)
        info = migrate(guest, f'exec:cat > {stream}')
        check(info['status'] == 'completed', f'{info}')
        restored = KvmTiny(env, 'restored', host,
                           incoming=f'exec:cat {stream}', **EFI)
        with contextlib.closing(restored.start()):
            restored.wait_loaded()
            arrived(guest, restored)
