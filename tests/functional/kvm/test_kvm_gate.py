# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests under KVM that cannot be migrated now: why, and when they can.

Under TCG these guests can be: QEMU sees the C-bit of each of their pages.
"""

import contextlib

from kvmhost import KvmTiny, two_hosts
from registry import expect_error, test
from sevtiny import arrived, migrate, refused, running, waiting
from verdict import check

NULL = 'exec:cat > /dev/null'


@test('kvm sev: a guest that never ran is refused, until it did')
def never_ran(env):
    one, two = two_hosts(env)
    guest = KvmTiny(env, 'never-ran', one, '-S')
    with contextlib.closing(guest.start()), \
            waiting(env, guest, two) as (target, uri):
        refused(guest, 'has not run yet')
        guest.cmd('cont')
        guest.soundly()
        info = migrate(guest, uri)
        check(info['status'] == 'completed', f'{info}')
        arrived(guest, target)


@test('kvm sev: a guest that is reset while it moves runs on')
def reset(env):
    one, two = two_hosts(env)
    with running(env, 'reset-meanwhile', one, kind='once',
                 control=['not-coherent', 'delay SEND_UPDATE_DATA 1000']) as guest:
        guest.name_target(two)
        guest.cmd('migrate', uri=NULL)
        guest.wait_commands('SEND_UPDATE_DATA', 50)
        guest.cmd('system_reset')
        expect_error(guest.wait_migration(), 'declared no page')
        guest.soundly()


@test('kvm sev: memory that nobody declares shared is refused')
def ivshmem(env):
    one, _ = two_hosts(env)
    with running(env, 'ivshmem', one, '-object', 'memory-backend-file,id=shm,'
                 f'size=1M,share=on,mem-path={env.lab.large("shm")}', '-device',
                 'ivshmem-plain,memdev=shm,master=on') as guest:
        refused(guest, "device 'ivshmem-plain'")
