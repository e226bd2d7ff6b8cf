# SPDX-License-Identifier: GPL-2.0-or-later
"""Templates on disk: one folder each, complete or not there at all."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import time
from pathlib import Path

from sevclone import Trouble, places, process

SPEC = 'template.json'
VERSION = 1
FIELDS = ('image', 'sev', 'bare', 'memory_mib', 'created')
WORK = re.compile(r'\.(?P<name>.+)\.(?P<pid>\d+)(-(?P<started>\d+))?')
NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9_.-]{0,40}')


def check_name(name):
    if not NAME.fullmatch(name):
        raise Trouble(f'"{name}" is no name for a template: up to 41 letters, '
                      'digits, "_", "." and "-", a letter or digit first')
    return name


class Template:
    """A sealed guest: its image, and all that a clone's command line needs."""

    def __init__(self, folder, spec, stamp):
        self.folder, self.spec = Path(folder), spec
        self.stamp = stamp              # another one when it was replaced
        self.name = self.folder.name

    @property
    def image(self):
        return self.folder / self.spec['image']['file']

    def digest(self, progress=None):
        """SHA-256 of the image as it is now."""
        return digest(self.image, progress)


def digest(path, progress=None):
    size, done, total = path.stat().st_size, 0, hashlib.sha256()
    with path.open('rb') as f:
        while data := f.read(1 << 20):
            total.update(data)
            done += len(data)
            if progress:
                progress(done, size)
    return total.hexdigest()


def open_template(name):
    folder = places.home() / check_name(name)
    try:
        with (folder / SPEC).open(encoding='utf-8') as f:
            about = os.fstat(f.fileno())
            spec = json.load(f)
    except FileNotFoundError:
        there = ', '.join(t.name for t in templates()) or 'none'
        raise Trouble(f'there is no template "{name}" in {places.home()} '
                      f'(there: {there})') from None
    except (OSError, ValueError) as error:
        raise Trouble(f'{folder / SPEC} cannot be read: {error}') from error
    if not isinstance(spec, dict) or spec.get('version') != VERSION:
        raise Trouble(f'{folder / SPEC} is of another version; make the '
                      'template again')
    missing = [key for key in FIELDS if key not in spec]
    if missing or not isinstance(spec['image'], dict) or \
            not isinstance(spec['image'].get('file'), str):
        raise Trouble(f'{folder / SPEC} is not whole ({", ".join(missing)}); '
                      'make the template again')
    found = Template(folder, spec, (about.st_ino, about.st_mtime_ns,
                                    spec['created']))
    if not found.image.exists():
        raise Trouble(f'{found.image} is missing; make the template again')
    return found


def templates():
    for folder in sorted(places.home().glob('*/' + SPEC)):
        with contextlib.suppress(Trouble):
            yield open_template(folder.parent.name)


@contextlib.contextmanager
def new_template(name, replace=False):
    """A folder to make a template in; it gets its name when all went well.

    What is left of an interrupted one starts with a dot, and goes next time.
    """
    final = places.home() / check_name(name)
    if final.exists() and not replace:
        raise Trouble(f'there is a template "{name}" already; "sev-clone rm '
                      f'{name}" removes it, --replace replaces it')
    places.private_folder(places.home())
    me = process.identify(os.getpid())
    work = places.home() / f'.{name}.{me["pid"]}-{me["started"]}'
    sweep()
    work.mkdir(mode=0o700)
    try:
        yield work
        sync_folder(work)
        if final.exists():
            shutil.rmtree(final)
        os.rename(work, final)
        sync_folder(places.home())
    finally:
        shutil.rmtree(work, ignore_errors=True)


def sync_folder(path):
    """The names in a folder are on the disk."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sweep():
    """Remove what a make that is no more left; of which templates it was."""
    names = []
    for left in places.home().glob('.*'):
        found = WORK.fullmatch(left.name)
        if not found:
            continue
        started = process.started_at(found['pid'])
        if started is None or found['started'] not in (None, str(started)):
            shutil.rmtree(left, ignore_errors=True)
            names.append(found['name'])
    return names


def write_spec(folder, spec):
    """The last file of a template: with it, the template is whole."""
    spec = {'version': VERSION, 'created': int(time.time()), **spec}
    path = folder / SPEC
    with path.open('w', encoding='utf-8') as f:
        json.dump(spec, f, indent=1)
        f.flush()
        os.fsync(f.fileno())
    return spec


def check_there(name):
    """There is something to remove, whole or not."""
    if not (places.home() / check_name(name)).is_dir():
        raise Trouble(f'there is no template "{name}" in {places.home()}')


def remove(name):
    folder = places.home() / check_name(name)
    # The spec first: half a folder is then no template.
    (folder / SPEC).unlink(missing_ok=True)
    if folder.exists():
        shutil.rmtree(folder)
