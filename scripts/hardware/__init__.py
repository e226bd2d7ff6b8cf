# SPDX-License-Identifier: GPL-2.0-or-later
"""What 'make check-hardware' does; ../check-hardware is the command.

    claims.py     the rows of the report
    ledger.py     what was seen, as a table and as JSON
    host.py       processor, kernel, module, log
    limits.py     what this user and this host have room for
    ioctls.py     /dev/kvm and /dev/sev without QEMU
    platform.py   the firmware and its certificates
    commands.py   the firmware's commands for a launch, on a VM without a vCPU
    packets.py    those for SEND and RECEIVE, on two
    guests.py     the guests that QEMU runs
    moves.py      launch, migrate, save, restore
    cli.py        the order of all that
"""
