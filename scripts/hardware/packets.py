# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands with which a guest is sent and received: one VM without a vCPU
to another on the same platform.
"""

import statistics
import time
from typing import NamedTuple

from . import ioctls
from .claims import CLAIMS
from .commands import HEADER, PAGES, POLICY, RUNNING, SECRET, Launch, pattern
from .ioctls import PAGE
from .ledger import FAIL, PASS, UNKNOWN, Stop
from .platform import Certs

NAMES = [claim.name for claim in CLAIMS if claim.part == 'command']
SESSION = 128
RECEIVING = 5
BLANK = bytes(2 * 1600)     # in the place of ASK and ARK when they are missing


class Packet(NamedTuple):
    """A page as it travels."""
    header: bytes
    data: bytes


def pace(ledger, name, times):
    """A row with how long each of the commands took; @times in seconds"""
    total = sum(times)
    micro = [t * 1e6 for t in times]
    ledger.check(
        name, True, f'{len(times) / total:.0f} packets/s, '
        f'{len(times) * PAGE / total / 1e6:.2f} MB/s; a command takes '
        f'{statistics.median(micro):.0f} us (median), {max(micro):.0f} at most',
        packets=len(times), per_second=round(len(times) / total),
        mb_per_second=round(len(times) * PAGE / total / 1e6, 3),
        median_us=round(statistics.median(micro), 1),
        max_us=round(max(micro), 1))


class Packets(Launch):
    """A guest that is launched, sent and received."""

    def __init__(self, certs, whole, **options):
        """@certs: as the chip exports them; @whole: the chain, or None"""
        super().__init__(pdh=certs.pdh, **options)
        self.target = whole or Certs(certs.pdh, certs.plat, BLANK)
        self.is_whole = bool(whole)
        self.session, self.packets = None, []

    def run(self):
        self.init()
        self.launch()
        self.optional()
        self.send()
        self.receive()
        self.finish()

    def packet(self):
        """What the last SEND_UPDATE_DATA left"""
        room = self.room.map
        return Packet(room[PAGE:PAGE + HEADER], room[2 * PAGE:3 * PAGE])

    # --- Source ---

    def send_start(self):
        """(Answer, memory with the session)"""
        blobs = [self.memory(4, blob) for blob in self.target]
        out = self.memory(1)
        answer, after = self.op(
            self.source, ioctls.SEND_START, ioctls.SEND, 0,
            blobs[0].addr, len(self.target.pdh),
            blobs[1].addr, len(self.target.plat),
            blobs[2].addr, len(self.target.amd), out.addr, SESSION)
        return answer, out

    def send(self):
        self.length('send-start', self.source, 'SEND_START', ioctls.SEND_START,
                    SESSION, -1, ioctls.SEND, *[0] * 9)
        answer, _ = self.send_start()
        blank = '' if self.is_whole else ', with zeros for the ASK and the ARK'
        self.must('send-start', answer, f'SEND_START to this platform{blank}',
                  '' if self.is_whole else 'see chain')
        self.ledger.check('send-start', True, f'INVALID_LEN and {SESSION} '
                          f'bytes, then done{blank}', whole=self.is_whole)
        self.length('send-update', self.source, 'SEND_UPDATE_DATA',
                    ioctls.SEND_UPDATE_DATA, HEADER, 1, ioctls.PACKET,
                    *self.fields((self.ram, 0), header=0))
        answer, _ = self.op(self.source, ioctls.SEND_UPDATE_DATA,
                            ioctls.PACKET, *self.fields((self.ram, 0)))
        self.must('send-update', answer, 'SEND_UPDATE_DATA')
        self.ledger.check('send-update', any(self.packet().header) and
                          self.packet().data != pattern(1),
                          f'INVALID_LEN and {HEADER} bytes, then done')
        answer, _ = self.op(self.source, ioctls.SEND_CANCEL)
        self.must('send-cancel', answer, 'SEND_CANCEL', 'update the BIOS: a '
                  'guest whose migration is cancelled could not move again')
        self.must_be('send-cancel', self.source, RUNNING, 'done')
        answer, self.session = self.send_start()
        self.must('send-rate', answer, 'SEND_START after SEND_CANCEL')
        self.packets = self.sealed()

    def sealed(self):
        """All pages as packets"""
        packets, times = [], []
        for number in range(PAGES):
            began = time.perf_counter()
            answer, _ = self.op(self.source, ioctls.SEND_UPDATE_DATA,
                                ioctls.PACKET, *self.fields((self.ram, number)))
            times.append(time.perf_counter() - began)
            self.must('send-rate', answer, f'SEND_UPDATE_DATA {number}')
            packets.append(self.packet())
        pace(self.ledger, 'send-rate', times)
        return packets

    # --- Target ---

    def opened_packet(self, packet, number):
        """(Answer, seconds) of a packet that is put into page @number"""
        self.room.map[PAGE:PAGE + HEADER] = packet.header
        self.room.map[2 * PAGE:3 * PAGE] = packet.data
        began = time.perf_counter()
        answer, _ = self.op(self.other, ioctls.RECEIVE_UPDATE_DATA,
                            ioctls.PACKET, *self.fields((self.arrived, number)))
        return answer, time.perf_counter() - began

    def receive(self):
        pdh = self.memory(1, self.target.pdh)
        answer, _ = self.op(self.other, ioctls.RECEIVE_START, ioctls.START, 0,
                            POLICY, pdh.addr, len(self.target.pdh),
                            self.session.addr, SESSION)
        self.must('receive-start', answer, 'RECEIVE_START')
        state, _ = self.state(self.other)
        self.ledger.check('receive-start', state == RECEIVING,
                          f'done; state {state}')
        times = []
        for number, packet in enumerate(self.packets):
            answer, took = self.opened_packet(packet, number)
            self.must('receive-update', answer, f'RECEIVE_UPDATE_DATA {number}')
            times.append(took)
        self.ledger.check('receive-update', True, 'done')
        pace(self.ledger, 'receive-rate', times)
        self.tampered()

    def tampered(self):
        """A bit of the data is flipped; a good packet comes after it."""
        good = self.packets[0]
        bad = Packet(good.header, bytes([good.data[0] ^ 1]) + good.data[1:])
        answer, _ = self.opened_packet(bad, 0)
        after, _ = self.opened_packet(good, 0)
        self.ledger.check('tampered', answer.refused_by_firmware,
                          f'{answer.words()}; a good one after it: '
                          f'{after.words()}', 'report this: the firmware took '
                          'it', status=answer.status, good_after=after.done)

    # --- Both ---

    def wanted(self):
        """What all pages hold, the secret in the last"""
        pages = bytearray(pattern(PAGES))
        if self.ledger.passed('secret'):
            at = (PAGES - 1) * PAGE
            pages[at:at + len(SECRET)] = SECRET
        return bytes(pages)

    def finish(self):
        answer, _ = self.op(self.other, ioctls.RECEIVE_FINISH)
        self.must('receive-finish', answer, 'RECEIVE_FINISH')
        self.must_be('receive-finish', self.other, RUNNING, 'done')
        wanted, bad = self.wanted(), 0
        for number in range(PAGES):
            answer, plain = self.decrypted(self.other, self.arrived, number)
            if not answer.done:
                self.ledger.say('content', UNKNOWN,
                                f'DBG_DECRYPT: {answer.words()}')
                break
            bad += plain != wanted[number * PAGE:(number + 1) * PAGE]
        else:
            self.ledger.check('content', not bad,
                              f'{PAGES - bad} of {PAGES} pages')
        answer, _ = self.op(self.source, ioctls.SEND_FINISH)
        self.must('send-finish', answer, 'SEND_FINISH')
        state, _ = self.state(self.source)
        self.ledger.say('send-finish', PASS if state != RUNNING else FAIL,
                        f'done; state {state}')


def run(ledger, certs, whole, firmware, folder, opened):
    """All rows of the part; what cannot be done says why."""
    if not ledger.needs(NAMES, ['dev-sev', 'cpu', 'kvm-sev', 'firmware',
                                'export', 'asids']):
        return
    try:
        kvm = opened.enter_context(ioctls.Kvm())
        device = opened.enter_context(ioctls.Device(writable=True))
        Packets(certs, whole, ledger=ledger, device=device, kvm=kvm,
                firmware=firmware, folder=folder, opened=opened).run()
    except (Stop, OSError) as error:
        ledger.not_run(NAMES, str(error), ledger.culprit(NAMES))
