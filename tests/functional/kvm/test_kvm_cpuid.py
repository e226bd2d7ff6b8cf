# SPDX-License-Identifier: GPL-2.0-or-later
"""What an SEV guest sees of its processor: the same under KVM and under TCG.

An unmodified guest looks there for all that it does differently. Each
difference between the two accelerators is named here, with its reason.
"""

import contextlib

import softhost
from kvmhost import KvmTiny, kvm_host
from registry import test
from sevtiny import running
from softhost import CBITPOS
from verdict import check

FEATURES, SEV = 0x40000001, 0x8000001f
HC_MAP_GPA_RANGE, MIGRATION_CONTROL = 1 << 16, 1 << 17


def under_tcg(env, stem, **options):
    """A QEMU with an emulated SEV guest; it runs in real mode, all private."""
    return softhost.two_hosts(env)[0].tiny(env, stem, **options)


@test('kvm sev: CPUID of an SEV guest is what it is under TCG')
def leaves(env):
    kvm = KvmTiny(env, 'leaves-kvm', kvm_host(env, 'a'), kind='tiny')
    tcg = under_tcg(env, 'leaves-tcg', kind='tiny')
    with contextlib.closing(kvm.start()), contextlib.closing(tcg.start()):
        kvm.wait_ticks(1)
        tcg.wait_ticks(1)
        # Linux looks for KVM by this name, and for the features behind it.
        check(kvm.leaf(0x40000000) == tcg.leaf(0x40000000),
              f'{kvm.leaf(0x40000000)}, {tcg.leaf(0x40000000)}')
        # KVM has a clock, asynchronous page faults and more to offer; TCG
        # emulates none of that, and nothing of SEV depends on it.
        theirs, ours = kvm.leaf(FEATURES)[0], tcg.leaf(FEATURES)[0]
        check(ours == HC_MAP_GPA_RANGE | MIGRATION_CONTROL, f'TCG {ours:#x}')
        check(theirs & ours == ours, f'KVM {theirs:#x}, TCG {ours:#x}')
        # EBX[5:0] is the C-bit, which KVM has from this host's processor.
        ours, theirs = tcg.leaf(SEV), kvm.leaf(SEV)
        check(ours[1] & 0x3f == CBITPOS, f'TCG: C-bit {ours[1] & 0x3f}')
        check([ours[0], ours[1] & ~0x3f, *ours[2:]] ==
              [theirs[0], theirs[1] & ~0x3f, *theirs[2:]],
              f'0x8000001F: KVM {theirs}, TCG {ours}')


@test('kvm sev: the MSRs of an SEV guest are what they are under TCG')
def msrs(env):
    tcg = under_tcg(env, 'msr-tcg')
    with running(env, 'msr-kvm', kvm_host(env, 'a')) as kvm, \
            contextlib.closing(tcg.start()):
        tcg.wait_ticks(1)
        for guest in (kvm, tcg):
            check(guest.said('SEV_STATUS') == 1,
                  f'SEV_STATUS: {guest.said("SEV_STATUS")}')
            check(guest.said('CONTROL') == 1,
                  f'MSR_KVM_MIGRATION_CONTROL: {guest.said("CONTROL")}')
        shown = kvm.cmd('x-query-sev-page-map')
        check(shown['migration-control'] == 1, f'{shown}')
        check(tcg.cmd('x-query-sev-page-map')['migration-control'] == 1,
              'TCG does not show it')
        kvm.cmd('system_reset')
        kvm.wait_text('STARTED', times=2)
