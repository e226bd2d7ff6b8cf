# SPDX-License-Identifier: GPL-2.0-or-later
"""The two ends of a template: QMP that seals a guest, QMP that loads a clone."""

import os

from sevclone import Trouble, qmp, wraps

LIMIT = 300             # seconds; a seal or a load that takes longer has failed
IMAGE = 'image'


def _capabilities(monitor, names):
    monitor.cmd('migrate-set-capabilities', {'capabilities': [
        {'capability': name, 'state': True} for name in names]})


def _capability_names(spec):
    names = ['events']
    if spec['sev'] is not None or spec['bare']:
        names.append('sev-template')
    return names


def _ended(event):
    return (event['event'] == 'MIGRATION' and event['data']['status'] in
            ('completed', 'failed', 'cancelled'))


def _finish(monitor, what):
    event = monitor.event(_ended, LIMIT)
    if event['data']['status'] != 'completed':
        info = monitor.cmd('query-migrate')
        raise Trouble(f'{what}: '
                      f'{info.get("error-desc", event["data"]["status"])}')


def seal(monitor, spec, folder):
    """Seal a stopped guest into @folder; returns the spec's 'image'."""
    _capabilities(monitor, _capability_names(spec))
    method = (spec['sev'] or {}).get('method')
    if method:
        monitor.cmd('migrate-set-parameters', {'sev-method': method})
    # The file is made by us, so that nobody else may read it.
    folder.create(IMAGE).close()
    monitor.cmd('migrate', {'uri': f'file:{folder / IMAGE}'})
    _finish(monitor, 'the guest cannot be sealed')
    with folder.open(IMAGE) as image:
        os.fsync(image.fileno())
        size = os.fstat(image.fileno()).st_size
    info = monitor.cmd('query-migrate')
    said = {'file': IMAGE, 'bytes': size,
            'milliseconds': info.get('total-time'), 'sev': info.get('sev')}
    if spec['sev'] is not None:
        said['platform'] = monitor.cmd('query-sev-platform-certs')['fingerprint']
    return said


def prepare(monitor, template):
    """What a clone can be told before its memory is wanted."""
    _capabilities(monitor, _capability_names(template.spec))
    wrap = wraps.use(monitor, template)
    sources = template.sources(wrap and wrap['platform'])
    if sources:
        # Whatever lies there now, only who sealed the template may have.
        monitor.cmd('migrate-set-parameters', {'sev-allowed-sources': sources})


def load(monitor, template):
    """Fill a waiting QEMU from @template; it is then stopped, and a clone."""
    try:
        monitor.cmd('migrate-incoming', {'uri': f'file:{template.image}',
                                         'exit-on-error': False})
    except qmp.Refused as error:
        raise Trouble(f'template {template.name}: {error}') from error
    _finish(monitor, f'template {template.name} cannot be loaded')
