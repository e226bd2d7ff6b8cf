# SPDX-License-Identifier: GPL-2.0-or-later
"""A template that a clone cannot be made from: each reason has its sentence.

The guest is the golden one (golden.py), which needs no boot.
"""

import contextlib
import os
import re
import struct

from again import begin_migration
from golden import Tiny, identity, unpacked
from image import Image
from registry import expect_error, test
from test_golden import IMAGE_ALIGN, NEWEST, patched, section
from test_tool import sev_psp
from verdict import Failed, check

# What the clone has, and what query-migrate says.
OTHERS = (
    ({'machine': 'pc-q35-9.2'},
     r'field machine is pc-q35-10\.0, this guest has pc-q35-9\.2$'),
    ({'cpu': 'EPYC-Rome'},
     r'field cpu is EPYC-v4-x86_64-cpu, this guest has EPYC-Rome-x86_64-cpu$'),
    ({'extra': ('-smp', '2')}, r'field vcpus is 1, this guest has 2$'),
    ({'mem': 32}, r'field ram-bytes is \d+, this guest has \d+$'),
    # As many blocks of as many bytes, under another name.
    ({'machine': 'pc-q35-10.0,memory-backend=mine',
      'extra': ('-object', 'memory-backend-ram,id=mine,size=16M')},
     r'field ram-layout is \w{64}, this guest has \w{64}$'),
    ({'policy': 0x3}, r'field policy is 1, this guest has 3$'),
)
RAM_MEM_SIZE, RAM_EOS = 0x04, 0x10      # upstream's flags of section "ram"
PART, FOOTER = 2, 0x7e                  # ... and section types
RESIZED = b'/rom@etc/acpi/tables'


@contextlib.contextmanager
def template(env):
    path = unpacked(env.lab, NEWEST, 'template')
    try:
        yield path
    finally:
        path.unlink()


def said(env, name, path, host=None, **options):
    """What query-migrate says of a clone."""
    with Tiny(env.lab, f'misfit-{name}', host or identity(env.lab, NEWEST),
              True, **options) as clone:
        return clone.load(path)


@test('misfit: machine, CPU, RAM, policy: the field is named')
def fields(env):
    with template(env) as path:
        for number, (options, sentence) in enumerate(OTHERS):
            expect_error(said(env, f'field-{number}', path, **options), sentence)
        check(said(env, 'none', path)['status'] == 'completed', 'a clone that '
              'fits is refused')


@test('misfit: another host, and this host with a new PDH')
def platforms(env):
    with template(env) as path:
        expect_error(said(env, 'host', path, env.host('b')),
                     r'sealed to the platform \w{64}, this one is \w{64}')
        host = identity(env.lab, NEWEST)
        sev_psp(env, 'identity', 'reset', host=host)
        expect_error(said(env, 'pdh', path, host),
                     r'sealed to the PDH \w{64} of this platform, which was '
                     r'replaced since \(it is \w{64} now\)')


def without_digest(data):
    """The template as if its writer had not known of the digest."""
    begin, body = section(data, 'sev-template-end')
    return data[:begin] + data[body + 32 + 5:]


def resized(path, data):
    """A round of "ram" behind the image that makes a block longer."""
    begin, _ = section(data, 'ram')
    number = data[begin + 1:begin + 5]
    at = Image(path).records('BREAK')[1][0] // IMAGE_ALIGN * IMAGE_ALIGN + 5
    length = 0x40000
    ram = (bytes([PART]) + number + struct.pack('>Q', length | RAM_MEM_SIZE)
           + bytes([len(RESIZED)]) + RESIZED + struct.pack('>Q', length)
           + struct.pack('>Q', RAM_EOS) + bytes([FOOTER]) + number)
    return data[:at] + ram + data[at:]


def edits(path, data):
    """(what a reader must say, the template)."""
    manifest = data.index(b'SEVR')
    method = data.index(b'pc-q35-10.0', manifest) + len('pc-q35-10.0')
    device = section(data, 'sev-template-end')[0] - 200
    two = struct.pack('>H', 2)
    yield r'version 2', patched(data, manifest + 4, two)
    yield r'field layout is 9', patched(data, manifest + 16,
                                        struct.pack('>Q', 9))
    yield r'field method is 9', patched(data, method, struct.pack('>Q', 9))
    yield (r'field method of RAM block pc.ram is 1, its stream has 2',
           patched(data, method, struct.pack('>Q', 2)))
    yield r'its digest is not at its end', without_digest(data)
    yield (r"RAM block /rom@etc/acpi/tables had 0x20000 bytes at its image, it "
           r"has 0x40000", resized(path, data))
    yield (r'do not have the digest at its end',
           patched(data, device, bytes([data[device] ^ 1])))
    yield r'', data[:len(data) // 2]
    yield r'', data[:manifest + 40]
    yield r'', b'no template at all'


@test('misfit: versions, edits, cuts: none is loaded')
def edited(env):
    with template(env) as path:
        data = path.read_bytes()
        for number, (sentence, spoiled) in enumerate(list(edits(path, data))):
            path.write_bytes(spoiled)
            expect_error(said(env, f'edit-{number}', path), sentence)


@test('misfit: query-sev-template tells the same without a guest')
def queried(env):
    with template(env) as path:
        host = identity(env.lab, NEWEST)
        with Tiny(env.lab, 'query', host, True) as asked:
            info = asked.cmd('query-sev-template', path=str(path), verify=True)
            check(info['whole'] and info['here'] and
                  info['verified'] == info['private-pages'], f'{info}')
        sev_psp(env, 'identity', 'reset', host=host)
        with Tiny(env.lab, 'query-pdh', host, True) as asked:
            info = asked.cmd('query-sev-template', path=str(path))
            check(not info['here'] and 'was replaced' in info['why-not-here'],
                  f'{info}')
            data = path.read_bytes()
            path.write_bytes(without_digest(data))
            info = asked.cmd('query-sev-template', path=str(path))
            check(not info['whole'] and 'no digest' in info['wrong'], f'{info}')


@test('template: its guest does not run while it is made')
def stays_stopped(env):
    with template(env) as path, Tiny(env.lab, 'stays', identity(
            env.lab, NEWEST), True) as guest:
        guest.load(path)
        guest.cmd('migrate-set-capabilities', capabilities=[
            {'capability': 'sev-template', 'state': True}])
        guest.cmd('qom-set', path='/objects/sev0', property='x-fault',
                  value='send-update-data:1:stall')
        made = env.lab.large('stays.image')
        guest.cmd('migrate', uri=f'file:{made}')
        try:
            guest.cmd('cont')
        except Failed as refused:
            check('a template is being made' in str(refused), str(refused))
        else:
            raise Failed('a guest runs while it is sealed')
        guest.cmd('qom-set', path='/objects/sev0', property='x-fault', value='')
        info = guest.wait_migration()
        check(info['status'] == 'completed', f'{info}')
        guest.cmd('cont')
        guest.wait_sound()


@test('template: a file that was not empty')
def reused(env):
    made = env.lab.large('reused.image')
    made.write_bytes(b'old bytes' * (4 << 20))
    with template(env) as path, Tiny(env.lab, 'reused', identity(
            env.lab, NEWEST), True) as guest:
        guest.load(path)
        guest.cmd('migrate-set-capabilities', capabilities=[
            {'capability': 'sev-template', 'state': True}])
        fd = os.open(made, os.O_RDWR)           # no O_TRUNC, as fd: may be
        try:
            guest.vm.send_fd_scm(fd)
            guest.cmd('getfd', fdname='file')
            guest.cmd('migrate', uri='fd:file')
            info = guest.wait_migration()
        finally:
            os.close(fd)
        check(info['status'] == 'completed', f'{info}')
        left = made.read_bytes()
        check(b'old bytes' not in left, 'old bytes are left at '
              f'{left.find(b"old bytes")} of {len(left)}')
        found = said(env, 'reused', made)
        check(found['status'] == 'completed', f'{found}')


@test('template: what follows its place in a file is not cut off')
def follows(env):
    made = env.lab.large('follows.image')
    old = b'somebody else\'s' * 5000
    said_so = r'begins at offset 4096 would cut off 70904 bytes that lie behind'
    made.write_bytes(old)
    with template(env) as path, Tiny(env.lab, 'follows', identity(
            env.lab, NEWEST), True) as guest:
        guest.load(path)
        guest.cmd('migrate-set-capabilities', capabilities=[
            {'capability': 'sev-template', 'state': True}])
        try:
            guest.cmd('migrate', uri=f'file:{made},offset=4096')
        except Failed as error:
            expect_error({'status': 'failed', 'error-desc': str(error)}, said_so)
        else:
            expect_error(guest.wait_migration(), said_so)
        check(made.read_bytes() == old, 'file: cut it off')
        with open(made, 'r+b', 0) as f:
            f.seek(4096)
            guest.vm.send_fd_scm(f.fileno())
            guest.cmd('getfd', fdname='file')
            begin_migration(guest, 'fd:file')
            expect_error(guest.wait_migration(), said_so)
        check(made.read_bytes() == old, 'fd: cut it off')
        begin_migration(guest, f'file:{made},offset={len(old)}')
        info = guest.wait_migration()
        check(info['status'] == 'completed', f'{info}')
        guest.cmd('cont')
        guest.wait_sound()
    check(made.read_bytes()[:len(old)] == old, 'it was written over')
    with Tiny(env.lab, 'follows-clone', identity(env.lab, NEWEST),
              True) as clone:
        clone.cmd('migrate-incoming', exit_on_error=False,
                  uri=f'file:{made},offset={len(old)}')
        info = clone.wait_migration()
        check(info['status'] == 'completed', f'{info}')
        clone.cmd('cont')
        clone.wait_sound()


@test('template: sev-template-open from the monitor for people')
def hmp(env):
    def monitor(guest, line):
        return guest.cmd('human-monitor-command', command_line=line)
    with Tiny(env.lab, 'hmp', identity(env.lab, NEWEST), True) as guest:
        said_now = monitor(guest, 'migrate_set_parameter sev-template-open eager')
        check(not said_now, f'it says {said_now}')
        info = monitor(guest, 'info migrate_parameters')
        check(re.search(r'sev-template-open: eager', info), info)
        said_now = monitor(guest, 'migrate_set_parameter sev-template-open never')
        check('never' in said_now, f'it says {said_now}')
        info = guest.cmd('query-migrate-parameters')
        if info['sev-template-open'] != 'eager':
            raise Failed(f'it is {info["sev-template-open"]}')
