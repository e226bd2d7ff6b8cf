# SPDX-License-Identifier: GPL-2.0-or-later
"""A launch secret goes where there is room for it, and nowhere in silence."""

import contextlib
import json

from registry import SAID, test
from test_tool import POLICY, sev_psp
from verdict import check

GUID = '736869e5-84f0-4973-92ec-06879ce3da0b'   # what the guest looks for
ROOM = 0x80d000         # in the page that OVMF's AmdSev build sets aside


@test('secret: an empty area in the firmware is refused, an address is taken')
def no_room(env):
    owner = env.lab.folder / 'owner-secret'
    env.host('a').pdh()
    sev_psp(env, 'session', '--policy', POLICY, '--out', str(owner))
    text = env.lab.folder / 'text'
    text.write_text('of the owner')
    guest = env.lab.guest('secret', host=env.host('a'), extra=('-S',),
                          policy=int(POLICY, 0), session={
                              'dh-cert-file': owner / 'dh-cert.base64',
                              'session-file': owner / 'session.base64'})
    with contextlib.closing(guest):
        guest.start()
        sealed = json.loads(sev_psp(
            env, '--json', 'secret', '--tek', str(owner / 'tek'), '--tik',
            str(owner / 'tik'), '--measurement',
            guest.cmd('query-sev-launch-measure')['data'],
            f'{GUID}={text}').stdout)
        words = {'packet-header': sealed['packet-header'],
                 'secret': sealed['secret']}
        said = guest.vm.qmp('sev-inject-launch-secret', **words)
        check('an area of 0 bytes for the secret: specify gpa' in
              said.get('error', {}).get('desc', ''), f'it said: {said}')
        SAID.append(said['error']['desc'])
        said = guest.vm.qmp('sev-inject-launch-secret', gpa=ROOM, **words)
        check('return' in said, f'with an address it said: {said}')
