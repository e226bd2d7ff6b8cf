# SPDX-License-Identifier: GPL-2.0-or-later
"""Who may receive a guest, and what says no: each reason has its sentence.

The sources here are stopped in their firmware: SEV is launched, and nothing
has to boot.  What refuses comes before SEND_START, so one source serves many
refusals, and migrates in the end.
"""

import base64
import contextlib
import os
import re

from registry import expect_error, test
from sevlib import ROOT
from verdict import TICK_LIMIT, Failed, check, wait_until

OLD = ROOT / 'tests/data/sev/platforms/api-1.40'
CERTS = ('sev-pdh', 'sev-plat-cert', 'sev-amd-cert')
HEX = '[0-9a-f]{64}'
GAVE_UP = 'The source ended the migration before it sealed the guest'


def certificates(host):
    """The three parameters as the host's own QEMU answers."""
    answer = host.platform_certs()
    return {name: answer[name] for name in CERTS}


def changed(text, offset, mask=1):
    """A certificate with one byte changed."""
    data = bytearray(base64.b64decode(text))
    data[offset] ^= mask
    return base64.b64encode(data).decode()


def paused(env, stem='paused', host='a', **options):
    """A launched guest, stopped at once."""
    options.setdefault('mem', 64)
    guest = env.start(stem, host, ram_file=False, **options)
    guest.cmd('stop')
    return guest


def set_parameters(guest, **values):
    guest.cmd('migrate-set-parameters', **values)


def name_target(guest, values):
    set_parameters(guest, **{**dict.fromkeys(CERTS, ''), **values})


def refused_parameter(guest, pattern, **values):
    """migrate-set-parameters must say no, and leave all as it was."""
    before = guest.cmd('query-migrate-parameters')
    try:
        set_parameters(guest, **values)
    except Failed as error:
        expect_error({'status': 'failed', 'error-desc': str(error)}, pattern)
    else:
        raise Failed(f'{values} was accepted')
    check(guest.cmd('query-migrate-parameters') == before,
          'a refused command changed parameters')


def hmp(guest, line):
    return guest.cmd('human-monitor-command', command_line=line)


@test('trust: parameters are validated when set, shown and cleared')
def parameters(env):
    good = certificates(env.host('b'))
    own = env.host('b').platform_certs()['fingerprint']
    with contextlib.closing(paused(env)) as guest:
        for name, pattern, value in (
                ('sev-pdh', 'Base64 data', '!!!'),
                ('sev-pdh', '3 bytes, a PDH certificate has 2084', 'AAAA'),
                ('sev-pdh', 'is no PDH certificate', 'AAAA' * 694 + 'AAA='),
                ('sev-pdh', 'is no PDH certificate',
                 changed(good['sev-pdh'], 20)),
                ('sev-plat-cert', '2084 bytes, PEK, OCA and CEK together have '
                 '6252', good['sev-pdh']),
                ('sev-plat-cert', 'is no CEK certificate',
                 changed(good['sev-plat-cert'], 2 * 2084)),
                ('sev-amd-cert', "the chain's ASK is malformed", good['sev-pdh']),
                ('sev-allowed-platforms', f"'{own[:-1]}' is not a fingerprint",
                 [own, own[:-1]]),
                ('sev-allowed-platforms', 'is not a fingerprint', [''])):
            # A good value beside it must not get through on its own.
            refused_parameter(guest, f"migration parameter '{name}': .*"
                              f'{pattern}', **{'sev_amd_cert':
                                               good['sev-amd-cert'],
                                               'downtime_limit': 123,
                                               name: value})
        set_parameters(guest, sev_allowed_platforms=[own.upper()], **good)
        shown = guest.cmd('query-migrate-parameters')
        check({n: shown[n] for n in CERTS} == good and
              shown['sev-allowed-platforms'] == [own], f'shown: {shown}')
        check(f'sev-pdh: of platform {own}' in
              hmp(guest, 'info migrate_parameters'), 'HMP shows no sev-pdh')
        set_parameters(guest, sev_allowed_platforms=[],
                       **dict.fromkeys(CERTS, ''))
        check(not [n for n in guest.cmd('query-migrate-parameters')
                   if n.startswith('sev')], 'they were not cleared')
        in_hmp(env, guest, good, own)


def in_hmp(env, guest, good, fingerprint):
    """HMP reads a certificate from a file: a line is too short for one."""
    for name, text in good.items():
        path = env.lab.folder / f'{name}.base64'
        path.write_text(text + '\n')
        said = hmp(guest, f'migrate_set_parameter {name} {path}')
        check(not said, f'HMP: {said}')
    hmp(guest, f'migrate_set_parameter sev-allowed-platforms {fingerprint}')
    shown = guest.cmd('query-migrate-parameters')
    check({n: shown[n] for n in CERTS} == good, 'HMP set something else')
    said = hmp(guest, f'migrate_set_parameter sev-pdh {env.lab.folder}/none')
    check("none' is no file" in said, f'HMP: {said}')


@test('trust: each refusal has its sentence, and leaves the source alone')
def refusals(env):
    good, other = certificates(env.host('b')), certificates(env.host('other'))
    env.host('a').trust(env.host('b'))
    stream = env.lab.large('refused.stream')
    with contextlib.closing(paused(env)) as guest:
        for what, pattern, values, allowed in (
                ('root', 'the target platform is not trusted: the '
                 "platform's ARK is not a root that is trusted here", other,
                 []),
                ('missing', "parameter 'sev-plat-cert' is not set",
                 {**good, 'sev-plat-cert': ''}, []),
                ('stale PDH', 'is not trusted: the PDH is not signed by the '
                 'PEK', {**good, 'sev-pdh': other['sev-pdh']}, []),
                ('CEK', 'is not trusted: the CEK is not signed by the ASK',
                 {**good, 'sev-plat-cert':
                  changed(good['sev-plat-cert'], 3 * 2084 - 1030)}, []),
                ('not allowed', f'the target platform {HEX} is not among the '
                 "1 of migration parameter 'sev-allowed-platforms'", good,
                 ['00' * 32])):
            name_target(guest, values)
            set_parameters(guest, sev_allowed_platforms=allowed)
            info = guest.migrate(f'file:{stream}')
            check(info['status'] == 'failed', f'{what}: {info["status"]}')
            expect_error(info, pattern)
            check(guest.cmd('query-sev')['state'] == 'running',
                  f'{what}: the source is {guest.cmd("query-sev")["state"]}')
        over_a_socket(env, guest, good, other)
        warned = len(re.findall('lacks bit 5', guest.log()))
        check(warned == 1, f'the warning about policy bit SEV came {warned}x')


def over_a_socket(env, guest, good, other):
    """The target that answers must be the one named, and an allowed one."""
    fingerprint = env.host('b').platform_certs()['fingerprint']
    with env.target(mem=64, ram_file=False) as target:
        name_target(guest, other)
        set_parameters(guest, sev_allowed_platforms=[])
        info = guest.migrate(f'tcp:127.0.0.1:{target.listen(guest)}')
        expect_error(info, f'the target is platform {fingerprint}, migration '
                     f"parameter 'sev-pdh' names {HEX}")
    with env.target(mem=64, ram_file=False) as target:
        name_target(guest, {})
        set_parameters(guest, sev_allowed_platforms=['11' * 32, '22' * 32])
        info = guest.migrate(f'tcp:127.0.0.1:{target.listen(guest)}')
        expect_error(info, f'{fingerprint} is not among the 2 of')
    with env.target(mem=64, ram_file=False) as target:
        name_target(guest, good)
        set_parameters(guest,
                       sev_allowed_platforms=['11' * 32, fingerprint])
        info = guest.migrate(f'tcp:127.0.0.1:{target.listen(guest)}')
        check(info['status'] == 'completed', f'allowed, and it ended: {info}')
        check(target.cmd('query-sev')['state'] == 'running',
              'the target is not running')


@test('trust: a file is sealed to the platform that parameters name')
def sealed_elsewhere(env):
    image = env.lab.large('elsewhere.image')
    env.host('a').trust(env.host('b'))
    with env.booted(keep=False) as source:
        name_target(source, certificates(env.host('b')))
        source.cmd('stop')
        info = source.migrate(f'file:{image}')
        check(info['status'] == 'completed', f'it ended: {info}')
        prints = [env.host(h).platform_certs()['fingerprint'] for h in 'ba']
        with contextlib.closing(env.start('here', incoming='defer')) as here:
            here.cmd('migrate-incoming', uri=f'file:{image}',
                     exit_on_error=False)
            expect_error(here.wait_migration(),
                         'sealed to the platform {}, this one is {}: .*'
                         'query-sev-platform-certs'.format(*prints))
        with contextlib.closing(env.start('there', 'b',
                                          incoming='defer')) as there:
            there.came_from = source
            there.cmd('migrate-incoming', uri=f'file:{image}',
                      exit_on_error=False)
            there.wait_loaded()
            there.cmd('cont')
            there.wait_ticks(5)


@test('trust: a stream for a PDH that was replaced is refused')
def replaced_pdh(env):
    image = env.lab.large('stale.image')
    host = env.lab.host('renewed').be_silicon(whole=True)
    before = host.platform_certs()['fingerprint']
    env.host('a').trust(host)
    with contextlib.closing(paused(env)) as guest:
        name_target(guest, certificates(host))
        info = guest.migrate(f'file:{image}')
        check(info['status'] == 'completed', f'it ended: {info}')
    host.tool('identity', 'reset')
    target = env.lab.guest('renewed-target', host=host, mem=64,
                           ram_file=False, incoming='defer').start()
    with contextlib.closing(target):
        target.cmd('migrate-incoming', uri=f'file:{image}',
                   exit_on_error=False)
        expect_error(target.wait_migration(),
                     f'is sealed to the platform {before}, this one is {HEX}')


@test('trust: DOMAIN keeps a guest with its owner')
def domain(env):
    with contextlib.closing(paused(env, policy=0x11)) as guest:
        with env.target(mem=64, ram_file=False, policy=0x11) as target:
            info = guest.migrate(f'tcp:127.0.0.1:{target.listen(guest)}')
            expect_error(info, r'in its owner.s domain \(DOMAIN\), the target '
                         r'has another owner')
            wait_until('word at the target that the source gave up', TICK_LIMIT,
                       lambda: GAVE_UP in target.cmd('query-migrate').get(
                           'error-desc', ''))
    hosts = [env.lab.host(f'owned-{n}') for n in (1, 2)]
    give_owner(env, hosts)
    hosts[0].trust(hosts[1])
    ends = [env.lab.guest(f'owned-guest-{n}', host=host, policy=0x31, mem=64,
                          ram_file=False, incoming=incoming)
            for n, host, incoming in ((1, hosts[0], False),
                                      (2, hosts[1], 'defer'))]
    with contextlib.closing(ends[0].start()) as source, \
            contextlib.closing(ends[1].start()) as target:
        # With bit SEV the chip itself asks for a root that it trusts.
        info = source.migrate(f'tcp:127.0.0.1:{target.listen(source)}')
        check(info['status'] == 'completed', f'one owner, and: {info}')
        check('lacks bit 5' not in source.log(), 'a warning about bit 5')


def give_owner(env, hosts):
    """Both platforms get one owner, as an operator would do it.

    PEK and PDH are new then; what AMD says of the chips stays good.
    """
    folder = env.lab.folder / 'owner'
    hosts[0].tool('owner', 'create', '--out', folder)
    for host in hosts:
        own = env.lab.folder / f'owner-{host.name}'
        host.be_silicon(whole=True)
        host.tool('owner', 'csr', '--out', own)
        host.tool('owner', 'sign', '--ca', folder, '--csr',
                own / 'pek.csr', '--out', own)
        host.tool('owner', 'import', '--pek', own / 'pek.cert',
                '--oca', folder / 'oca.cert')


@test('trust: a platform whose API is too old for the policy')
def api(env):
    names = dict(zip(CERTS, ('pdh', 'plat', 'amd')))
    old = {name: base64.b64encode((OLD / f'{part}.cert').read_bytes()).decode()
           for name, part in names.items()}
    host = env.host('a')
    host.capabilities()
    roots = host.folder / 'roots'
    os.makedirs(roots, mode=0o700, exist_ok=True)
    (roots / 'old.cert').write_bytes((OLD / 'ark.cert').read_bytes())
    with contextlib.closing(paused(env, policy=0x29010001)) as guest:   # 1.41
        name_target(guest, old)
        info = guest.migrate(f'file:{env.lab.large("old.stream")}')
        expect_error(info, "policy asks for API 1.41 or newer, the target has "
                     "1.40")
    with contextlib.closing(paused(env, policy=0x28010001)) as guest:   # 1.40
        name_target(guest, old)
        info = guest.migrate(f'file:{env.lab.large("old.stream")}')
        check(info['status'] == 'completed', f'API 1.40 for 1.40: {info}')


@test('trust: a target started for another guest refuses it')
def mismatch(env):
    for sentence, source, target in (
            ('has policy=0x3, this target was started with policy=0x21',
             {'policy': 0x3}, {'policy': 0x21}),
            ('has policy=0x0, this target was started with policy=0x1',
             {'policy': 0x0}, {}),
            ('has cbitpos=51, this target was started with cbitpos=47', {},
             {'session': {'cbitpos': 47}}),
            ('has reduced-phys-bits=1, this target was started with '
             'reduced-phys-bits=5', {},
             {'session': {'reduced-phys-bits': 5}})):
        with contextlib.closing(paused(env, **source)) as guest, \
                env.target(mem=64, ram_file=False, **target) as other:
            info = guest.migrate(f'tcp:127.0.0.1:{other.listen(guest)}')
            expect_error(info, sentence)
            check(guest.cmd('query-sev')['state'] == 'running',
                  'the source did not recover')
    with contextlib.closing(paused(env, policy=0x3)) as guest, \
            env.target(mem=64, ram_file=False) as target:
        info = guest.migrate(f'tcp:127.0.0.1:{target.listen(guest)}')
        check(info['status'] == 'completed', f'a default target: {info}')
        check(target.cmd('query-sev')['policy'] == 0x3,
              'the policy was not adopted')
