# SPDX-License-Identifier: GPL-2.0-or-later
"""Two hops and back, into a file and out of it, a reboot, and away again."""

from registry import test
from sevlib import ACTIVE
from verdict import check

OPTIONS = dict(smp=2, mem=192, ram_file=False, boot=dict(mib=16, tick=100))


def hop(env, guest, here, there, **options):
    """The guest goes on at @there; its old QEMU ends."""
    if env.lab.sev:
        env.host(here).trust(env.host(there))
    target = env.start(f'at-{there}', there, incoming='defer',
                       **(options or OPTIONS))
    info = guest.migrate(f'tcp:127.0.0.1:{target.listen(guest)}')
    check(info['status'] == 'completed', f'{here} to {there}: {info}')
    target.wait_loaded()
    target.wait_ticks(3)
    guest.close()
    return target


def through_file(env, guest, host):
    """Saved to a file, restored from it."""
    image = env.lab.large('hops.image')
    guest.cmd('stop')
    info = guest.migrate(f'file:{image}')
    check(info['status'] == 'completed', f'save: {info}')
    restored = env.start('restored', host, incoming=f'file:{image}', **OPTIONS)
    restored.came_from = guest
    restored.wait_loaded()
    image.unlink()
    if not restored.cmd('query-status')['running']:
        restored.cmd('cont')
    restored.wait_ticks(3)
    guest.close()
    return restored


def rebooted(guest):
    """It counts from 1 again."""
    guest.forget()
    guest.cmd('system_reset')
    guest.wait_text(r'^UP ')
    if guest.sev:
        guest.wait_text(ACTIVE)
    guest.wait_text(r'^TICK 1 ')
    guest.wait_ticks(3)


def launched(guest):
    return guest.cmd('query-sev-launch-measure')['data'] if guest.sev else ''


@test('migrate: two hops and back, a file, a reboot, and away', sev=False)
def round_trip(env):
    guest = env.boot('at-a', 'a', **OPTIONS)
    owned = launched(guest)
    for here, there in ('ab', 'bc', 'ca'):
        guest = hop(env, guest, here, there)
    guest = through_file(env, guest, 'a')
    rebooted(guest)
    guest = hop(env, guest, 'a', 'b')
    check(launched(guest) == owned, 'another measurement than at the launch')
    guest.close()
