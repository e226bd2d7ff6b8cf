# SPDX-License-Identifier: GPL-2.0-or-later
"""A clone as a domain of libvirt: its XML, and its first steps.

Nothing of "incoming" is in the XML, so that libvirt can move, save and restore
the domain like any other.  The emulator is sev-clone-qemu: QEMU, which begins with
the template that <qemu:env> names unless libvirt gives it a guest to receive.
"""

import re
import subprocess
import time
from xml.etree import ElementTree as ET

from sevclone import Trouble, machine, places, process, verify
from sevclone.channel import Channel

QEMU = 'http://libvirt.org/schemas/domain/qemu/1.0'
TYPES = {'tcg': 'qemu', 'kvm': 'kvm'}
LIMIT = 60              # seconds, for virsh and for the guest to re-seed
NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9_.-]{0,60}')
FIRST_FREE_SLOT = 3     # after the random numbers and the port's bus
ET.register_namespace('qemu', QEMU)


def check(template, name):
    spec = template.spec
    if not NAME.fullmatch(name):
        raise Trouble(f'"{name}" is no name for a domain: up to 61 letters, '
                      'digits, "_", "." and "-", a letter or digit first')
    if spec['bare']:
        raise Trouble(f'template {template.name} was made with --bare: its '
                      'machine is not known to us')
    if spec['accel'] not in TYPES:
        raise Trouble(f'template {template.name} runs with accel='
                      f'{spec["accel"]}; libvirt knows tcg and kvm')
    if spec['vsock'] and spec['extra']:
        raise Trouble(f'template {template.name} has --vsock and devices after '
                      '"--": which of them comes first libvirt cannot be told')


def check_place(template):
    """libvirt starts a clone without a word of QMP, so it names no wrap."""
    if template.spec.get('sources'):
        raise Trouble(f'template {template.name} may be of some platforms only '
                      '(pull --from), which libvirt cannot be told')
    if template.wraps:
        here = verify.platform(places.qemu())
        if here != template.spec['image'].get('platform'):
            raise Trouble(f'template {template.name} is opened here by a wrap, '
                          'which a domain of libvirt cannot name: make the '
                          'template here')


def add(parent, tag, text=None, **attributes):
    child = ET.SubElement(parent, tag, attributes)
    child.text = text
    return child


def slot(device, number):
    add(device, 'address', type='pci', domain='0', bus='0', slot=str(number),
        function='0')


def devices(domain, spec, who):
    """Those that libvirt must know to look after them."""
    within = add(domain, 'devices')
    add(within, 'emulator', places.emulator())
    add(within, 'controller', type='usb', model='none')
    slot(add(within, 'controller', type='virtio-serial', index='0', ports='2'),
         2)
    serial = add(within, 'serial', type='pty')
    add(serial, 'target', type='isa-serial', port='0')
    port = add(within, 'channel', type='unix')
    add(port, 'target', type='virtio', name=machine.PORT)
    add(port, 'address', type='virtio-serial', controller='0', bus='0',
        port='1')
    add(within, 'memballoon', model='none')
    add(add(within, 'video'), 'model', type='none')
    if spec['vsock']:
        card = add(within, 'vsock', model='virtio')
        add(card, 'cid', auto='no', address=str(who['cid']))
        slot(card, FIRST_FREE_SLOT + (spec['net'] != 'none'))


def xml(template, name):
    """A new clone of @template, with an identity of its own."""
    check(template, name)
    check_place(template)
    spec, who = template.spec, process.identity()
    domain = ET.Element('domain', type=TYPES[spec['accel']])
    add(domain, 'name', name)
    add(domain, 'uuid', who['uuid'])
    add(domain, 'memory', str(spec['memory_mib']), unit='MiB')
    add(domain, 'vcpu', str(spec['smp']))
    add(add(domain, 'os'), 'type', 'hvm', arch='x86_64',
        machine=spec['machine'].partition(',')[0])
    add(add(domain, 'features'), 'acpi')
    # Overruled by "-cpu" below; a model by name libvirt would compare with it.
    cpu = add(domain, 'cpu', mode='maximum', check='none')
    add(cpu, 'topology', sockets='1', dies='1', cores=str(spec['smp']),
        threads='1')
    # Without a kernel there is nothing to boot again.
    add(domain, 'on_reboot', 'destroy')
    devices(domain, spec, who)
    if spec['sev'] is not None:
        security = add(domain, 'launchSecurity', type='sev')
        add(security, 'policy', f'{spec["sev"]["policy"]:#06x}')
    more = ET.SubElement(domain, f'{{{QEMU}}}commandline')
    for word in machine.for_libvirt(spec, who):
        ET.SubElement(more, f'{{{QEMU}}}arg', value=word)
    ET.SubElement(more, f'{{{QEMU}}}env', name='SEV_CLONE_TEMPLATE',
                  value=str(template.image.absolute()))
    ET.indent(domain)
    return ET.tostring(domain, 'unicode')


def virsh(uri, *words):
    try:
        done = subprocess.run(['virsh', '-q', '-c', uri, *words], text=True,
                              stdin=subprocess.DEVNULL, capture_output=True,
                              check=False, timeout=LIMIT)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Trouble(f'virsh {" ".join(words)}: {error}') from error
    if done.returncode:
        raise Trouble(f'virsh {" ".join(words)}: {done.stderr.strip()}')
    return done.stdout


def resume(uri, name):
    """Tell a paused clone that it is one, then let it run; seconds it took."""
    if virsh(uri, 'domstate', name).strip() != 'paused':
        raise Trouble(f'{name} is not paused: "virsh create --paused" starts '
                      'a clone that can be told that it is one')
    told = ET.fromstring(virsh(uri, 'dumpxml', name))
    path = next((port.find('source').get('path')
                 for port in told.iter('channel')
                 if port.find('target').get('name') == machine.PORT), None)
    if not path:
        raise Trouble(f'{name} has no port {machine.PORT}: it was not made by '
                      '"sev-clone xml"')
    uuid = told.findtext('uuid')
    channel = Channel(path)
    try:
        began = time.monotonic()
        channel.tell({'id': uuid.replace('-', '')[:12], 'uuid': uuid,
                      'mac': process.mac(uuid)})
        virsh(uri, 'resume', name)
        said, _ = channel.wait(('done', 'failed'), LIMIT)
    finally:
        channel.close()
    if said == 'failed':
        raise Trouble(f'{name} could not re-seed; its screen says why')
    return time.monotonic() - began
