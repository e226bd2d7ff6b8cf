# SPDX-License-Identifier: GPL-2.0-or-later
"""Firmware under one guest's key, in the memory of another.

A host that can write DRAM puts ciphertext of guest A where guest B has the
same plaintext at the same address, launched and measured.  On silicon B reads
it through its own key: noise from the reset vector on.
"""

import contextlib
import re
import time

from registry import test
from verdict import BOOT_LIMIT, check, wait_until

FLASH_END = 1 << 32
FLASH_LEN = 0x20000         # the last of the code: reset vector, page tables
HELD = ('-S',)


class Flash:
    """The end of the code flash as DRAM holds it, of a guest that is held."""

    def __init__(self, guest):
        self.guest = guest
        said = guest.cmd('human-monitor-command', command_line='gpa2hva '
                         f'{FLASH_END - FLASH_LEN:#x}')
        found = re.search(r' is (0x[0-9a-f]+)', said)
        check(found, f'gpa2hva says "{said}"')
        self.at = int(found[1], 16)

    def _memory(self, mode):
        memory = open(f'/proc/{self.guest.vm.get_pid()}/mem', mode,
                      buffering=0)
        memory.seek(self.at)
        return memory

    def read(self):
        with self._memory('rb') as memory:
            return memory.read(FLASH_LEN)

    def write(self, data):
        with self._memory('r+b') as memory:
            check(memory.write(data) == len(data), 'not all was written')


def launched(env, stem):
    """Launched, not yet run; (guest, its flash)."""
    guest = env.start(stem, extra=HELD)
    check(guest.cmd('query-sev')['state'] in ('launch-secret', 'running'),
          'the guest is not launched')
    return guest, Flash(guest)


def first_words(guest):
    """Seconds until anything is on the screen."""
    began = time.monotonic()
    guest.cmd('cont')
    wait_until('output', BOOT_LIMIT, lambda: guest.alive() and guest.text())
    return time.monotonic() - began


def differ(one, other):
    """In every block of the cipher."""
    return all(one[at:at + 16] != other[at:at + 16]
               for at in range(0, FLASH_LEN, 16))


@test('wrong key: firmware that was encrypted for another guest is noise')
def other_firmware(env):
    with contextlib.ExitStack() as stack:
        others, victim = launched(env, 'origin'), launched(env, 'victim')
        for guest, _ in (others, victim):
            stack.callback(guest.close)
        plain = env.lab.firmware.read_bytes()[-FLASH_LEN:]
        foreign, own = others[1].read(), victim[1].read()
        check(differ(foreign, own) and differ(own, plain),
              'two guests, or a guest and the file, have the same bytes')
        # the control: our own ciphertext may go and come back
        others[1].write(own)
        others[1].write(foreign)
        seconds = first_words(others[0])
        others[0].wait_text(r'^UP ')

        victim[1].write(foreign)
        victim[0].cmd('cont')
        time.sleep(2 * seconds + 2)
        check(victim[0].alive() and not victim[0].text(),
              'a guest runs firmware of another key')
