# SPDX-License-Identifier: GPL-2.0-or-later
"""Wraps: what makes the image of a template openable on another platform.

QEMU makes and judges them (sev-template-wrap, sev-template-use-wrap); here they
are kept beside the image, one for each platform, and the right one is chosen.
"""

import base64
import contextlib
import hashlib
import json
import os
from pathlib import Path

from sevclone import Trouble, machine, store, verify

LIMIT = 120             # seconds; a real secure processor takes 30 ms
CERTS_MAX = 256 << 10
PARTS = {'sev-pdh': 'pdh', 'sev-plat-cert': 'plat', 'sev-amd-cert': 'amd'}


def file_name(platform):
    return f'wrap-{platform[:16]}'


def chosen(template, platform):
    """The wrap of a template for a platform; None: it needs or has none."""
    if platform == template.spec['image'].get('platform'):
        return None
    return next((wrap for wrap in template.wraps
                 if wrap['platform'] == platform), None)


def use(monitor, template):
    """Tell a waiting QEMU which wrap opens the template here; returns it.

    None: the template is this platform's own, or nobody made a wrap for it, and
    then QEMU says the rest.
    """
    if not template.wraps:
        return None
    here = monitor.cmd('query-sev-platform-certs')['fingerprint']
    wrap = chosen(template, here)
    if wrap:
        template.check_wrap(wrap)
        monitor.cmd('sev-template-use-wrap',
                    {'wrap': str(template.folder / wrap['file'])})
    return wrap


# --- Of whom it is for --------------------------------------------------------

def _read(path, limit):
    with open(path, 'rb') as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise Trouble(f'{path} has more than {limit} bytes')
    return data


def _from_json(path):
    try:
        said = json.loads(_read(path, CERTS_MAX))
    except (ValueError, RecursionError):
        said = None
    if isinstance(said, dict):
        found = {name: said.get(name, said.get(short))
                 for name, short in PARTS.items()}
        if all(isinstance(text, str) for text in found.values()):
            return found
    raise Trouble(f'{path} has no certificates of a platform: "sev-psp --json '
                  'export", or QMP\'s query-sev-platform-certs, says them there')


def certificates(where):
    """Migration parameters, from a folder of "sev-psp export" or from JSON."""
    path = Path(where)
    if not path.is_dir():
        return _from_json(path)
    found = {}
    for name, short in PARTS.items():
        with contextlib.suppress(FileNotFoundError):
            found[name] = base64.b64encode(
                _read(path / f'{short}.cert', CERTS_MAX)).decode()
    if set(found) != set(PARTS):
        raise Trouble(f'{path} has not pdh.cert, plat.cert and amd.cert: '
                      f'"sev-psp export --out {path}" makes them there')
    return found


# --- Making one ---------------------------------------------------------------

def _made(binary, template, certs, allowed, path):
    """QEMU makes a wrap at @path; its answer, and the fingerprint of here."""
    if template.spec['sev'] is None:
        raise Trouble(f'"{template.name}" is of an ordinary guest')
    with verify.monitor(binary, *machine.wrapping(template.spec)) as qemu:
        here = qemu.cmd('query-sev-platform-certs')['fingerprint']
        use(qemu, template)
        qemu.cmd('migrate-set-parameters',
                 {**certs, 'sev-allowed-sources': template.sources(here)})
        if allowed:
            qemu.cmd('migrate-set-parameters',
                     {'sev-allowed-platforms': allowed})
        return qemu.cmd('sev-template-wrap',
                        {'path': str(template.image), 'wrap': str(path)},
                        LIMIT), here


@contextlib.contextmanager
def _work(template):
    """A name of this process' own in the folder, for a wrap that has none yet."""
    name = f'.wrap.{os.getpid()}'
    template.folder.remove(name)
    try:
        yield name
    finally:
        template.folder.remove(name)


def make(binary, template, certs, allowed, out=None):
    """Make a wrap: into the template's folder, or to the file @out."""
    if out:
        work = Path(out).absolute()
        said, here = _made(binary, template, certs, allowed, work)
        return {'platform': said['fingerprint'], 'by': here,
                'image': said['image'], 'file': str(work)}
    with _work(template) as name:
        said, here = _made(binary, template, certs, allowed,
                           template.folder / name)
        return keep(template, name, said['fingerprint'], here)


def add(binary, template, path):
    """Take over a wrap that somebody made; QEMU says whose it is."""
    data = _read(path, store.WRAP_MAX)
    with _work(template) as name:
        with template.folder.create(name) as file:
            file.write(data)
        told = verify.ask(binary, template.image, wrap=template.folder / name)
        if 'wrong' in told:
            raise Trouble(f'{path}: {told["wrong"]}')
        return keep(template, name, told['wrapped-for'], told['sealed-by'])


def entry(data, platform, maker):
    """What the spec says of a wrap."""
    return {'file': file_name(platform), 'bytes': len(data),
            'sha256': hashlib.sha256(data).hexdigest(),
            'platform': platform, 'by': maker}


def keep(template, name, platform, maker):
    """A wrap in the folder gets its name, and then a line in the spec."""
    data = template.folder.read(name, store.WRAP_MAX)
    said = entry(data, platform, maker)
    with template.folder.locked():
        # Another wrap may have come since the spec was read.
        now = store.open_template(template.name)
        template.folder.write(said['file'], data, sync=True)
        others = [wrap for wrap in now.wraps if wrap['platform'] != platform]
        store.change_spec(now, wraps=[*others, said])
    return {**said, 'path': os.fspath(template.folder / said['file'])}
