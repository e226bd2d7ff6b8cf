# SPDX-License-Identifier: GPL-2.0-or-later
"""libvirt puts capabilities and parameters back as soon as a migration has failed."""

import contextlib

import softhost
from registry import test
from sevtiny import arrived, completes, listening
from verdict import wait_until

ROUNDS = 20
GUEST = dict(cpu='EPYC-v4', mem='8M')


@test('multifd: capability and channels are put back while it still fails')
def put_back(env):
    one, two = softhost.two_hosts(env)
    source = one.tiny(env, 'reset', **GUEST)
    with contextlib.closing(source.start()):
        source.soundly()
        for number in range(ROUNDS):
            with listening(env, source, two, multifd=2, **GUEST) as (_, uri):
                source.fails('SEND_UPDATE_DATA', 1 + number % 5)
                source.cmd('migrate', uri=uri)
                wait_until('the failure', 30, lambda:
                           source.migration().get('status') == 'failed', 0)
                # More than there are channels, or none: either was believed.
                if number % 2:
                    source.cmd('migrate-set-parameters', multifd_channels=9)
                source.capabilities(multifd=False)
            source.soundly()
        with listening(env, source, two, multifd=2, **GUEST) as (target, uri):
            completes(source, uri)
            arrived(source, target)
