#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Does the stand-in of ../kvm refuse what Linux refuses, with its errno?

usage: standinprobe.py CONTROL VIOLATIONS PDH PLAT AMD
       standinprobe.py CONTROL             where "platform-down" is set

with the stand-in preloaded, and the files that it reads and writes.

Gives the ioctls themselves, without QEMU. Prints a line for each answer that
is not Linux' (arch/x86/kvm/svm/sev.c and drivers/crypto/ccp/sev-dev.c of 6.12),
and at last how many it looked at.
"""

import contextlib
import ctypes
import fcntl
import mmap
import os
import resource
import struct
import sys
from errno import (EBADF, EBUSY, EFAULT, EINVAL, EIO, ENOMEM, ENOTTY, EPERM,
                   ETIMEDOUT)
from pathlib import Path

ISSUE = 0xc0105300
CREATE_VM, CHECK_EXTENSION, CREATE_VCPU = 0xae01, 0xae03, 0xae41
ENABLE_CAP, RUN, OP = 0x4068aea3, 0xae80, 0xc008aeba
REGISTER, UNREGISTER, SET_REGION = 0x8010aebb, 0x8010aebc, 0x4020ae46
CAP_MSR, CAP_HYPERCALL, CAP_VM_TYPES = 188, 201, 235
(INIT, ES_INIT, LAUNCH_START, LAUNCH_UPDATE, LAUNCH_VMSA, _SECRET, MEASURE,
 LAUNCH_FINISH, SEND_START, SEND_UPDATE, SEND_VMSA, SEND_FINISH, RECEIVE_START,
 RECEIVE_UPDATE, _RECEIVE_VMSA, RECEIVE_FINISH, STATUS, DBG_DECRYPT,
 DBG_ENCRYPT) = range(19)
ATTESTATION, SEND_CANCEL, INIT2 = 20, 21, 22
FACTORY_RESET, PLATFORM_STATUS, PEK_CSR, PDH_GEN, PDH_EXPORT, GET_ID2 = (
    0, 1, 3, 4, 5, 8)
UNTOUCHED = 0x5a5a5a5a
PAGE, LIMIT = 4096, 16384

looked_at = 0


def expect(what, got, wanted):
    global looked_at
    looked_at += 1
    if got != wanted:
        print(f'{what}: {got}, Linux answers {wanted}')


class Memory:
    """Whole pages of this process."""

    def __init__(self, pages, content=b''):
        self.map = mmap.mmap(-1, pages * PAGE)
        self.map[:len(content)] = content
        self.addr = ctypes.addressof(ctypes.c_char.from_buffer(self.map))


NOWHERE = 0xdead0000000


def ioctl(fd, request, argument=0):
    """(errno, the value or the buffer after it)"""
    try:
        if isinstance(argument, bytearray):
            fcntl.ioctl(fd, request, argument)
            return 0, argument
        return 0, fcntl.ioctl(fd, request, argument)
    except OSError as error:
        return error.errno, argument


def issue(fd, cmd, data=0):
    """(errno, firmware's status) of a command of /dev/sev"""
    arg = bytearray(struct.pack('<IQI', cmd, data, UNTOUCHED))
    error, arg = ioctl(fd, ISSUE, arg)
    return error, struct.unpack('<IQI', arg)[2]


class Vm:
    def __init__(self, kvm, sev, kind=0):
        self.sev = sev
        self.fd = fcntl.ioctl(kvm, CREATE_VM, kind)

    def op(self, cmd, layout='', *fields, sev=None):
        """(errno, firmware's status, fields after it) of one command"""
        data = Memory(1, struct.pack(f'<{layout}', *fields)) if layout else None
        arg = bytearray(struct.pack('<IIQII', cmd, 0, data.addr if data else 0,
                                    UNTOUCHED, self.sev if sev is None else sev))
        error, arg = ioctl(self.fd, OP, arg)
        after = struct.unpack_from(f'<{layout}', data.map) if data else ()
        return error, struct.unpack('<IIQII', arg)[3], after

    def expect(self, what, wanted, cmd, layout='', *fields, **options):
        """@wanted: an errno that leaves the status alone, or (errno, status)"""
        if isinstance(wanted, int):
            wanted = (wanted, UNTOUCHED if wanted else 0)
        error, status, after = self.op(cmd, layout, *fields, **options)
        expect(what, (error, status), wanted)
        return after

    def region(self, request, addr, size):
        return ioctl(self.fd, request,
                     bytearray(struct.pack('<QQ', addr, size)))[0]

    def cap(self, cap, mask, flags=0):
        return ioctl(self.fd, ENABLE_CAP, bytearray(
            struct.pack('<II4Q64x', cap, flags, mask, 0, 0, 0)))[0]


START = 'IIQIxxxxQIxxxx'        # LAUNCH_START, RECEIVE_START
SEND = 'IxxxxQIxxxxQIxxxxQIxxxxQIxxxx'
DATA = 'QIxxxxQIxxxxQIxxxx'
AREA = 'QIxxxx'
DEBUG = 'QQIxxxx'


def device(kvm):
    writable = os.open('/dev/sev', os.O_RDWR)
    reader = os.open('/dev/sev', os.O_RDONLY)
    room = Memory(8)
    expect('another ioctl', ioctl(reader, OP, bytearray(16))[0], EINVAL)
    expect('command 99', issue(reader, 99), (EINVAL, UNTOUCHED))
    expect('status nowhere', issue(reader, PLATFORM_STATUS, NOWHERE)[0], EFAULT)
    expect('status', issue(reader, PLATFORM_STATUS, room.addr), (0, 0))
    expect('reset, read-only', issue(reader, FACTORY_RESET),
           (EPERM, UNTOUCHED))
    struct.pack_into('<QIQI', room.map, 0, 0, 0, 0, 0)
    expect('lengths of certificates', issue(reader, PDH_EXPORT, room.addr),
           (EIO, 4))
    expect('these', struct.unpack_from('<QIQI', room.map)[1::2], (2084, 6252))
    struct.pack_into('<QIQI', room.map, 0, room.addr + PAGE, 2083,
                     room.addr + 2 * PAGE, 6252)
    expect('too short', issue(reader, PDH_EXPORT, room.addr), (EIO, 4))
    struct.pack_into('<QIQI', room.map, 0, room.addr + PAGE, LIMIT + 1,
                     room.addr + 2 * PAGE, 6252)
    expect('too long', issue(reader, PDH_EXPORT, room.addr),
           (EFAULT, UNTOUCHED))
    struct.pack_into('<QIQI', room.map, 0, room.addr + PAGE, 2084,
                     room.addr + 2 * PAGE, 6252)
    expect('certificates', issue(reader, PDH_EXPORT, room.addr), (0, 0))
    cek = room.map[2 * PAGE + 2 * 2084:2 * PAGE + 3 * 2084]
    expect('the CEK\'s signature', (cek[0x414:0x41c], any(cek[0x41c:0x61c])),
           (struct.pack('<II', 0x1000, 0), False))
    struct.pack_into('<QI', room.map, 0, 0, 0)
    expect('length of the id', issue(reader, GET_ID2, room.addr), (EIO, 4))
    expect('which', struct.unpack_from('<QI', room.map)[1], 64)
    types = fcntl.ioctl(kvm, CHECK_EXTENSION, CAP_VM_TYPES)
    expect('VM types', types & 0b1101, 0b0101)
    expect('hypercalls', fcntl.ioctl(kvm, CHECK_EXTENSION, CAP_HYPERCALL),
           1 << 12)
    os.close(reader)
    return writable


def order_of_init(kvm, sev):
    vm, new = Vm(kvm, sev), Vm(kvm, sev, 2)
    room = Memory(1)
    expect('NULL', ioctl(vm.fd, OP, 0)[0], 0)
    vm.expect('LAUNCH_START before INIT', ENOTTY, LAUNCH_START, START,
              0, 1, 0, 0, 0, 0)
    vm.expect('RECEIVE_UPDATE before INIT', EINVAL, RECEIVE_UPDATE, DATA,
              0, 0, 0, 0, 0, 0)
    expect('region before INIT', vm.region(REGISTER, room.addr, PAGE), ENOTTY)
    vm.expect('INIT2 of an old VM', EINVAL, INIT2, 'QIHH32x', 0, 0, 0, 0)
    vm.expect('SEV-ES', ENOTTY, ES_INIT)
    vm.expect('command 14', EINVAL, _RECEIVE_VMSA)
    vm.expect('command 99', EINVAL, 99)
    new.expect('INIT of a new VM', EINVAL, INIT)
    new.expect('INIT2 with flags', EINVAL, INIT2, 'QIHH32x', 0, 1, 0, 0)
    new.expect('INIT2 with features', EINVAL, INIT2, 'QIHH32x', 1, 0, 0, 0)
    new.expect('INIT2 with a GHCB', EINVAL, INIT2, 'QIHH32x', 0, 0, 2, 0)
    new.expect('INIT2 of nothing', EFAULT, INIT2)
    new.expect('INIT2', (0, UNTOUCHED), INIT2, 'QIHH32x', 0, 0, 0, 0)
    new.expect('INIT2 twice', EINVAL, INIT2, 'QIHH32x', 0, 0, 0, 0)
    expect('a mask', vm.cap(CAP_HYPERCALL, 1 << 11), EINVAL)
    expect('flags', vm.cap(CAP_HYPERCALL, 1 << 12, 1), EINVAL)
    expect('the mask', vm.cap(CAP_HYPERCALL, 1 << 12), 0)
    expect('exits of MSRs', vm.cap(CAP_MSR, 8), EINVAL)
    late, early = Vm(kvm, sev), Vm(kvm, sev, 2)
    fcntl.ioctl(late.fd, CREATE_VCPU, 0)
    late.expect('INIT after a vCPU', EINVAL, INIT)
    vcpu = fcntl.ioctl(early.fd, CREATE_VCPU, 0)
    expect('KVM_RUN without INIT2', ioctl(vcpu, RUN)[0], EINVAL)


def launch(kvm, sev):
    vm, ram, blob = Vm(kvm, sev), Memory(16, b'guest' * 99), Memory(8)
    vm.expect('INIT', (0, UNTOUCHED), INIT)
    vm.expect('INIT twice', EINVAL, INIT)
    for what, error, args in (
            ('a DH certificate of length 0', EINVAL, (blob.addr, 0, 0, 0)),
            ('one of 16 KiB and 1', EINVAL, (blob.addr, LIMIT + 1, 0, 0)),
            ('one nowhere', EFAULT, (NOWHERE, 2084, 0, 0)),
            ('a session of length 0', EINVAL, (0, 0, blob.addr, 0)),
            ('one nowhere', EFAULT, (0, 0, NOWHERE, 128))):
        vm.expect(f'LAUNCH_START: {what}', error, LAUNCH_START, START, 0, 1,
                  *args)
    vm.expect('LAUNCH_START without /dev/sev', EBADF, LAUNCH_START, START,
              0, 1, 0, 0, 0, 0, sev=kvm)
    vm.expect('a certificate of zeros', (EIO, 6), LAUNCH_START, START, 0, 1,
              blob.addr, 2084, blob.addr, 128)
    expect('a region of nothing', vm.region(REGISTER, ram.addr, 0), EINVAL)
    expect('a region nowhere', vm.region(REGISTER, NOWHERE, PAGE), ENOMEM)
    expect('a region', vm.region(REGISTER, ram.addr, 16 * PAGE), 0)
    expect('another to remove', vm.region(UNREGISTER, ram.addr, PAGE), EINVAL)
    vm.expect('LAUNCH_UPDATE before START', (EIO, 1), LAUNCH_UPDATE, AREA,
              ram.addr, PAGE)
    vm.expect('LAUNCH_START', 0, LAUNCH_START, START, 0, 1, 0, 0, 0, 0)
    vm.expect('LAUNCH_START twice', (EIO, 0x0c), LAUNCH_START, START,
              0, 1, 0, 0, 0, 0)
    vm.expect('LAUNCH_UPDATE of nothing', EINVAL, LAUNCH_UPDATE, AREA,
              ram.addr, 0)
    vm.expect('LAUNCH_UPDATE nowhere', ENOMEM, LAUNCH_UPDATE, AREA, NOWHERE,
              PAGE)
    vm.expect('LAUNCH_UPDATE of 17 bytes', (EIO, 4), LAUNCH_UPDATE, AREA,
              ram.addr, 17)
    vm.expect('LAUNCH_UPDATE', 0, LAUNCH_UPDATE, AREA, ram.addr, 16 * PAGE)
    expect('it is encrypted', b'guest' in ram.map[:], False)
    vm.expect('LAUNCH_FINISH too early', (EIO, 2), LAUNCH_FINISH)
    after = vm.expect('length of MEASURE', (EIO, 4), MEASURE, AREA, 0, 0)
    expect('which', after[1], 48)
    vm.expect('MEASURE of 16 KiB and 1', EINVAL, MEASURE, AREA, blob.addr,
              LIMIT + 1)
    vm.expect('MEASURE', 0, MEASURE, AREA, blob.addr, 48)
    vm.expect('SEND_CANCEL too early', (EIO, 2), SEND_CANCEL)
    vm.expect('SEV-ES state', ENOTTY, LAUNCH_VMSA)
    vm.expect('SEND_UPDATE_VMSA', EINVAL, SEND_VMSA)
    vm.expect('LAUNCH_FINISH', 0, LAUNCH_FINISH)
    after = vm.expect('GUEST_STATUS', 0, STATUS, 'III', 0, 0, 0)
    expect('which', after[1:], (1, 3))
    vm.expect('length of the report', (EIO, 4), ATTESTATION, '16sQIxxxx',
              b'', 0, 0)
    vm.expect('DBG_DECRYPT by NODBG', (EIO, 7), DBG_DECRYPT, DEBUG,
              ram.addr, blob.addr, 16)
    vm.expect('DBG of nothing', EINVAL, DBG_DECRYPT, DEBUG, ram.addr,
              blob.addr, 0)
    return vm, ram


def send(vm, ram, certs):
    pdh, plat, amd = (Memory(4, text) for text in certs)
    out, lens = Memory(4), [len(text) for text in certs]
    good = (0, pdh.addr, lens[0], plat.addr, lens[1], amd.addr, lens[2],
            out.addr, 128)

    def but(**changes):
        names = ('policy', 'pdh', 'pdh_len', 'plat', 'plat_len', 'amd',
                 'amd_len', 'session', 'session_len')
        return [changes.get(name, value) for name, value in zip(names, good)]

    def page(at=0, length=PAGE, header=52, room=PAGE, data=None):
        return (out.addr + PAGE, header, ram.addr + at, length,
                out.addr + 2 * PAGE if data is None else data, room)

    after = vm.expect('length of the session', (EIO, 4), SEND_START, SEND,
                      *but(session_len=0))
    expect('which', after[-1], 128)
    for what, error, changes in (
            ('no PDH', EINVAL, dict(pdh=0)),
            ('a PDH of length 0', EINVAL, dict(pdh_len=0)),
            ('a chain of length 0', EINVAL, dict(plat_len=0)),
            ('no AMD certificates', EINVAL, dict(amd=0, amd_len=0)),
            ('AMD certificates of 16 KiB and 1', EINVAL,
             dict(amd_len=LIMIT + 1)),
            ('AMD certificates nowhere', EFAULT, dict(amd=NOWHERE)),
            ('no session', EINVAL, dict(session=0)),
            ('a session of 16 KiB and 1', EINVAL,
             dict(session_len=LIMIT + 1)),
            ('a session of 127', (EIO, 4), dict(session_len=127))):
        vm.expect(f'SEND_START: {what}', error, SEND_START, SEND,
                  *but(**changes))
    vm.expect('SEND_UPDATE before START', (EIO, 2), SEND_UPDATE, DATA, *page())
    vm.expect('SEND_START', 0, SEND_START, SEND, *good)
    vm.expect('SEND_START twice', (EIO, 2), SEND_START, SEND, *good)
    after = vm.expect('length of a header', (EIO, 4), SEND_UPDATE, DATA,
                      *page(header=0))
    expect('which', after[1], 52)
    for what, error, args in (
            ('page and a byte', EINVAL, dict(length=PAGE + 1, room=2 * PAGE)),
            ('two halves', EINVAL, dict(at=PAGE // 2)),
            ('nothing', EINVAL, dict(length=0)),
            ('no room at all', EINVAL, dict(data=0)),
            ('room nowhere', (EFAULT, 0), dict(data=NOWHERE)),
            ('too little room', (EIO, 4), dict(room=PAGE - 1)),
            ('a header of 51', (EIO, 4), dict(header=51)),
            ('8 bytes', (EIO, 4), dict(length=8)),
            ('from byte 8 on', (EIO, 9), dict(at=8, length=16))):
        vm.expect(f'SEND_UPDATE: {what}', error, SEND_UPDATE, DATA,
                  *page(**args))
    vm.expect('SEND_UPDATE', 0, SEND_UPDATE, DATA, *page())
    vm.expect('SEND_CANCEL', 0, SEND_CANCEL)
    vm.expect('SEND_START again', 0, SEND_START, SEND, *good)
    vm.expect('SEND_UPDATE again', 0, SEND_UPDATE, DATA, *page())
    vm.expect('SEND_FINISH', 0, SEND_FINISH)
    vm.expect('SEND_CANCEL too late', (EIO, 2), SEND_CANCEL)
    return pdh, out


def receive(kvm, sev, pdh, out):
    vm, ram = Vm(kvm, sev, 2), Memory(4)
    vm.expect('INIT2', (0, UNTOUCHED), INIT2, 'QIHH32x', 0, 0, 0, 0)
    expect('a region', vm.region(REGISTER, ram.addr, 4 * PAGE), 0)
    start = (0, 1, pdh.addr, 2084, out.addr, 128)
    packet = (out.addr + PAGE, 52, ram.addr, PAGE, out.addr + 2 * PAGE, PAGE)
    for what, error, args in (
            ('no PDH', EINVAL, (0, 1, 0, 2084, out.addr, 128)),
            ('a PDH of length 0', EINVAL, (0, 1, pdh.addr, 0, out.addr, 128)),
            ('no session', EINVAL, (0, 1, pdh.addr, 2084, 0, 128)),
            ('a session of 16 KiB and 1', EINVAL,
             (0, 1, pdh.addr, 2084, out.addr, LIMIT + 1)),
            ('another policy', (EIO, 0xb),
             (0, 3, pdh.addr, 2084, out.addr, 128))):
        vm.expect(f'RECEIVE_START: {what}', error, RECEIVE_START, START, *args)
    vm.expect('RECEIVE_START without /dev/sev', EBADF, RECEIVE_START, START,
              *start, sev=kvm)
    vm.expect('RECEIVE_UPDATE before START', (EIO, 0x10), RECEIVE_UPDATE, DATA,
              *packet)
    vm.expect('RECEIVE_START', 0, RECEIVE_START, START, *start)
    for what, error, changes in (
            ('no header', EINVAL, {0: 0}), ('no length', EINVAL, {3: 0}),
            ('two halves', EINVAL, {2: ram.addr + 8}),
            ('16 KiB and 1', EINVAL, {5: LIMIT + 1}),
            ('nowhere', EFAULT, {4: NOWHERE}),
            ('a header of 51', (EIO, 4), {1: 51}),
            ('another packet', (EIO, 0xb), {4: out.addr})):
        args = [changes.get(n, value) for n, value in enumerate(packet)]
        vm.expect(f'RECEIVE_UPDATE: {what}', error, RECEIVE_UPDATE, DATA, *args)
    vm.expect('RECEIVE_UPDATE', 0, RECEIVE_UPDATE, DATA, *packet)
    vm.expect('LAUNCH_UPDATE now', (EIO, 2), LAUNCH_UPDATE, AREA, ram.addr,
              PAGE)
    vm.expect('RECEIVE_FINISH', 0, RECEIVE_FINISH)
    vm.expect('RECEIVE_FINISH twice', (EIO, 2), RECEIVE_FINISH)
    return vm, ram


def faults(kvm, sev, control):
    """What a test orders, and what a dead mailbox leaves in the status."""
    vm = Vm(kvm, sev)
    control.write_text('fail LAUNCH_START 1 errno 110\n'
                       'fail LAUNCH_START 1 status 23\n')
    vm.expect('INIT', (0, UNTOUCHED), INIT)
    start = ('LAUNCH_START', LAUNCH_START, START, 0, 1, 0, 0, 0, 0)
    vm.expect(start[0], (ETIMEDOUT, 0), *start[1:])
    vm.expect(start[0], (EIO, 23), *start[1:])
    vm.expect(start[0], 0, *start[1:])


def locked(kvm, sev, control):
    """RLIMIT_MEMLOCK: regions, and one page for a command."""
    control.write_text('no-ipc-lock\n')
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (8 * PAGE, 8 * PAGE))
    vm, ram = Vm(kvm, sev), Memory(16)
    vm.expect('INIT', (0, UNTOUCHED), INIT)
    vm.expect('LAUNCH_START', 0, LAUNCH_START, START, 0, 1, 0, 0, 0, 0)
    expect('9 of 8 pages', vm.region(REGISTER, ram.addr, 9 * PAGE), ENOMEM)
    expect('8 of 8, not aligned', vm.region(REGISTER, ram.addr + 8, 8 * PAGE),
           ENOMEM)
    expect('8 of 8', vm.region(REGISTER, ram.addr, 8 * PAGE), 0)
    vm.expect('one more for a command', ENOMEM, LAUNCH_UPDATE, AREA, ram.addr,
              PAGE)
    expect('given back', vm.region(UNREGISTER, ram.addr, 8 * PAGE), 0)
    vm.expect('now there is room', 0, LAUNCH_UPDATE, AREA, ram.addr, PAGE)


def down(kvm, control):
    """The platform is not up yet: who needs it brings it up."""
    reader, writer = (os.open('/dev/sev', how)
                      for how in (os.O_RDONLY, os.O_RDWR))
    room = Memory(4)
    expect('certificates, read-only', issue(reader, PDH_EXPORT, room.addr),
           (EPERM, UNTOUCHED))
    for fault, wanted in (('errno 16', (EBUSY, 0xffffffff)),
                          ('status 19', (EIO, 19))):
        control.write_text(f'platform-down\nfail INIT 1 {fault}\n')
        expect(f'certificates: INIT {fault}',
               issue(writer, PDH_EXPORT, room.addr), wanted)
    expect('their lengths', issue(writer, PDH_EXPORT, room.addr), (EIO, 4))
    expect('the platform', issue(reader, PLATFORM_STATUS, room.addr), (0, 0))
    expect('its state', room.map[2], 0)
    vm = Vm(kvm, writer)
    control.write_text('platform-down\nfail INIT 1 errno 16\n')
    vm.expect('INIT of a dead chip', (EBUSY, 0xffffffff), INIT)
    control.write_text('platform-down\nfail INIT 1 status 24\n')
    vm.expect('INIT, the second time', (0, UNTOUCHED), INIT)
    issue(reader, PLATFORM_STATUS, room.addr)
    expect('its state', room.map[2], 1)
    struct.pack_into('<QI', room.map, 0, room.addr + PAGE, 2084)
    expect('CSR, read-only', issue(reader, PEK_CSR, room.addr),
           (EPERM, UNTOUCHED))
    expect('CSR', issue(writer, PEK_CSR, room.addr), (0, 0))
    expect('a new PDH', issue(writer, PDH_GEN), (0, 0))
    vm.expect('LAUNCH_START', 0, LAUNCH_START, START, 0, 1, 0, 0, 0, 0)
    expect('reset, with a guest', issue(writer, FACTORY_RESET), (EBUSY, 0))


def debug(kvm, sev):
    """DBG_DECRYPT and DBG_ENCRYPT of what is no whole block."""
    text = bytes(range(64))
    vm, ram, out = Vm(kvm, sev), Memory(1, text), Memory(1)
    vm.expect('INIT', (0, UNTOUCHED), INIT)
    expect('a region', vm.region(REGISTER, ram.addr, PAGE), 0)
    vm.expect('LAUNCH_START', 0, LAUNCH_START, START, 0, 0, 0, 0, 0, 0)
    vm.expect('LAUNCH_UPDATE', 0, LAUNCH_UPDATE, AREA, ram.addr, PAGE)
    for at, length in ((0, 64), (16, 16), (3, 5), (15, 2)):
        vm.expect('DBG_DECRYPT', 0, DBG_DECRYPT, DEBUG, ram.addr + at,
                  out.addr, length)
        expect('what', out.map[:length], text[at:at + length])
    out.map[:5] = b'debug'
    vm.expect('DBG_ENCRYPT', 0, DBG_ENCRYPT, DEBUG, out.addr, ram.addr + 14, 5)
    vm.expect('DBG_DECRYPT', 0, DBG_DECRYPT, DEBUG, ram.addr, out.addr, 64)
    expect('all', out.map[:64], text[:14] + b'debug' + text[19:])


def punished(kvm, sev, violations):
    """What Linux lets pass, and silicon does not."""
    vm, ram, more = Vm(kvm, sev), Memory(4), Memory(4)
    vm.expect('INIT', (0, UNTOUCHED), INIT)
    for slot, memory in enumerate((ram, more)):
        expect('a slot', ioctl(vm.fd, SET_REGION, bytearray(
            struct.pack('<IIQQQ', slot, 0, slot << 20, 4 * PAGE,
                        memory.addr)))[0], 0)
    vcpu = fcntl.ioctl(vm.fd, CREATE_VCPU, 0)
    already = len(violations())
    expect('KVM_RUN without a key', ioctl(vcpu, RUN)[0], 0)
    vm.expect('LAUNCH_START', 0, LAUNCH_START, START, 0, 1, 0, 0, 0, 0)
    vm.expect('LAUNCH_UPDATE', 0, LAUNCH_UPDATE, AREA, ram.addr, PAGE)
    expect('a region', vm.region(REGISTER, ram.addr, 4 * PAGE), 0)
    ioctl(vcpu, RUN)
    ram.map.madvise(mmap.MADV_DONTNEED)
    expect('violations', violations()[already:],
           ['KVM_RUN: the guest has no key',
            'LAUNCH_UPDATE_DATA: memory that is not registered',
            'KVM_RUN: the guest is in state 1',
            'KVM_RUN: memory at guest address 0x100000 is not registered',
            'madvise: registered memory'])


def main():
    if len(sys.argv) == 2:
        down(os.open('/dev/kvm', os.O_RDWR), Path(sys.argv[1]))
        print(f'{looked_at} answers')
        return
    control, violated, *certs = map(Path, sys.argv[1:])

    def violations():
        text = violated.read_text() if violated.exists() else ''
        return [line.partition(' ')[2] for line in text.splitlines()]

    kvm = os.open('/dev/kvm', os.O_RDWR)
    sev = device(kvm)
    order_of_init(kvm, sev)
    vm, ram = launch(kvm, sev)
    pdh, out = send(vm, ram, [path.read_bytes() for path in certs])
    received = receive(kvm, sev, pdh, out)
    expect('violations', violations(), [])
    del received, ram           # registered memory, from here on unmapped
    debug(kvm, sev)
    punished(kvm, sev, violations)
    faults(kvm, sev, control)
    locked(kvm, sev, control)
    print(f'{looked_at} answers')


if __name__ == '__main__':
    with contextlib.suppress(BrokenPipeError):
        main()
