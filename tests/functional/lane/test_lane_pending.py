# SPDX-License-Identifier: GPL-2.0-or-later
"""A vCPU is lent while an NMI or an SMI waits for it: the guest gets it later."""

import contextlib

from registry import test
from shape import Shape
from test_lane import counts_on, go_on, loaded, seal, use_lane
from verdict import check

NMI = 'NMI received for unknown reason'
APM = 0xb2                              # ICH9's port that asks for an SMI


def hmp(guest, line):
    return guest.cmd('human-monitor-command', command_line=line)


@test('lane: an NMI that waits while its vCPU is lent')
def nmi(env):
    path = env.lab.large('lane.nmi')
    # A guest that runs on says so once for each, whoever's it was.
    with env.booted(shape=Shape(sev=',lane=on'), keep=False, smp=2,
                    mem=160) as origin:
        origin.cmd('stop')
        origin.cmd('inject-nmi')
        sealed_at = seal(origin, f'file:{path}')
        check(not origin.find_text(NMI), 'it came while the guest stood still')
        go_on(origin)
        origin.wait_text(NMI)
        # And of a guest that runs, while it is lent batch by batch.
        use_lane(origin)
        origin.cmd('migrate', uri=f'exec:cat>{path}.live')
        origin.cmd('inject-nmi')
        info = origin.wait_migration()
        check(info['status'] == 'completed', f'{info}')
    with loaded(env, f'file:{path}', smp=2) as clone:
        counts_on(clone, sealed_at)


@test('lane: an SMI that waits while its vCPU is lent')
def smi(env):
    path = env.lab.large('lane.smi')
    shape = Shape(firmware='smm', cpu='max', sev=',lane=on', backend='ram')
    options = dict(smp=2, ram_file=False, boot=dict(mib=8, tick=100))
    origin = env.boot('lane-smi', shape=shape, **options)
    with contextlib.closing(origin):
        origin.cmd('stop')
        check('SMM=1' not in hmp(origin, 'info registers -a'), 'it is in SMM')
        hmp(origin, f'o /b {APM:#x} 0')
        sealed_at = seal(origin, f'file:{path}')
        check('SMM=1' not in hmp(origin, 'info registers -a'),
              'an SMI was taken while the guest stood still')
        go_on(origin)
    clone = env.start('lane-smi-clone', incoming='defer', shape=shape, **options)
    with contextlib.closing(clone):
        clone.cmd('migrate-incoming', uri=f'file:{path}')
        clone.wait_loaded()
        counts_on(clone, sealed_at)
