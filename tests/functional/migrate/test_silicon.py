# SPDX-License-Identifier: GPL-2.0-or-later
"""Chips that export what silicon does: an unsigned CEK, and no ASK and ARK.

What is missing comes from a file that the operator makes from AMD's, or from
the source's migration parameters.  As in test_trust, guests are stopped in
their firmware, and one source serves many refusals.
"""

import base64
import contextlib

from registry import expect_error, test
from test_trust import CERTS, HEX, certificates, name_target, paused
from verdict import Failed, check

CERT = 2084
CEK = slice(2 * CERT, 3 * CERT)     # in PEK, OCA, CEK
NO_AMD = 'the chain has no ASK and no ARK'
UNSIGNED = 'the CEK is not signed by an ASK, it is as a chip exports it'
FOREIGN = 'this CEK is of another chip: its key is [0-9a-f]{16}'
STRANGE = "the platform's ARK is not a root that is trusted here"
CURE = "'sev-psp chain import'"


def silicon(env, name, whole=False):
    """The host of that name; its chip is made once."""
    host = env.host(name)
    if host.chip != ('whole' if whole else 'bare'):
        host.be_silicon(whole)
    return host


def bytes_of(certs):
    return [base64.b64decode(certs[name]) for name in CERTS]


def written(env, name, *parts):
    path = env.lab.folder / f'{name}.chain'
    path.write_bytes(b''.join(parts))
    return path


def refused_query(guest, pattern):
    """query-sev-platform-certs must fail, and say why."""
    try:
        guest.cmd('query-sev-platform-certs')
    except Failed as error:
        expect_error({'status': 'failed', 'error-desc': str(error)}, pattern)
    else:
        raise Failed(f'no refusal that says {pattern}')


def set_chain(guest, path):
    guest.cmd('qom-set', path='/objects/sev0', property='platform-chain',
              value=str(path))


@test('silicon: what a chip exports is completed from a file of this chip')
def completed(env):
    host, other = silicon(env, 'bare'), silicon(env, 'silicon-b', True)
    said = host.platform_certs()
    pdh, plat, amd = bytes_of(said)
    check(not amd and said['missing'] == NO_AMD, f'it says {said}')
    check(plat[CEK][0x414:0x418] == bytes([0, 0x10, 0, 0]), 'a signed CEK')
    check(host.capabilities()['cert-chain'] == said['sev-plat-cert'],
          'query-sev-capabilities says something else')
    cek, ask_ark = (path.read_bytes() for path in host.published())
    pek_oca, foreign = plat[:2 * CERT], other.platform_certs()
    stranger = b''.join(bytes_of(foreign))
    signed = pdh + pek_oca + cek
    with contextlib.closing(paused(env, host='bare')) as guest:
        for name, pattern, parts in (
                ('none', 'cannot open .*none.chain.: No such file', None),
                ('foreign', f"foreign.chain': {FOREIGN}", [stranger]),
                ('unsigned', f"unsigned.chain': {UNSIGNED}",
                 [pdh, plat, ask_ark]),
                ('no-amd', f"no-amd.chain': {NO_AMD}", [signed]),
                ('no-ark', "no-ark.chain': the chain has no ARK",
                 [signed, ask_ark[:832]]),
                ('no-ask', "no-ask.chain': the chain has no ASK",
                 [signed, ask_ark[832:]]),
                ('other-ask', 'the CEK is not signed by the ASK',
                 [signed, bytes_of(foreign)[2]]),
                ('other-ark', 'the ASK is not signed by the ARK',
                 [signed, ask_ark[:832], bytes_of(foreign)[2][832:]]),
                ('long', 'bytes; PDH, PEK, OCA, CEK, ASK and ARK together',
                 [signed, bytes(9999)]),
                ('cut', "the chain's ARK is malformed or cut short",
                 [signed, ask_ark[:-1]])):
            path = env.lab.folder / f'{name}.chain'
            if parts:
                written(env, name, *parts)
            set_chain(guest, path)
            refused_query(guest, f'the chain of this platform: .*{pattern}.*'
                          f'; {CURE} makes another')
        set_chain(guest, written(env, 'stale', bytes_of(foreign)[0],
                                 bytes_of(foreign)[1][:2 * CERT], cek,
                                 ask_ark))
        said = guest.cmd('query-sev-platform-certs')
        check(bytes_of(said) == [pdh, pek_oca + cek, ask_ark] and
              'missing' not in said, 'PDH, PEK and OCA are the chip\'s own')
        set_chain(guest, '')
        check(guest.cmd('query-sev-platform-certs')['missing'] == NO_AMD,
              'the default file is not there')
    host.make_whole()
    check(bytes_of(host.platform_certs()) == [pdh, pek_oca + cek, ask_ark],
          'sev-psp makes another chain')
    before = host.platform_certs()['fingerprint']
    host.tool('identity', 'reset')
    said = host.platform_certs()
    check(said['fingerprint'] != before and 'missing' not in said,
          f'with a new PDH the same file: {said.get("missing")}')


@test('silicon: over a socket, trusted roots and the target\'s chain are enough')
def socket(env):
    source, target = silicon(env, 'silicon-a'), silicon(env, 'silicon-b', True)
    alone = silicon(env, 'alone')
    with contextlib.closing(paused(env, host='silicon-a')) as guest:
        for pattern, host, trusted, session in (
                (f'cannot be checked: {NO_AMD}; {CURE} on the target', 'alone',
                 False, {}),
                (f'the chain of this platform: .*{FOREIGN}', 'alone', False,
                 {'platform-chain': target.folder / 'chain.cert'}),
                (f"not trusted: {STRANGE}; .* '{source.folder}/roots' .*"
                 "'sev-psp root trust'", 'silicon-b', False, {})):
            info = offered(env, guest, host, trusted, session)
            expect_error(info, pattern)
            check(guest.cmd('query-sev')['state'] == 'running',
                  f'{pattern}: the source did not recover')
        by_parameters(env, guest, alone)
    with contextlib.closing(paused(env, host='silicon-a')) as guest:
        info = offered(env, guest, 'silicon-b')
        check(info['status'] == 'completed', f'trusted and whole, and: {info}')


def offered(env, guest, host, trusted=True, session=None):
    """Migrate to a new QEMU on @host; how it ended."""
    with env.target(host, trusted, 'silicon-a', mem=64, ram_file=False,
                    session=session) as target:
        info = guest.migrate(f'tcp:127.0.0.1:{target.listen(guest)}')
        if info['status'] == 'completed':
            check(target.cmd('query-sev')['state'] == 'running',
                  'the target does not run')
        return info


def by_parameters(env, guest, host):
    """The target has no chain: the source's operator knows the rest."""
    bare = certificates(host)
    pdh, plat, _ = bytes_of(bare)
    cek, ask_ark = (path.read_bytes() for path in host.published())
    foreign = certificates(env.host('silicon-b'))
    good = dict(zip(CERTS, (base64.b64encode(part).decode() for part in
                            (pdh, plat[:2 * CERT] + cek, ask_ark))))
    for pattern, values in (
            (f"parameter 'sev-plat-cert': {FOREIGN}",
             {**good, 'sev-plat-cert': foreign['sev-plat-cert']}),
            (f'cannot be checked: {UNSIGNED}',
             {**good, 'sev-plat-cert': bare['sev-plat-cert']}),
            (f'not trusted: {STRANGE}',
             {**good, 'sev-amd-cert': foreign['sev-amd-cert']}),
            (f"parameter 'sev-amd-cert' is not set: .*{CURE}",
             {**good, 'sev-amd-cert': ''}),
            (f"is platform {HEX}, migration parameter 'sev-pdh' names",
             foreign),
            # A root that came with the answer or a parameter is not trusted.
            (f'not trusted: {STRANGE}', good)):
        name_target(guest, values)
        expect_error(offered(env, guest, 'alone', False), pattern)
    info = offered(env, guest, 'alone')
    check(info['status'] == 'completed', f'named and trusted, and: {info}')


@test('silicon: a file and a template for one\'s own platform need its chain')
def own(env):
    host = silicon(env, 'saver')
    image = env.lab.large('own.image')
    missing = (f'cannot be sealed to this platform .*: {NO_AMD}; {CURE} makes '
               f"the whole chain, '{host.folder}/chain.cert'")
    with contextlib.closing(paused(env, host='saver')) as guest:
        expect_error(guest.migrate(f'file:{image}'), missing)
        expect_error(guest.migrate(f'file:{image}', sev_template=True), missing)
        check(guest.cmd('query-sev')['state'] == 'running',
              'the source did not recover')
        host.make_whole()
        saved = env.lab.large('own.stream')
        for path, template in ((image, True), (saved, False)):
            info = guest.migrate(f'file:{path}', sev_template=template)
            check(info['status'] == 'completed', f'{path} ended: {info}')
            guest.cmd('cont')
            guest.cmd('stop')
    for path in (image, saved):
        with contextlib.closing(env.start('back', 'saver', mem=64,
                                          ram_file=False,
                                          incoming='defer')) as back:
            back.cmd('migrate-incoming', uri=f'file:{path}',
                     exit_on_error=False)
            back.wait_loaded()
