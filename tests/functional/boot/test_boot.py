# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest boots encrypted, is measured, and shows the host only ciphertext."""

import hunt
import measure
from registry import test
from sevlib import ACTIVE
from verdict import Failed, Skip, check

POLICY = 0x1


@test('measurement: published vectors', sev=False)
def vectors(_env):
    measure.self_test()


@test('boot: an unmodified kernel finds itself encrypted', sev=False)
def boot(env):
    with env.booted() as guest:
        found = guest.find_text(ACTIVE)
        if not env.lab.sev:
            check(not found, f'an ordinary guest says "{found}"')
            return
        check(found, 'the console has no line about memory encryption')
        sev = guest.cmd('query-sev')
        check(sev['enabled'] and sev['state'] == 'running' and
              sev['policy'] == POLICY, f'query-sev says {sev}')


@test('boot: launch measurement equals the owner\'s own')
def measurement(env):
    session = measure.Session(env.host('a').pdh(), POLICY, env.lab.folder)
    guest = env.start('owned', session=session.options(env.lab.folder),
                      policy=POLICY)
    try:
        measured = guest.cmd('query-sev-launch-measure')['data']
        expected, found = measure.matches(session, guest.cmd('query-sev'),
                                          measured, env.lab.firmware)
        check(expected == found, f'measured {found}, expected {expected}')
    finally:
        guest.close()


@test('boot: a session made for another platform is refused')
def foreign_session(env):
    session = measure.Session(env.host('b').pdh(), POLICY, env.lab.folder)
    guest = env.lab.guest('foreign-session', host=env.host('a'),
                          session=session.options(env.lab.folder))
    try:
        guest.start()
    except Failed:
        check("LAUNCH_START: the session was made for another platform's PDH"
              in guest.log(), f'refused with "{guest.log()}"')
    else:
        check(False, 'the guest was launched')
    finally:
        guest.close()


@test('hunt: the secret of an SEV guest is in no view of the host')
def hunt_encrypted(env):
    with env.booted() as guest:
        views = hunt.views(guest, env.lab.needle())
        check(not any(views.values()), f'found: {views}')


@test('hunt: the secret of the same guest without SEV is in every view',
      sev=False)
def hunt_control(env):
    guest = env.boot('control', sev=False)
    try:
        views = hunt.views(guest, env.lab.needle())
        check(min(views.values()) >= 4096, f'found: {views}')
        guest.wait_ticks(2)
    finally:
        guest.close()


@test('reboot: the guest reboots itself and comes up again', sev=False)
def reboot(env):
    guest = env.start('reboot', boot={'reboot_at': 2, 'tick': 100})
    try:
        guest.wait_text(r'^UP ', times=2)
        guest.wait_text(r'^TICK 1 ', times=2)
        if env.lab.sev:
            guest.wait_text(ACTIVE, times=2)
    finally:
        guest.close()


@test('boot: Linux 6.12', slow=True, sev=False)
def linux_6_12(env):
    kernel = env.lab.kernel
    env.lab.kernel = kernel.parent / 'trixie'
    try:
        if not env.lab.kernel.exists():
            raise Skip('make it with "tests/guest/build.sh trixie"')
        guest = env.boot('linux-6.12')
        check(not env.lab.sev or guest.find_text(r'SEV: Status: SEV'),
              'the console has no line "SEV: Status: SEV"')
        guest.close()
    finally:
        env.lab.kernel = kernel
