# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands with which a guest is launched, on a VM without a vCPU.

The pages are this process' own, the keys are of this moment. The policy
allows debugging, so that what arrives can be compared with what was sent.
"""

import errno
import hashlib
import os
import struct
import subprocess
import time

import measure

from . import ioctls
from .ioctls import PAGE, Memory
from .ledger import FAIL, UNKNOWN, Stop

POLICY = 0x0                # debugging, sending and key sharing allowed
PAGES = 256
HEADER, REPORT = 52, 0x1000
RUNNING = 3
LIMIT = 60                  # seconds for all commands
SECRET = b'hardware check! '


def pattern(pages):
    """Pages that differ, each from its neighbour"""
    return b''.join(n.to_bytes(4, 'little') * (PAGE // 4)
                    for n in range(1, pages + 1))


class Launch:
    """One run of them; each method says its rows."""

    def __init__(self, ledger, device, kvm, pdh, firmware, folder, opened):
        """@firmware: its Status; @opened: an ExitStack that closes what this
        makes"""
        self.ledger, self.device, self.opened = ledger, device, opened
        self.pdh, self.firmware, self.folder = pdh, firmware, folder
        self.owner, self.measured = None, b''
        self.end = time.monotonic() + LIMIT
        kind = ioctls.VM_SEV if kvm.extension(ioctls.CAP_VM_TYPES) \
            >> ioctls.VM_SEV & 1 else ioctls.VM_DEFAULT
        # A VM goes before its memory does: what is registered is pinned.
        self.ram = self.memory(PAGES, pattern(PAGES))
        self.arrived = self.memory(PAGES)
        self.room = self.memory(4)
        self.source = opened.enter_context(ioctls.Vm(kvm))
        self.other = opened.enter_context(ioctls.Vm(kvm, kind))

    def memory(self, pages, content=b''):
        made = Memory(pages, content)
        self.opened.callback(made.close)
        return made

    # --- Helpers ---

    def op(self, vm, *args):
        if time.monotonic() > self.end:
            raise Stop(f'the commands took more than {LIMIT} s')
        return vm.op(self.device, *args)

    def must(self, name, answer, what, remedy=''):
        """One row is decided by this answer, if it is a bad one."""
        if not answer.done:
            self.ledger.say(name, FAIL, f'{what}: {answer.words()}', remedy,
                            errno=answer.error, status=answer.status)
            raise Stop(f'it needs {what}')
        return answer

    def length(self, name, vm, what, cmd, wanted, at, *fields):
        """Ask for a length, as QEMU does first"""
        answer, after = self.op(vm, cmd, *fields)
        if not answer.is_length() or after[at] != wanted:
            self.ledger.say(
                name, FAIL, f'{what}, asked for a length: {answer.words()}, '
                f'{after[at]}; INVALID_LEN and {wanted} are expected',
                'take Linux 5.13 or later, which has SEND and RECEIVE'
                if answer.error == errno.EINVAL else '', errno=answer.error,
                status=answer.status)
            raise Stop(f'it needs {what}')

    def state(self, vm):
        """(state of the guest or None, its policy)"""
        answer, after = self.op(vm, ioctls.GUEST_STATUS, 'III', 0, 0, 0)
        return (after[2], after[1]) if answer.done else (None, None)

    def must_be(self, name, vm, wanted, seen):
        state, policy = self.state(vm)
        if not self.ledger.check(name, state == wanted and policy == POLICY,
                                 f'{seen}; state {state}, policy {policy}'):
            raise Stop(f'it needs state {wanted}')

    def fields(self, page, header=HEADER):
        """Of a packet in the room, and page @page of memory @page[0]"""
        memory, number = page
        return (self.room.addr + PAGE, header, memory.addr + number * PAGE,
                PAGE, self.room.addr + 2 * PAGE, PAGE)

    def decrypted(self, vm, memory, number):
        """A page as its guest would see it, or None"""
        answer, _ = self.op(vm, ioctls.DBG_DECRYPT, ioctls.DEBUG,
                            memory.addr + number * PAGE, self.room.addr, PAGE)
        return (answer, self.room.map[:PAGE])

    # --- Launch ---

    def init(self):
        for vm in self.source, self.other:
            args = (ioctls.INIT2, 'QIHH32x', 0, 0, 0, 0) \
                if vm.kind == ioctls.VM_SEV else (ioctls.INIT,)
            answer, _ = self.op(vm, *args)
            self.must('init', answer, 'INIT2' if len(args) > 1 else 'INIT',
                      'see asids and firmware')
        used = 'INIT and INIT2' if self.other.kind == ioctls.VM_SEV else 'INIT'
        self.ledger.check('init', True, f'{used}: done')

    def start(self):
        """LAUNCH_START with an owner's session, if openssl makes one"""
        args, owned = (0, 0, 0, 0), ''
        try:
            self.owner = measure.Session(self.pdh, POLICY, self.folder)
            owned = ' with an owner\'s session'
            cert = self.memory(1, self.owner.cert)
            blob = self.memory(1, self.owner.blob)
            args = (cert.addr, len(self.owner.cert), blob.addr,
                    len(self.owner.blob))
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            self.ledger.say('secret', UNKNOWN, f'not run: {error}', 'install '
                            'openssl: the owner\'s session is made with it')
        answer, _ = self.op(self.source, ioctls.LAUNCH_START, ioctls.START,
                            0, POLICY, *args)
        self.must('launch-start', answer, f'LAUNCH_START{owned}')
        self.ledger.check('launch-start', True, f'done{owned}')

    def measure(self):
        self.length('launch-measure', self.source, 'LAUNCH_MEASURE',
                    ioctls.LAUNCH_MEASURE, 48, 1, ioctls.AREA, 0, 0)
        answer, _ = self.op(self.source, ioctls.LAUNCH_MEASURE, ioctls.AREA,
                            self.room.addr, 48)
        self.must('launch-measure', answer, 'LAUNCH_MEASURE')
        self.measured, nonce = self.room.map[:32], self.room.map[32:48]
        same, seen = True, 'INVALID_LEN and 48 bytes, then done'
        if self.owner:
            same = self.measured == measure.measurement(
                self.owner.tik, *self.firmware.api, self.firmware.build, POLICY,
                hashlib.sha256(pattern(PAGES)).digest(), nonce)
            seen += '; it is ' + ('' if same else 'not ') + 'the owner\'s sum'
        self.ledger.check('launch-measure', same, seen, 'report this')

    def secret(self):
        """Into the first bytes of the last page; it must be there after."""
        if not self.owner:
            return
        iv = os.urandom(16)
        data = measure.aes128_ctr(self.owner.tek, iv, SECRET)
        mac = measure.hmac256(
            self.owner.tik, b'\x01', bytes(4), iv,
            struct.pack('<II', len(data), len(data)), data, self.measured)
        self.room.map[PAGE:PAGE + HEADER] = bytes(4) + iv + mac
        self.room.map[2 * PAGE:2 * PAGE + len(data)] = data
        answer, _ = self.op(
            self.source, ioctls.LAUNCH_SECRET, ioctls.PACKET,
            self.room.addr + PAGE, HEADER,
            self.ram.addr + (PAGES - 1) * PAGE, len(data),
            self.room.addr + 2 * PAGE, len(data))
        there, plain = self.decrypted(self.source, self.ram, PAGES - 1)
        self.ledger.check(
            'secret', answer.done and (not there.done
                                       or plain.startswith(SECRET)),
            answer.words() + ('; it is in the guest' if there.done and
                              plain.startswith(SECRET) else ''),
            'report this: the owner cannot give the guest a secret',
            status=answer.status)

    def launch(self):
        self.start()
        for vm, memory in ((self.source, self.ram), (self.other, self.arrived)):
            answer = vm.register(memory)
            self.must('region', answer, 'KVM_MEMORY_ENCRYPT_REG_REGION',
                      'see memlock')
        self.ledger.check('region', True, f'{PAGES} pages of each VM')
        began = time.monotonic()
        answer, _ = self.op(self.source, ioctls.LAUNCH_UPDATE_DATA, ioctls.AREA,
                            self.ram.addr, self.ram.size)
        took = time.monotonic() - began
        self.must('launch-update', answer, 'LAUNCH_UPDATE_DATA')
        changed = self.ram.map[:PAGE] != pattern(1)
        self.ledger.check('launch-update', changed,
                          f'{PAGES} pages in {took * 1e3:.1f} ms, '
                          + ('encrypted' if changed else 'still plain'),
                          seconds=round(took, 6), pages=PAGES)
        self.measure()
        self.secret()
        answer, _ = self.op(self.source, ioctls.LAUNCH_FINISH)
        self.must('launch-finish', answer, 'LAUNCH_FINISH')
        self.must_be('launch-finish', self.source, RUNNING, 'done')

    def optional(self):
        """What a guest can do without."""
        nonce = os.urandom(16)
        answer, after = self.op(self.source, ioctls.ATTESTATION, ioctls.REPORT,
                                nonce, 0, 0)
        length = after[2]
        if answer.is_length() and length <= REPORT:
            answer, after = self.op(self.source, ioctls.ATTESTATION,
                                    ioctls.REPORT, nonce, self.room.addr,
                                    length)
        same = self.room.map[:16] == nonce
        self.ledger.check('attestation', answer.done and same,
                          f'{length} bytes, our nonce in front'
                          if answer.done and same else answer.words(),
                          'nothing to do: API 0.22 and later have it',
                          length=length)
        answer, plain = self.decrypted(self.source, self.ram, 1)
        self.ledger.check('debug', answer.done and plain == pattern(2)[PAGE:],
                          answer.words())
