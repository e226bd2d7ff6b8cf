# SPDX-License-Identifier: GPL-2.0-or-later
"""The lane under KVM: Linux lends the vCPU, its CPU seals and opens the pages.

KVM runs the program's real instructions here. Where it emulates ring 0 without
SSE they run in ring 3, so that is how all of these guests have it. What is played
(../kvm) is the secure processor and the C-bit.
"""

import contextlib

from kvmhost import two_hosts
from registry import expect_error, test
from sevtiny import arrived, completes, listening, migrate, running
from verdict import Skip, check

CPU = 'EPYC-v4'
LANE = dict(cpu=CPU, sev=',lane=x-ring3:on')     # a target says it as well
PACKETS = 16                    # of the program, its tables and its key, at most
NEEDED = {'aes', 'pclmulqdq', 'rdrand', 'sse4_1', 'ssse3'}


def needs_aes():
    with open('/proc/cpuinfo', encoding='ascii') as info:
        flags = next(set(line.split()) for line in info
                     if line.startswith('flags'))
    if NEEDED - flags:
        raise Skip(f'this CPU lacks {NEEDED - flags}')


@contextlib.contextmanager
def with_lane(env, stem, host, **options):
    needs_aes()
    with running(env, stem, host, **LANE | options) as guest:
        guest.cmd('migrate-set-parameters', sev_method='lane')
        yield guest


def few_packets(guest, command):
    count = guest.commands()[command]
    check(0 < count <= PACKETS, f'{count} times {command}')


def by_lane(guest):
    check(guest.migration()['sev']['method'] == 'lane',
          f'{guest.migration()["sev"]}')


def moved(source, target, uri):
    completes(source, uri)
    by_lane(source)
    few_packets(source, 'SEND_UPDATE_DATA')
    few_packets(target, 'RECEIVE_UPDATE_DATA')
    arrived(source, target)


@test('kvm lane: a guest that runs moves by it, and moves on')
def live(env):
    one, two = two_hosts(env)
    with with_lane(env, 'source', one) as guest, \
            listening(env, guest, two, 'middle', **LANE) as (middle, uri):
        moved(guest, middle, uri)
        with listening(env, middle, one, 'last', **LANE) as (last, uri):
            middle.cmd('migrate-set-parameters', sev_method='lane')
            moved(middle, last, uri)


@test('kvm lane: with two vCPUs, which are lent side by side')
def two_vcpus(env):
    one, two = two_hosts(env)
    smp = dict(smp=2, mem='8M', cpu=f'{CPU},+x2apic')
    with with_lane(env, 'source', one, **smp) as guest, \
            listening(env, guest, two, **LANE | smp) as (target, uri):
        moved(guest, target, uri)
        before = target.other_ticks()
        target.soundly(3)
        target.other_passes(before[-1:])


@test('kvm lane: a template, two clones of it, and its origin runs on')
def template(env):
    one, _ = two_hosts(env)
    image = env.lab.large('kvm-lane.image')
    with with_lane(env, 'origin', one) as guest:
        guest.name_target(one)
        guest.cmd('stop')
        guest.capabilities(sev_template=True)
        completes(guest, f'file:{image}')
        by_lane(guest)
        few_packets(guest, 'SEND_UPDATE_DATA')
        guest.cmd('cont')
        guest.soundly()
    for number in range(2):
        clone = one.tiny(env, f'clone{number}', incoming='defer', **LANE)
        with contextlib.closing(clone.start()):
            clone.cmd('migrate-incoming', uri=f'file:{image}')
            clone.wait_loaded()
            few_packets(clone, 'RECEIVE_UPDATE_DATA')
            if not clone.cmd('query-status')['running']:
                clone.cmd('cont')
            clone.soundly()


# Programs of an owner who made a mistake: for ever; a read where nothing is.
HANGS = b'\xeb\xfe'
STRAYS = b'\x8b\x04\x25\x00\x00\x60\x00' + HANGS      # mov 0x600000,%eax


@test('kvm lane: a program that hangs or strays ends alone, the guest runs on')
def wrong_program(env):
    one, two = two_hosts(env)
    for name, code, words in (
            ('hangs', HANGS, r'did not end in 10 s'),
            ('strays', STRAYS, r'touched memory that is not there')):
        path = env.lab.folder / f'{name}.bin'
        path.write_bytes(code)
        sev = f',lane=x-ring3:{path}'
        with with_lane(env, name, one, sev=sev) as guest, \
                listening(env, guest, two, f'{name}-target', **LANE) as (_, uri):
            expect_error(migrate(guest, uri), words)
            guest.soundly()
            check(guest.cmd('query-status')['running'], 'it stands still')


@test('kvm lane: a program that was changed faults, and the guest runs on')
def spoiled(env):
    one, two = two_hosts(env)
    with with_lane(env, 'source', one) as guest:
        for page in (1, 3):
            guest.cmd('qom-set', path='/objects/sev0', property='x-fault',
                      value=f'lane-program:1:fail={page}')
            with listening(env, guest, two, **LANE) as (target, uri):
                expect_error(migrate(guest, uri), r"SEV: the lane's program ")
                guest.soundly()
                check(not target.ticks(), 'it runs there as well')
