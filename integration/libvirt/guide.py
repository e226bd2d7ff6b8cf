# SPDX-License-Identifier: GPL-2.0-or-later
"""What README.md says, on a host: its commands as pasted, its refusals."""

import json
import sys

from hosts import HERE, Failed, run

PAGE = HERE / 'README.md'
PASTE = HERE.parents[1] / 'scripts/docs/paste.py'
POLICY = '<policy>0x0001</policy>'
GUID = '736869e5-84f0-4973-92ec-06879ce3da0b'   # what the guest looks for
ROOM = str(0x80d000)    # virsh wants a decimal; in a page that OVMF's AmdSev build sets aside


def refused(words, step):
    """What @step fails with, which has to have @words."""
    try:
        step()
    except Failed as error:
        lines = [line for line in str(error).splitlines() if words in line]
        if not lines:
            raise
        return lines[0][lines[0].index(words):]
    raise Failed('it was accepted')


class Guide:
    """@xml: a domain without an owner's session; @shared: /srv on all hosts."""

    def __init__(self, shared, domain, xml, hosts):
        self.shared, self.domain, self.xml = shared, domain, xml
        self.a, self.b = hosts

    def paste(self, heading):
        """A section's commands, without what installs packages."""
        text = run([sys.executable, PASTE, '--without', 'apt-get',
                    f'{PAGE}#{heading}'])
        (self.shared / 'pasted').write_text(text, 'utf-8')
        return self.a.inside('env', 'HOME=/srv', 'sh', '-c',
                             'cd /srv; exec bash pasted 2>&1')

    def virt_install(self):
        """Its screen is a PNG."""
        self.paste('With virt-install')
        self.domain.measured(self.a, 'try1')
        self.domain.measurement = None
        picture = self.shared / 'screen.png'        # virsh writes outside
        self.a.virsh('screenshot', 'try1', picture)
        self.a.virsh('destroy', 'try1')
        self.a.virsh('undefine', '--nvram', 'try1')
        if not picture.read_bytes().startswith(b'\x89PNG'):
            raise Failed('the screenshot is not a PNG')

    def clones(self):
        said = self.paste('Clones')
        state = self.a.virsh('domstate', 'web').strip()
        if state != 'running' or 'OK: Looks good to me' not in said:
            raise Failed(f'it is {state}; {said}')
        self.a.virsh('destroy', 'web')
        self.a.virsh('undefine', 'web')

    def session(self, host, name):
        """An owner's, for the platform of @host: what goes into the XML."""
        host.inside('install', '-d', '-m', '700', '-o', 'libvirt-qemu',
                    f'/srv/{name}')
        host.psp('session', '--policy', '0x1', '--out', f'/srv/{name}')
        cert, blob = ((self.shared / name / file).read_text('ascii').strip()
                      for file in ('dh-cert.base64', 'session.base64'))
        made = self.shared / f'{name}.xml'
        made.write_text(self.xml.read_text('utf-8').replace(
            POLICY, f'{POLICY}<dhCert>{cert}</dhCert>'
            f'<session>{blob}</session>'), 'utf-8')
        return made

    def another_session(self):
        other = self.session(self.b, 'other')
        return refused("made for another platform's PDH",
                       lambda: self.a.virsh('create', other))

    def secret(self):
        """The owner's, into a paused guest: an address is needed, and enough."""
        self.a.virsh('create', '--paused', self.session(self.a, 'mine'))
        (self.shared / 'text').write_text('of the owner', 'utf-8')
        said = self.a.virsh('domlaunchsecinfo', self.domain.name)
        measured = dict(line.replace(' ', '').split(':', 1)
                        for line in said.strip().splitlines())
        sealed = json.loads(self.a.inside(
            'sev-psp', '--json', 'secret', '--tek', '/srv/mine/tek', '--tik',
            '/srv/mine/tik', '--measurement', measured['sev-measurement'],
            f'{GUID}=/srv/text'))
        words = ['domsetlaunchsecstate', self.domain.name]
        for option, name in (('--secrethdr', 'packet-header'),
                             ('--secret', 'secret')):
            (self.shared / name).write_text(sealed[name], 'utf-8')
            words += [option, self.shared / name]
        why = refused('an area of 0 bytes for the secret: specify gpa',
                      lambda: self.a.virsh(*words))
        self.a.virsh(*words, '--set-address', ROOM)
        self.a.virsh('destroy', self.domain.name)
        return why
