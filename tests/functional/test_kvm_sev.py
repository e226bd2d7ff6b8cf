# SPDX-License-Identifier: GPL-2.0-or-later
"""SEV guests under KVM, with the stand-in of ../kvm in the place of Linux."""

from kvmhost import kvm_host, migrate, running, waiting
from registry import test
from verdict import check

# Until QEMU offers it by itself, the stand-in tells the guest of bit 17.
FORCED = ('force-migration-control',)


@test('kvm sev: a guest is launched and moves while it runs')
def moves(env):
    one, two = kvm_host(env, 'a'), kvm_host(env, 'b')
    one.trust(two)
    with running(env, 'source', one, kind='efi', control=FORCED) as source, \
            waiting(env, source, two, kind='efi',
                    control=FORCED) as (target, uri):
        info = migrate(source, uri)
        check(info['status'] == 'completed', f'{info}')
        target.soundly()
        check(target.ticks()[0][0] > source.ticks()[-1][0], 'it went back')
