# SPDX-License-Identifier: GPL-2.0-or-later
"""Debuggers: plaintext for who asks and whose policy allows it, else not.

What they look at is the kernel's banner; the guest says where it is.
"""

import re

from gdbremote import Gdb
from registry import test
from verdict import Failed, check

BANNER = b'Linux version 6.1'
NODBG = 0x1
WHERE = {'symbol': 'linux_banner'}


def banner_address(guest):
    found = guest.wait_text(r'^([0-9a-f]{16}) . linux_banner')
    return int(found.group(1), 16)


def monitor_bytes(guest, address, count):
    """HMP's x, as bytes; None when it cannot."""
    said = guest.cmd('human-monitor-command',
                     command_line=f'x /{count}xb {address:#x}')
    if 'Cannot access' in said:
        return None
    return bytes(int(b, 16) for line in said.splitlines()
                 for b in re.findall(r'0x([0-9a-f]{2})\b',
                                     line.partition(':')[2]))


@test('debug: plaintext with debug-decrypt=on, for the monitor and gdb')
def asked(env):
    guest = env.boot('debug', policy=0, boot=WHERE,
                     session={'debug-decrypt': 'on'})
    try:
        where = banner_address(guest)
        seen = monitor_bytes(guest, where, len(BANNER))
        check(seen == BANNER, f'running, the monitor reads {seen}')
        with Gdb(guest) as gdb:                     # stops the guest
            seen = gdb.read(where, len(BANNER))
            check(seen == BANNER, f'gdb reads {seen}')
            check(gdb.write(where + 3, b'UX!'), 'gdb cannot write')
            seen = gdb.read(where, len(BANNER))
            check(seen == BANNER[:3] + b'UX!' + BANNER[6:],
                  f'after a write gdb reads {seen}')
            check(gdb.write(where + 3, BANNER[3:6]), 'gdb cannot write')
        guest.wait_ticks(3)
    finally:
        guest.close()


@test('debug: nothing without the option, whatever the policy allows')
def not_asked(env):
    guest = env.boot('nodebug', policy=0, boot=WHERE)
    try:
        where = banner_address(guest)
        guest.cmd('stop')
        seen = monitor_bytes(guest, where, len(BANNER))
        check(seen != BANNER, 'the monitor reads the banner')
    finally:
        guest.close()


@test('debug: refused when the policy has NODBG')
def forbidden(env):
    guest = env.lab.guest('nodbg', host=env.host('a'), policy=NODBG,
                          session={'debug-decrypt': 'on'})
    try:
        guest.start()
    except Failed:
        check(re.search(r'debug-decrypt=on, but the guest.s policy 0x1 has '
                        r'NODBG', guest.log()), f'refused: "{guest.log()}"')
    else:
        check(False, 'the guest started')
    finally:
        guest.close()
