# SPDX-License-Identifier: GPL-2.0-or-later
"""SEV-ES guests that move: the registers of each vCPU travel as a packet.

The small guest is ../guest/es.S with es-keep.inc: what is in its registers must
stay there, and it looks all the time. What is Linux' own is in the tests with a
kernel. The refusals of records that do not fit are in
tests/unit/sev/test-vcpus.c.
"""

import contextlib
import re

import compare
import hunt
from registry import expect_error, test
from sevtiny import completes, listening, migrate, waiting
from softhost import two_hosts
from tamper import Proxy
from test_es import ES, NEEDLE, POLICY
from test_hops import OPTIONS as LINUX
from test_hops import hop
from verdict import TICK_LIMIT, Failed, check, wait_until

KEEPS = dict(kind='es-keep', cpu='EPYC-v4', mem='64M', policy=POLICY)
LOOK = re.compile(r'^KEPT ([0-9a-f]{8}) ([0-9a-f]{8})$', re.M)
WOKEN = re.compile(r'^AP ([0-9a-f]{8}) 00000000 00001007$', re.M)
VMSA_HEADER = b'SEVR' + bytes([0, 1, 0, 19])
VMSA_LEN = 16 + 8 + 52 + 4096


def looks(guest):
    """How often it has looked; nothing may ever be wrong."""
    found = [(int(count, 16), int(bad, 16)) for count, bad in
             LOOK.findall(guest.text())]
    check(not any(bad for _, bad in found), f'registers changed: {found[-3:]}')
    return found[-1][0] if found else 0


def wait_looks(guest, more=2):
    def probe():
        check(guest.vm.is_running(), f'QEMU ended: {guest.log()[-300:]}')
        return looks(guest) >= aim
    aim = looks(guest) + more
    wait_until(f'look {aim}', TICK_LIMIT, probe)


@contextlib.contextmanager
def keeping(env, stem, host, **options):
    guest = host.tiny(env, stem, **KEEPS, **options)
    with contextlib.closing(guest.start()):
        wait_looks(guest)
        yield guest


def goes_on(source, target, vcpus=1):
    """With its registers, and the others woken from where they were held."""
    before = looks(source)
    wait_looks(target)
    check(int(LOOK.findall(target.text())[0][0], 16) > before, 'it went back')
    check(vcpus == 1 or WOKEN.search(target.text()),
          'the other vCPU is not woken')


def needles():
    """What only registers hold: the needle, rotated by any number."""
    for by in range(64):
        value = (NEEDLE << by | NEEDLE >> (64 - by)) % 2 ** 64
        yield value.to_bytes(8, 'little')
        yield value.to_bytes(8, 'big')      # as a stream of devices has them


def not_in(path, what):
    """All that is data in the file, at once; its parts begin where pages do."""
    wanted = re.compile(b'|'.join(re.escape(needle) for needle in needles()))
    with open(path, 'rb') as f:
        for start, end in hunt.pages(path):
            f.seek(start)
            found = wanted.search(f.read(end - start))
            check(not found, f'registers are in {what}')


# --- It moves -----------------------------------------------------------------


def small_hops(env, vcpus, sev='', **how):
    hosts = two_hosts(env)
    with contextlib.ExitStack() as stack:
        guest = stack.enter_context(
            keeping(env, 'first', hosts[0], smp=vcpus, sev=sev))
        for number, host in enumerate((hosts[1], hosts[0], hosts[1])):
            target, uri = stack.enter_context(listening(
                env, guest, host, f'hop-{number}', smp=vcpus, sev=sev, **KEEPS,
                **how))
            completes(guest, uri)
            goes_on(guest, target, vcpus)
            check(target.log().count('RECEIVE_UPDATE_VMSA: SUCCESS') == vcpus,
                  'not one packet for each vCPU')
            guest.close()
            guest = target


@test('es: every register is as it was, two hops and back')
def hops_1(env):
    small_hops(env, 1)


@test('es: another vCPU that is held moves, two hops and back, GHCB version 2')
def hops_2(env):
    small_hops(env, 2, ',legacy-vm-type=off')


@test('es: over multifd')
def multifd(env):
    small_hops(env, 2, multifd=2)


@test('es: down a pipe it arrives, and may go on here as well')
def pipe(env):
    one, two = two_hosts(env)
    with keeping(env, 'source', one) as guest, \
            waiting(env, guest, two, **KEEPS) as (target, uri):
        completes(guest, uri)
        goes_on(guest, target)
        guest.cmd('cont')
        wait_looks(guest)


@test('es: Linux with one vCPU, two hops and back')
def linux_1(env):
    linux_hops(env, 1)


@test('es: Linux with four vCPUs, two hops and back')
def linux_4(env):
    linux_hops(env, 4)


def linux_hops(env, vcpus):
    options = LINUX | dict(smp=vcpus, shape=ES, policy=POLICY)
    guest = env.boot('at-a', 'a', **options)
    for here, there in ('ab', 'bc', 'ca'):
        guest = hop(env, guest, here, there, **options)
    guest.close()


# --- Stop, cancel, again -----------------------------------------------------


@test('es: stopped and continued, called off, and away')
def cancelled(env):
    one, two = two_hosts(env)
    with keeping(env, 'source', one) as guest:
        for _ in range(3):
            guest.cmd('stop')
            guest.cmd('cont')
        wait_looks(guest)
        with listening(env, guest, two, 'called-off', **KEEPS) as (_, uri):
            guest.stalls('pages-write')
            guest.cmd('migrate', uri=uri)
            wait_until('the first packets', TICK_LIMIT, lambda:
                       'x-fault: stall at pages-write' in guest.log())
            guest.cmd('migrate_cancel')
            guest.obeys()
            check(guest.wait_migration()['status'] == 'cancelled', 'it goes on')
            wait_looks(guest)
        with listening(env, guest, two, 'fails', **KEEPS) as (_, uri):
            guest.fails('SEND_UPDATE_VMSA')
            expect_error(migrate(guest, uri), 'SEND_UPDATE_VMSA')
            wait_looks(guest)
        with listening(env, guest, two, **KEEPS) as (target, uri):
            completes(guest, uri)
            goes_on(guest, target)


# --- What is in between --------------------------------------------------------


class Between:
    """An edit of all VMSA records: what @change makes of the list of them.

    Bytes are held back from the first one to the end of the last of @count.
    """

    def __init__(self, count, change):
        self.count, self.change, self.held = count, change, None
        self.tail = b''         # held back: a header may come in two parts

    def __call__(self, _offset, data):
        data = bytes(data)
        if self.held is None:
            data, self.tail = self.tail + data, b''
            at = data.find(VMSA_HEADER)
            if at < 0:
                # Not for less than its magic: a source that waits for an answer
                # has no more to say.
                begun = next((n for n in range(len(VMSA_HEADER) - 1, 3, -1)
                              if data.endswith(VMSA_HEADER[:n])), 0)
                self.tail = data[len(data) - begun:]
                return data[:len(data) - begun]
            self.held, before = data[at:], data[:at]
        elif self.held == b'':
            return data
        else:
            self.held, before = self.held + data, b''
        length = self.count * VMSA_LEN
        if len(self.held) < length:
            return before
        records = [self.held[at:at + VMSA_LEN]
                   for at in range(0, length, VMSA_LEN)]
        out = before + b''.join(self.change(records)) + self.held[length:]
        self.held = b''
        return out


def flipped(place):
    def change(records):
        first = bytearray(records[0])
        first[place] ^= 1
        return [bytes(first), *records[1:]]
    return change


def renumbered(record, number):
    return record[:16] + number.to_bytes(8, 'big') + record[24:]


TAMPERED = {
    'a bit of the MAC': (flipped(24 + 40), 'fails its MAC'),
    'a bit of the registers': (flipped(24 + 52 + 0x200), 'fails its MAC'),
    'another number': (lambda r: [renumbered(r[0], 2 ** 63), r[1]],
                       'registers of vCPU number 9223372036854775808, '
                       'expected number 0'),
    'one is missing': (lambda r: r[:1], 'registers of 1 vCPUs came, the guest '
                       'has 2'),
    'one comes twice': (lambda r: [r[0], *r], 'vCPU number 0, expected '
                        'number 1'),
    'one too many': (lambda r: [*r, renumbered(r[1], 2)], 'of all 2 vCPUs '
                     'came, and more'),
    'two exchanged': (lambda r: [renumbered(r[1], 0), renumbered(r[0], 1)],
                      'acknowledges another stream'),
}


@test('es: packets of registers that were tampered with; the guest runs on')
def tampered(env):
    one, two = two_hosts(env)
    with keeping(env, 'source', one, smp=2) as guest:
        for name, (change, words) in TAMPERED.items():
            with listening(env, guest, two, 'tampered', smp=2,
                           **KEEPS) as (target, uri):
                proxy = Proxy(int(uri.rpartition(':')[2]), Between(2, change))
                info = migrate(guest, proxy.uri)
                check(info['status'] == 'failed' and
                      words in info['error-desc'], f'{name}: {info}')
                wait_looks(guest)
                check(not target.vm.is_running() or not
                      target.cmd('query-status')['running'],
                      f'{name}: the target runs it')


@test('es: what is only in registers is in no file that a host can make')
def views(env):
    one, _ = two_hosts(env)
    with keeping(env, 'hunted', one, smp=2) as guest:
        devices = env.lab.large(env.name('devices'))
        try:
            guest.cmd('xen-save-devices-state', filename=str(devices), live=True)
            not_in(devices, 'a stream of devices')
        except Failed as error:
            check('not found' in str(error) or 'has not been' in str(error),
                  f'{error}')
        for name, capability in (('stream', False), ('template', True)):
            path = env.lab.large(env.name(name))
            guest.cmd('stop')
            guest.capabilities(sev_template=capability)
            completes(guest, f'file:{path}')
            check(path.stat().st_size > 65536, f'no guest in the {name}')
            not_in(path, f'a {name}')
            guest.cmd('cont')
            wait_looks(guest)
        guest.cmd('stop')
        dump = env.lab.large(env.name('dump'))
        guest.cmd('dump-guest-memory', paging=False, protocol=f'file:{dump}')
        not_in(dump, 'a dump')
        said = guest.cmd('human-monitor-command',
                         command_line='info registers -a')
        check('encrypted' in said, said)
        guest.cmd('cont')
        wait_looks(guest)


# --- What does not fit -----------------------------------------------------------


@test('es: a target that does not fit refuses at once')
def misfits(env):
    one, two = two_hosts(env)
    plain = dict(KEEPS, policy=1)
    with keeping(env, 'source', one, smp=2) as guest:
        for options, words in (
                (dict(plain, smp=2), r'is an SEV-ES guest \(policy=0x5\), this '
                 'target was started for an SEV guest'),
                (dict(KEEPS, smp=1), 'has 2 vCPUs, this target was started '
                 'with 1'),
                (dict(KEEPS, smp=2, sev=',legacy-vm-type=off'),
                 'was offered version 1 of the GHCB protocol, this target '
                 'offers 2')):
            with listening(env, guest, two, 'misfit', **options) as (_, uri):
                expect_error(migrate(guest, uri), words)
                wait_looks(guest)


@test('es: a vCPU that came after the launch keeps a guest here')
def plugged(env):
    one, _ = two_hosts(env)
    with keeping(env, 'plugged', one,
                 smp='1,maxcpus=2,sockets=1,cores=2') as guest:
        guest.cmd('device_add', driver='EPYC-v4-x86_64-cpu', id='late',
                  **{'socket-id': 0, 'core-id': 1, 'thread-id': 0})
        try:
            info = migrate(guest, 'exec:cat > /dev/null')
        except Failed as error:
            info = {'status': 'failed', 'error-desc': str(error)}
        expect_error(info, 'plugged after the launch of this SEV-ES guest')
        wait_looks(guest)


# --- Templates --------------------------------------------------------------------


def template(env, host, uri, path):
    """A template of a guest with two vCPUs, which runs on."""
    with keeping(env, 'origin', host, smp=2) as guest:
        guest.cmd('stop')
        guest.capabilities(sev_template=True)
        sealed_at = looks(guest)
        completes(guest, uri)
        guest.ordered('SEND_START', 'SEND_UPDATE_DATA', 'SEND_CANCEL')
        found = compare.analyze(path)
        check(found['vcpus'] == [0, 1] and not found['wrong'], f'{found}')
        said = guest.cmd('query-sev-template', path=str(path), verify=True)
        check(said['verified'] == found['packets'] + 2, f'{said}')
        guest.cmd('cont')
        wait_looks(guest)
    return sealed_at


def resumed(clone):
    """Its origin was stopped, and so is a clone that has loaded."""
    clone.wait_loaded()
    if not clone.cmd('query-status')['running']:
        clone.cmd('cont')


def clones(env, host, uri, sealed_at):
    with contextlib.ExitStack() as stack:
        all_of_them = []
        for _ in range(2):
            clone = host.tiny(env, 'clone', smp=2, incoming=uri, **KEEPS)
            stack.enter_context(contextlib.closing(clone.start()))
            resumed(clone)
            all_of_them.append(clone)
        for clone in all_of_them:
            wait_looks(clone)
            check(int(LOOK.findall(clone.text())[0][0], 16) > sealed_at,
                  'it begins anew')
            check(WOKEN.search(clone.text()), 'its other vCPU is not woken')


@test('es: a template in a file, and clones of it')
def template_file(env):
    one, _ = two_hosts(env)
    image = env.lab.large(env.name('template'))
    sealed_at = template(env, one, f'file:{image}', image)
    clones(env, one, f'file:{image}', sealed_at)


@test('es: a template down a pipe, and clones of it')
def template_pipe(env):
    one, _ = two_hosts(env)
    image = env.lab.large(env.name('template'))
    sealed_at = template(env, one, f'exec:cat > {image}', image)
    clones(env, one, f'exec:cat {image}', sealed_at)


def memory(path, share):
    """The words that give a guest of 64 MiB this file as its memory."""
    return ('-object', f'memory-backend-file,id=ram,size=64M,mem-path={path},'
            f'share={share}'), 'q35,memory-backend=ram'


@test('es: a template in place, and clones of it')
def template_in_place(env):
    one, _ = two_hosts(env)
    ram, image = (env.lab.large(env.name(name)) for name in ('ram', 'place'))
    words, machine = memory(ram, 'on')
    origin = one.tiny(env, 'origin', *words, machine=machine, smp=2, **KEEPS)
    with contextlib.closing(origin.start()):
        wait_looks(origin)
        origin.cmd('stop')
        origin.capabilities(x_ignore_shared=True)
        sealed_at = looks(origin)
        completes(origin, f'exec:cat > {image}')
        with contextlib.suppress(Failed):
            origin.cmd('cont')
        check(not origin.cmd('query-status')['running'], 'it runs on')
    not_in(image, 'a template in place')
    not_in(ram, 'its memory')
    words, machine = memory(ram, 'off')
    with contextlib.ExitStack() as stack:
        for _ in range(2):
            clone = one.tiny(env, 'clone', *words, machine=machine, smp=2,
                             incoming='defer', **KEEPS)
            stack.enter_context(contextlib.closing(clone.start()))
            clone.capabilities(x_ignore_shared=True)
            clone.cmd('migrate-incoming', uri=f'exec:cat {image}')
            resumed(clone)
            wait_looks(clone)
            check(int(LOOK.findall(clone.text())[0][0], 16) > sealed_at,
                  'it begins anew')
