# SPDX-License-Identifier: GPL-2.0-or-later
"""/dev/kvm and /dev/sev without QEMU: the structs of linux/kvm.h and
linux/psp-sev.h, and how Linux answers.
"""

import ctypes
import errno
import fcntl
import mmap
import os
import struct
from typing import NamedTuple

PAGE = 4096

# --- /dev/sev --------------------------------------------------------------

SEV_ISSUE_CMD = 0xc0105300
PLATFORM_STATUS, PDH_CERT_EXPORT, GET_ID2 = 1, 5, 8

# --- /dev/kvm --------------------------------------------------------------

CREATE_VM, CHECK_EXTENSION = 0xae01, 0xae03
GET_SUPPORTED_CPUID = 0xc008ae05
MEMORY_ENCRYPT_OP = 0xc008aeba
REG_REGION, UNREG_REGION = 0x8010aebb, 0x8010aebc
CAP_USER_SPACE_MSR, CAP_MSR_FILTER = 188, 189
CAP_EXIT_HYPERCALL, CAP_VM_TYPES = 201, 235
VM_DEFAULT, VM_SEV = 0, 2

(INIT, _ES_INIT, LAUNCH_START, LAUNCH_UPDATE_DATA, _LAUNCH_UPDATE_VMSA,
 LAUNCH_SECRET, LAUNCH_MEASURE, LAUNCH_FINISH, SEND_START, SEND_UPDATE_DATA,
 _SEND_UPDATE_VMSA, SEND_FINISH, RECEIVE_START, RECEIVE_UPDATE_DATA,
 _RECEIVE_UPDATE_VMSA, RECEIVE_FINISH, GUEST_STATUS, DBG_DECRYPT) = range(18)
ATTESTATION, SEND_CANCEL, INIT2 = 20, 21, 22

# Their structs; x: padding
START = 'IIQIxxxxQIxxxx'        # LAUNCH_START, RECEIVE_START
SEND = 'IxxxxQIxxxxQIxxxxQIxxxxQIxxxx'
PACKET = 'QIxxxxQIxxxxQIxxxx'   # SEND_UPDATE_DATA, RECEIVE_UPDATE_DATA
AREA = 'QIxxxx'
REPORT = '16sQIxxxx'
DEBUG = 'QQIxxxx'

STATUSES = dict(enumerate((
    'SUCCESS', 'INVALID_PLATFORM_STATE', 'INVALID_GUEST_STATE',
    'INVALID_CONFIG', 'INVALID_LEN', 'ALREADY_OWNED', 'INVALID_CERTIFICATE',
    'POLICY_FAILURE', 'INACTIVE', 'INVALID_ADDRESS', 'BAD_SIGNATURE',
    'BAD_MEASUREMENT', 'ASID_OWNED', 'INVALID_ASID', 'WBINVD_REQUIRED',
    'DFFLUSH_REQUIRED', 'INVALID_GUEST', 'INVALID_COMMAND', 'ACTIVE',
    'HWERROR_PLATFORM', 'HWERROR_UNSAFE', 'UNSUPPORTED', 'INVALID_PARAM',
    'RESOURCE_LIMIT', 'SECURE_DATA_INVALID')))
INVALID_LEN, BAD_MEASUREMENT = 4, 11
NO_FW_CALL = 0xffffffff
_UNTOUCHED = 0x5a5a5a5a         # where the kernel leaves the status alone


class Answer(NamedTuple):
    """What the kernel made of a command: errno, and the firmware's status."""
    error: int
    status: int

    @property
    def done(self):
        return not self.error

    @property
    def refused_by_firmware(self):
        return self.error == errno.EIO and self.status not in (0, _UNTOUCHED,
                                                               NO_FW_CALL)

    def is_length(self):
        """The answer to a question for a length"""
        return self.error == errno.EIO and self.status == INVALID_LEN

    def words(self):
        if self.done:
            return 'done'
        if self.refused_by_firmware:
            name = STATUSES.get(self.status, 'a status without a name')
            return f'the firmware says {name} ({self.status:#x})'
        return f'the kernel says {os.strerror(self.error)} ' \
               f'({errno.errorcode.get(self.error, self.error)})'


def call(fd, request, arg=0):
    """(errno, the value, or the buffer that was changed)"""
    try:
        value = fcntl.ioctl(fd, request, arg)
        return 0, arg if isinstance(arg, bytearray) else value
    except OSError as error:
        return error.errno, arg


class Memory:
    """Pages of this process, at an address that can be told."""

    def __init__(self, pages, content=b''):
        self.size = pages * PAGE
        self.map = mmap.mmap(-1, self.size,
                             flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.map[:] = content.ljust(self.size, b'\0')
        self._view = ctypes.c_char.from_buffer(self.map)
        self.addr = ctypes.addressof(self._view)

    def close(self):
        del self._view
        self.map.close()


class Opened:
    """A descriptor that is closed behind it."""
    fd = -1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class Kvm(Opened):
    """/dev/kvm; OSError when it cannot be opened"""

    def __init__(self):
        self.fd = os.open('/dev/kvm', os.O_RDWR | os.O_CLOEXEC)

    def extension(self, cap):
        error, value = call(self.fd, CHECK_EXTENSION, cap)
        return 0 if error else value

    def supported_cpuid(self):
        """{leaf: (eax, ebx, ecx, edx)} of the first subleaf of each"""
        room, entry = 256, struct.Struct('<10I')
        buf = bytearray(struct.pack('<II', room, 0) + bytes(entry.size * room))
        error, _ = call(self.fd, GET_SUPPORTED_CPUID, buf)
        if error:
            raise OSError(error, os.strerror(error))
        count, = struct.unpack_from('<I', buf)
        leaves = {}
        for n in range(count):
            leaf, _, _, *registers = entry.unpack_from(buf, 8 + n * entry.size)
            leaves.setdefault(leaf, tuple(registers[:4]))
        return leaves


class Device(Opened):
    """/dev/sev; OSError when it cannot be opened. Nothing here changes it."""

    def __init__(self, writable=False):
        mode = os.O_RDWR if writable else os.O_RDONLY
        self.fd = os.open('/dev/sev', mode | os.O_CLOEXEC)

    def issue(self, cmd, layout, *fields):
        """(Answer, fields after it); these structs have no padding"""
        data = Memory(1, struct.pack(f'<{layout}', *fields))
        try:
            arg = bytearray(struct.pack('<IQI', cmd, data.addr, _UNTOUCHED))
            error, arg = call(self.fd, SEV_ISSUE_CMD, arg)
            return (Answer(error, struct.unpack('<IQI', arg)[2]),
                    struct.unpack_from(f'<{layout}', data.map))
        finally:
            data.close()


class Vm(Opened):
    """A VM without a vCPU."""

    def __init__(self, kvm, kind=VM_DEFAULT):
        self.kind, self.regions = kind, []
        error, self.fd = call(kvm.fd, CREATE_VM, kind)
        if error:
            self.fd = -1
            raise OSError(error, os.strerror(error))

    def supported(self):
        """Does KVM know SEV? (An operation without an argument asks.)"""
        return call(self.fd, MEMORY_ENCRYPT_OP, 0)[0]

    def op(self, device, cmd, layout='', *fields):
        """(Answer, fields after it) of one command"""
        data = Memory(1, struct.pack(f'<{layout}', *fields)) if layout else None
        try:
            arg = bytearray(struct.pack('<IIQII', cmd, 0,
                                        data.addr if data else 0, _UNTOUCHED,
                                        device.fd))
            error, arg = call(self.fd, MEMORY_ENCRYPT_OP, arg)
            after = struct.unpack_from(f'<{layout}', data.map) if data else ()
            return Answer(error, struct.unpack('<IIQII', arg)[3]), after
        finally:
            if data:
                data.close()

    def register(self, memory):
        region = struct.pack('<QQ', memory.addr, memory.size)
        error, _ = call(self.fd, REG_REGION, region)
        if not error:
            self.regions.append(region)
        return Answer(error, _UNTOUCHED)

    def close(self):
        while self.fd >= 0 and self.regions:
            call(self.fd, UNREG_REGION, self.regions.pop())
        super().close()
