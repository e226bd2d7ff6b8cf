# SPDX-License-Identifier: GPL-2.0-or-later
"""Wraps: the image of a template that another platform opens.

The guests are small (tests/guest/tiny-sev.S), so that a template costs a second.
"""

import contextlib
import hashlib
import re
import time

import kvmhost
from registry import SAID, expect_error, test
from sevtiny import running
from softhost import SoftHost, two_hosts
from verdict import Failed, check

CPU = dict(cpu='EPYC-v4')
WRAPPED = ['RECEIVE_START', 'RECEIVE_UPDATE_DATA', 'RECEIVE_FINISH',
           'SEND_START', 'SEND_UPDATE_DATA', 'SEND_FINISH']
DOMAIN, SEV_ONLY, NOSEND = 1 << 4, 1 << 5, 1 << 3


def third_host(env):
    """One that nobody trusts yet."""
    if 'third' not in env.__dict__:
        env.third = SoftHost(env.lab, 'soft-c')
        env.third.capabilities()
    return env.third


def sealed(env, host, stem, method='lane', **options):
    """A template that a guest on @host became."""
    path = env.lab.large(f'{stem}.image')
    with running(env, stem, host, sev=',lane=on', **CPU, **options) as guest:
        guest.cmd('stop')
        guest.cmd('migrate-set-parameters', sev_method=method)
        guest.capabilities(sev_template=True)
        guest.cmd('migrate', uri=f'file:{path}')
        info = guest.wait_migration()
        check(info['status'] == 'completed', f'sealing: {info}')
    return path


@contextlib.contextmanager
def idle(env, host, stem='wrapper', **options):
    """A QEMU whose guest has not begun."""
    qemu = host.tiny(env, stem, '-S', incoming='defer', **CPU, **options)
    with contextlib.closing(qemu.start()):
        yield qemu


def wrap(env, host, image, target, used=None, allowed=(), **options):
    """The wrap of @image that @host makes for @target."""
    path = env.lab.folder / f'{env.name("wrap")}.wrap'
    with idle(env, host, **options) as qemu:
        qemu.name_target(target)
        if used:
            qemu.cmd('sev-template-use-wrap', wrap=str(used))
        if allowed:
            qemu.cmd('migrate-set-parameters',
                     sev_allowed_platforms=list(allowed))
        began = time.monotonic()
        said = qemu.cmd('sev-template-wrap', path=str(image), wrap=str(path))
        SAID.append(f'{said["packets"]} packets in and out in '
                    f'{(time.monotonic() - began) * 1000:.1f} ms')
        check(said['packets'] <= 16, f'{said}')
        check(said['fingerprint'] == target.platform_certs()['fingerprint'],
              f'{said}')
        check(qemu.order() == WRAPPED, f'{qemu.order()}')
        refused(r'has gone into a wrap already', qemu.cmd, 'sev-template-wrap',
                path=str(image), wrap=f'{path}.again')
    return path


def refused(words, call, *args, **options):
    try:
        call(*args, **options)
    except Failed as error:
        SAID.append(str(error))
        check(re.search(words, str(error)), f'"{error}", not "{words}"')
    else:
        raise Failed(f'"{words}" was not said')


def load(env, host, image, used, policy=1, **parameters):
    """A clone on @host that loads."""
    clone = host.tiny(env, 'clone', '-S', incoming='defer', policy=policy,
                      **CPU)
    clone.start()
    try:
        if used:
            clone.cmd('sev-template-use-wrap', wrap=str(used))
        if parameters:
            clone.cmd('migrate-set-parameters', **parameters)
        clone.cmd('migrate-incoming', uri=f'file:{image}', exit_on_error=False)
    except Failed:
        clone.close()
        raise
    return clone


def opens(env, host, image, used=None, **options):
    clone = load(env, host, image, used, **options)
    with contextlib.closing(clone):
        clone.wait_loaded()
        clone.cmd('cont')
        clone.wait_ticks(3)


def opens_not(env, words, host, image, used=None, **parameters):
    try:
        clone = load(env, host, image, used, **parameters)
    except Failed as error:             # the wrap was refused by itself
        SAID.append(str(error))
        check(re.search(words, str(error)), f'"{error}", not "{words}"')
        return
    with contextlib.closing(clone):
        expect_error(clone.wait_migration(), words)
        check(not clone.ticks(), 'it counts')


def changed(env, path, at, mask=1):
    data = bytearray(path.read_bytes())
    data[at] ^= mask
    other = env.lab.large('changed')
    other.write_bytes(data)
    return other


def with_digest(env, path, edit):
    """A wrap that was changed by somebody who makes its digest right again."""
    data = bytearray(path.read_bytes())
    edit(data)
    data[-32:] = hashlib.sha256(data[:-56]).digest()
    other = env.lab.large('forged')
    other.write_bytes(data)
    return other


def at(data, record, byte):
    """Place of @byte in the payload of a record, by its type."""
    return data.index(b'SEVR\0\1\0' + bytes([record])) + 16 + byte


SESSION, LANE, WRAP = 4, 16, 20


@test('wrap: made on A, opened on B; made on B of that, opened on C')
def hops(env):
    a, b = two_hosts(env)
    c = third_host(env)
    b.trust(c)
    image = sealed(env, a, 'hops')
    before = hashlib.sha256(image.read_bytes()).hexdigest()
    opens(env, a, image)
    opens_not(env, r'A template that no wrap opens here: .*sealed to the platform',
              b, image)
    for_b = wrap(env, a, image, b)
    opens(env, b, image, for_b)
    opens_not(env, r'sealed to the platform', c, image, for_b)
    for_c = wrap(env, b, image, c, used=for_b)
    opens(env, c, image, for_c)
    check(hashlib.sha256(image.read_bytes()).hexdigest() == before,
          'the image was changed')
    SAID.append(f'a wrap of {for_b.stat().st_size} bytes, an image of '
                f'{image.stat().st_size}')
    check(for_b.stat().st_size < 64 << 10, 'a wrap is small')
    with idle(env, b) as qemu:
        told = qemu.cmd('query-sev-template', path=str(image), wrap=str(for_b),
                        verify=True)
    own = {host: host.platform_certs()['fingerprint'] for host in (a, b)}
    check(told['whole'] and told['here'] and told['verified'] <= 16 and
          told['wrapped-for'] == own[b] and told['sealed-by'] == own[a] and
          told['sealed-by-proven'] and told['fingerprint'] == own[a],
          f'{told}')


@test('wrap: of another image, or changed anywhere, is refused')
def tampered(env):
    a, b = two_hosts(env)
    one, two = sealed(env, a, 'one'), sealed(env, a, 'two')
    good, other = wrap(env, a, one, b), wrap(env, a, two, b)
    pair = rf"wrap '{other}' is of image [0-9a-f]{{64}}, and this is image [0-9a-f]{{64}}"
    opens_not(env, pair, b, one, other)
    with idle(env, b) as qemu:
        told = qemu.cmd('query-sev-template', path=str(one), wrap=str(other))
        check(re.search(pair, told['wrong']), f'{told}')
    data = good.read_bytes()
    with idle(env, b) as qemu:
        for place in (*range(0, 400, 7), len(data) // 2, len(data) - 5,
                      at(data, LANE, 40), at(data, SESSION, 200)):
            refused(r'Wrap .*SEV', qemu.cmd, 'sev-template-use-wrap',
                    wrap=str(changed(env, good, place)))
        for cut in (0, 10, 100, 3000, len(data) - 1):
            short = env.lab.large('short')
            short.write_bytes(data[:cut])
            refused(r'cut short|is empty', qemu.cmd, 'sev-template-use-wrap',
                    wrap=str(short))
    for record, byte, words in (
            (WRAP, 8, r'is of image'),
            (SESSION, 7, r'policy, API or measurement'),
            (SESSION, 23, r'policy, API or measurement'),
            (SESSION, -20, r'RECEIVE_START'),
            (LANE, 8, r'another program'),
            (LANE, 60, r'out of place|fails its MAC'),
            (LANE, 500, r'fails its MAC')):
        def edit(data, record=record, byte=byte):
            if byte < 0:                # from the record's end
                byte += at(data, LANE, 0) - at(data, SESSION, 0) - 16
            data[at(data, record, byte)] ^= 1
        opens_not(env, words, b, one, with_digest(env, good, edit))
    opens_not(env, r'changed|the lane', b,
              changed(env, one, one.stat().st_size // 2 + 100), good)
    opens_not(env, r'changed|MAC|does not fit|the lane|is of image', b,
              changed(env, one, at(one.read_bytes(), SESSION, 300)), good)
    opens(env, b, one, good)


@test('wrap: policy, roots and lists decide as in a migration')
def permitted(env):
    a, b = two_hosts(env)
    c = third_host(env)
    image = sealed(env, a, 'plain')
    refused(r'root', wrap, env, a, image, c)
    own = {host: host.platform_certs()['fingerprint'] for host in (a, b, c)}
    refused(rf'target platform {own[b]} is not among the 1 of migration '
            r"parameter 'sev-allowed-platforms'", wrap, env, a, image, b,
            allowed=[own[c]])
    listed = wrap(env, a, image, b, allowed=[own[c], own[b]])
    opens_not(env, rf'source platform {own[a]} is not among', b, image, listed,
              sev_allowed_sources=[own[c]])
    refused(r'sealed to the platform', wrap, env, b, image, a)
    with idle(env, a) as qemu:
        refused(r'not said whom the wrap is for', qemu.cmd, 'sev-template-wrap',
                path=str(image), wrap=f'{image}.wrap')
    packets = sealed(env, a, 'packets', method='packets')
    refused(r'is of packets, which nothing but their own platform opens', wrap,
            env, a, packets, b)
    opens_not(env, r'is for a template that a lane sealed', b, packets, listed)


@test('wrap: DOMAIN, SEV and NOSEND, and a policy that was changed')
def policies(env):
    a, b = two_hosts(env)
    image = sealed(env, a, 'domain', policy=1 | DOMAIN)
    opens(env, a, image, policy=1 | DOMAIN)
    refused(r'owner|DOMAIN', wrap, env, a, image, b, policy=1 | DOMAIN)
    data = bytearray(image.read_bytes())
    place = at(data, SESSION, 7)
    # Whoever takes the bit out of the file has not taken it out of the session.
    less = changed(env, image, place, DOMAIN)
    refused(r'RECEIVE_START', wrap, env, a, less, b)
    never = changed(env, image, place, NOSEND)
    refused(r'has NOSEND: its owner forbids', wrap, env, a, never, b,
            policy=1 | DOMAIN)
    image = sealed(env, a, 'sev', policy=1 | SEV_ONLY)
    used = wrap(env, a, image, b, policy=1 | SEV_ONLY)
    opens(env, b, image, used, policy=1 | SEV_ONLY)


class BehindKernel(kvmhost.KvmHost):
    """The same platform, as a kernel shows it."""

    def __init__(self, env, host):
        super().__init__(env.lab, host.name)
        self.folder = host.folder


@test('wrap: made over the backend of a kernel')
def by_kernel(env):
    kvmhost.needs_standin(env)
    a, b = two_hosts(env)
    image = sealed(env, a, 'kernel')
    path = env.lab.folder / 'kernel.wrap'
    with idle(env, BehindKernel(env, a), 'by-kernel') as qemu:
        qemu.name_target(b)
        said = qemu.cmd('sev-template-wrap', path=str(image), wrap=str(path))
        check(said['packets'] <= 16, f'{said}')
        check(qemu.sequence(set(WRAPPED)) == WRAPPED, f'{qemu.ioctls()}')
        check(not qemu.violations(), f'{qemu.violations()}')
    opens(env, b, image, path)
