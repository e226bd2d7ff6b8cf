# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU's command line, for the guest that is sealed and for its clones.

A template's spec holds what both must agree on; only the origin has a kernel,
an initrd and firmware files.
"""

from sevclone import Trouble

PORT = 'org.qemu.sev.clone'

# Of "sev-psp session --out"
DH_CERT, SESSION = 'dh-cert.base64', 'session.base64'

# What a guest that is cloned has no use for costs start-up time.
MACHINE = 'q35,sata=off,smbus=off,hpet=off,vmport=off,graphics=off'


def defaults(options):
    """The spec of a guest from the options of 'make'."""
    spec = {
        'bare': options.bare,
        'accel': options.accel,
        'machine': options.machine,
        'cpu': options.cpu,
        'memory_mib': options.memory,
        'smp': options.smp,
        'sev': None if options.no_sev else {'policy': options.policy},
        'net': options.net,
        'vsock': options.vsock,
        'extra': list(options.extra),
    }
    lane, method = (getattr(options, word, None) for word in ('lane', 'method'))
    if lane or method:
        if options.bare or options.no_sev:
            raise Trouble('--lane and --method are for SEV guests whose machine '
                          'is ours: not with --bare or --no-sev')
        spec['sev'].update(lane=lane or 'off',
                           method=method or 'auto')
    if options.session and (options.bare or options.no_sev):
        raise Trouble('--session launches an SEV guest whose machine is ours: '
                      'not with --bare or --no-sev')
    if options.bare:
        spec['extra'], spec['boot'] = split_boot(spec['extra'])
    return spec


def split_boot(arguments):
    """(what clones get too, what only the origin gets) of a command line."""
    kept, boot, rest = [], [], list(arguments)
    while rest:
        word = rest.pop(0)
        if word.lstrip('-') in ('kernel', 'initrd', 'append', 'shim'):
            if not rest:
                raise Trouble(f'{word} needs a value')
            boot += [word, rest.pop(0)]
        else:
            kept.append(word)
    return kept, boot


def parts(spec):
    """Processors, memory and its randomness."""
    return ['-cpu', spec['cpu'],
            '-object', 'memory-backend-ram,id=ram,'
            f'size={spec["memory_mib"]}M',
            '-object', 'rng-random,id=rng0,filename=/dev/urandom',
            '-device', 'virtio-rng-pci,rng=rng0']


def common(spec, owner=None, launch=False):
    """What the origin and every clone share, but for the flash's content.

    @owner: a folder with the files of "sev-psp session", for a launch, whose
    guest may have a lane; a clone's comes with its template.
    """
    args = ['-nodefaults', '-no-user-config', '-display', 'none']
    if not spec['bare']:
        machine = f'{spec["machine"]},memory-backend=ram'
        if spec['sev'] is not None:
            machine += ',confidential-guest-support=sev0'
            files = (f',dh-cert-file={owner / DH_CERT},session-file='
                     f'{owner / SESSION}' if owner else '')
            if launch and spec['sev'].get('lane'):
                files += f',lane={spec["sev"]["lane"]}'
            args += ['-object', 'sev-guest,id=sev0,'
                     f'policy={spec["sev"]["policy"]:#x}{files}']
        args += ['-machine', machine, '-accel', spec['accel'],
                 '-smp', str(spec['smp']), '-m', f'{spec["memory_mib"]}M',
                 '-no-reboot', *parts(spec)]
    args += ['-device', 'virtio-serial-pci,id=clone-bus,max_ports=2',
             '-device', f'virtserialport,bus=clone-bus.0,nr=1,name={PORT},'
             'chardev=clone']
    return args + spec['extra']


def network(spec, mac):
    if spec['net'] == 'none':
        return []
    return ['-netdev', 'user,id=net0', '-device',
            f'virtio-net-pci,netdev=net0,mac={mac},romfile=']


def vsock(spec, cid):
    if not spec['vsock']:
        return []
    return ['-device', f'vhost-vsock-pci,guest-cid={cid}']


def origin(spec, identity, boot, flash, owner=None):
    """@boot: kernel arguments; @flash: (code, variables), writable copies."""
    args = common(spec, owner, True) + network(spec, identity['mac'])
    args += vsock(spec, identity['cid']) + ['-uuid', identity['uuid']]
    if flash:
        code, variables = flash
        args += ['-drive', 'if=pflash,unit=0,format=raw,readonly=on,'
                 f'file={code}',
                 '-drive', f'if=pflash,unit=1,format=raw,file={variables}']
    return args + boot


def empty_flash(spec):
    """It is filled by the template; what the guest writes there later lives
    as long as the clone."""
    args = []
    for unit, size in enumerate(spec.get('flash', ())):
        fixed = ',read-only=on' if unit == 0 else ''
        args += ['-blockdev', f'driver=null-co,node-name=flash{unit},'
                 f'size={size},read-zeroes=on{fixed}',
                 '-machine', f'pflash{unit}=flash{unit}']
    return args


def clone(spec, identity):
    """A QEMU that waits for migrate-incoming."""
    args = common(spec) + network(spec, identity['mac'])
    args += vsock(spec, identity['cid']) + ['-uuid', identity['uuid']]
    return args + empty_flash(spec) + ['-S', '-incoming', 'defer']


def wrapping(spec):
    """A QEMU whose guest takes a template's key and passes it on; it has no
    other memory to speak of, and never runs."""
    return ['-no-user-config', '-object', 'sev-guest,id=sev0,'
            f'policy={spec["sev"]["policy"]:#x}',
            '-machine', f'{MACHINE},confidential-guest-support=sev0',
            '-accel', spec['accel'], '-cpu', spec['cpu'], '-m', '64M',
            '-S', '-incoming', 'defer']


def for_libvirt(spec, identity):
    """What of a clone no element of libvirt's XML says the same way."""
    options = spec['machine'].partition(',')[2]
    return ['-machine', f'{options},memory-backend=ram'.lstrip(','),
            *parts(spec), *spec['extra'], *network(spec, identity['mac']),
            *empty_flash(spec)]
