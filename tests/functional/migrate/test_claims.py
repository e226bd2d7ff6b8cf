# SPDX-License-Identifier: GPL-2.0-or-later
"""What a received guest says of itself is a claim; who sent it is not.

A stranger, host C, seals its own guest to B and writes A's measurement into
the stream.  B runs it, and says whose word that is, unless it was told whom to
take guests from.
"""

import base64
import contextlib
import stat
import subprocess
import sys

from golden import GOLDEN, MACHINE, Tiny, template_of
from registry import expect_error, test
from sevlib import ROOT
from test_clone import Tool
from test_template_query import query
from test_trust import certificates, hmp, refused_parameter
from verdict import Failed, check

OTHER = '00' * 32
TINY = ('-nodefaults', '-accel', 'tcg', '-cpu', 'EPYC-v4', '-m', '16',
        '-machine', f'{MACHINE},confidential-guest-support=sev0',
        '-object', 'sev-guest,id=sev0,policy=0x1', '-drive',
        f'if=pflash,unit=0,format=raw,readonly=on,file={GOLDEN}/firmware.bin')


def fingerprint(host):
    return host.platform_certs()['fingerprint']


def measurement(guest):
    return guest.cmd('query-sev-launch-measure')


def set_parameters(guest, **values):
    guest.cmd('migrate-set-parameters', **values)


@contextlib.contextmanager
def launched(env, host):
    """A small guest of @host, which trusts B and knows its certificates."""
    there = env.host('b')
    env.host(host).trust(there)
    with Tiny(env.lab, env.name(f'claims-{host}'), env.host(host)) as guest:
        guest.wait_sound()
        guest.cmd('stop')
        set_parameters(guest, **certificates(there))
        yield guest


def saved(guest, path):
    guest.cmd('migrate', uri=f'file:{path}')
    info = guest.wait_migration()
    check(info['status'] == 'completed', f'{info}')


def forged(env):
    """A stream of C's guest, to B, that claims to be A's; and that claim."""
    path = env.lab.large('forged.stream')
    with launched(env, 'a') as victim:
        claim = measurement(victim)
        check('claimed-by' not in claim, f'launched here: {claim}')
    with launched(env, 'c') as stranger:
        real = measurement(stranger)['data']
        saved(stranger, path)
    data = path.read_bytes()
    check(data.count(real.encode()) == 1 and len(real) == len(claim['data'])
          and real != claim['data'], 'there is nothing to forge')
    path.write_bytes(data.replace(real.encode(), claim['data'].encode()))
    return path, claim['data']


@contextlib.contextmanager
def waiting(env, **parameters):
    with Tiny(env.lab, env.name('claims-to'), env.host('b'), True) as target:
        if parameters:
            set_parameters(target, **parameters)
        yield target


def runs(target, path):
    info = target.load(path)
    check(info['status'] == 'completed', f'{info}')
    target.cmd('cont')
    target.wait_sound(5)


@test('claims: a forged measurement is marked as a stranger\'s word')
def marked(env):
    path, claim = forged(env)
    with waiting(env) as target:
        runs(target, path)
        check(measurement(target) == {'data': claim, 'claimed-by':
                                      fingerprint(env.host('c'))},
              f'it says {measurement(target)}')
    path.unlink()


@test('claims: guests come from those that may send, and from nobody else')
def sources(env):
    path, _ = forged(env)
    stranger = fingerprint(env.host('c'))
    with waiting(env, sev_allowed_sources=[
            OTHER, fingerprint(env.host('a'))]) as target:
        expect_error(target.load(path), f'the source platform {stranger} is '
                     "not among the 2 of migration parameter "
                     "'sev-allowed-sources'")
    with waiting(env, sev_allowed_sources=[OTHER, stranger]) as target:
        runs(target, path)
    path.unlink()


@test('claims: to come from the same platform needs no permission')
def own(env):
    path = env.lab.large('own.stream')
    with Tiny(env.lab, env.name('claims-own'), env.host('b')) as guest:
        guest.cmd('stop')
        saved(guest, path)
    with waiting(env, sev_allowed_sources=[OTHER]) as target:
        runs(target, path)
        check(measurement(target)['claimed-by'] == fingerprint(env.host('b')),
              f'it says {measurement(target)}')
    path.unlink()


@test('claims: a stream that was opened before is refused on request')
def replay(env):
    path = env.lab.large('replayed.stream')
    said = (r'this session was opened on this platform before: the stream is '
            r'a replay')
    with launched(env, 'a') as guest:
        saved(guest, path)
    with waiting(env) as target:                # nobody asked
        runs(target, path)
    with waiting(env, sev_refuse_replay=True) as target:
        runs(target, path)
    listed = list(env.host('b').folder.glob('opened-*'))
    check(len(listed) == 1 and listed[0].stat().st_size == 32 and
          stat.S_IMODE(listed[0].stat().st_mode) == 0o600, f'{listed}')
    with waiting(env, sev_refuse_replay=True) as target:
        expect_error(target.load(path), said)
    check(listed[0].stat().st_size == 32, 'the list has grown')
    with waiting(env) as target:
        runs(target, path)
    listed[0].chmod(0o644)
    with waiting(env, sev_refuse_replay=True) as target:
        expect_error(target.load(path), r'it is not known whether .*has mode '
                     r'0644')
    listed[0].unlink()
    path.unlink()


@test('claims: the parameters in QMP and HMP')
def parameters(env):
    with waiting(env) as target:
        refused_parameter(target, "'sev-allowed-sources': '12' is not a "
                          'fingerprint', sev_allowed_sources=['12'],
                          sev_refuse_replay=True)
        hmp(target, f'migrate_set_parameter sev-allowed-sources {OTHER}')
        hmp(target, 'migrate_set_parameter sev-refuse-replay on')
        shown = target.cmd('query-migrate-parameters')
        check(shown['sev-allowed-sources'] == [OTHER] and
              shown['sev-refuse-replay'] is True, f'{shown}')
        info = hmp(target, 'info migrate_parameters')
        check(f'sev-allowed-sources: {OTHER}' in info and
              'sev-refuse-replay: on' in info, info)
        said = hmp(target, 'migrate_set_parameter sev-refuse-replay maybe')
        check('sev-refuse-replay' in said, said)
        set_parameters(target, sev_allowed_sources=[], sev_refuse_replay=False)
        check('sev-allowed-sources' not in
              target.cmd('query-migrate-parameters'), 'not cleared')


@test('claims: a template says who sealed it, and whether that is proven')
def template(env):
    path = env.lab.large('stranger.template')
    stranger = fingerprint(env.host('c'))
    with launched(env, 'c') as guest:
        guest.cmd('cont')
        template_of(guest, path)
    for verify in (False, True):
        said = query(env, 'b', path=str(path), verify=verify)
        check(said['whole'] and said['here'] and said['sealed-by'] == stranger
              and said['sealed-by-proven'], f'{said}')
    said = query(env, 'a', path=str(path))      # cannot open it
    check(said['sealed-by'] == stranger and not said['sealed-by-proven'],
          f'{said}')
    told = tool(env, 'inspect', path)
    check('sealed by' in told and stranger in told and
          'a claim of whoever wrote this' in told, told)
    # Somebody else's name on it: the session does not open.
    data = path.read_bytes()
    real = base64.b64decode(certificates(env.host('c'))['sev-pdh'])
    fake = base64.b64decode(certificates(env.host('a'))['sev-pdh'])
    check(data.count(real) == 1, 'the template has no certificate of C')
    path.write_bytes(data.replace(real, fake))
    said = query(env, 'b', path=str(path))
    check(not said['whole'] and not said['sealed-by-proven'] and
          'refuses the session' in said['wrong'], f'{said}')
    path.unlink()


@test('claims: sev-clone runs what its own platform sealed')
def swapped(env):
    foreign = env.lab.large('foreign.template')
    with Tool(env) as made:
        code, _, said = made.ask('make', 'mine', '--after', '0', '--bare',
                                 '--', *TINY)
        check(code == 0, said)
        clone = made.do('run', 'mine', '--detach', '--no-reseed')
        check(len(clone) == 1, f'{clone}')
        made.do('stop', 'mine')
        here = env.host('clones')
        env.host('c').trust(here)
        with Tiny(env.lab, env.name('claims-swap'), env.host('c')) as guest:
            set_parameters(guest, **certificates(here))
            template_of(guest, foreign)
        (made.home / 'mine/image').write_bytes(foreign.read_bytes())
        made.refused('the source platform '
                     f'{fingerprint(env.host("c"))} is not among', 'run', 'mine')
    foreign.unlink()


def tool(env, *words):
    """What sev-clone prints on host B."""
    done = subprocess.run(
        [sys.executable, ROOT / 'tools/sev-clone/sev-clone', words[0], '--qemu',
         env.lab.binary, *map(str, words[1:])], text=True, capture_output=True,
        timeout=60, check=False, env={
            'PATH': '/usr/bin:/bin', 'HOME': str(env.folder),
            'SEV_PSP_DIR': str(env.host('b').folder),
            'SEV_CLONE_HOME': str(env.folder / 'claims-home'),
            'SEV_CLONE_RUN': str(env.folder / 'claims-run')})
    if done.returncode:
        raise Failed(f'sev-clone: {done.stderr}')
    return done.stdout
