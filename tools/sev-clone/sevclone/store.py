# SPDX-License-Identifier: GPL-2.0-or-later
"""Templates on disk: one folder each, complete or not there at all."""

import contextlib
import hashlib
import json
import os
import re
import time

from sevclone import Trouble, places, proof

SPEC = 'template.json'
SPEC_MAX = 1 << 20
WRAP_MAX = 128 << 10    # as QEMU
HOLE = 1 << 16          # zeros of which a file need not have blocks
VERSION = 1
WORK = re.compile(r'\.(?P<name>.+)\.(?P<pid>\d+)(-(?P<started>\d+))?')
NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9_.-]{0,40}')


def is_text(value):
    return isinstance(value, str) and '\0' not in value


def is_count(value, limit=1 << 53):
    return type(value) is int and 0 <= value < limit


def is_time(value):
    """Seconds of the epoch that a calendar has."""
    return is_count(value, 1 << 36)


def is_list(check):
    return lambda value: isinstance(value, list) and all(map(check, value))


FINGERPRINT = re.compile('[0-9a-f]{64}')


def is_hex(value):
    return is_text(value) and bool(FINGERPRINT.fullmatch(value))


def is_file(value):
    """The line of a file that a template has: an image, a wrap."""
    return isinstance(value, dict) and is_count(value.get('bytes')) and \
        is_text(value.get('sha256')) and is_text(value.get('file')) and \
        bool(NAME.fullmatch(value['file'])) and \
        not value['file'].startswith(SPEC) and value['file'] != 'oci'


def is_wrap(value):
    return is_file(value) and is_hex(value.get('platform')) and \
        is_hex(value.get('by')) and value['file'].startswith('wrap-')


# What "make" writes that a clone's command line, or we, take over.  None of it
# names a program: the QEMU is the one that "run" is told or finds.
FIELDS = {
    'created': is_time, 'memory_mib': is_count, 'smp': is_count,
    'bare': lambda value: isinstance(value, bool),
    'vsock': lambda value: isinstance(value, bool),
    'net': lambda value: value in ('none', 'user'),
    'accel': is_text, 'machine': is_text, 'cpu': is_text,
    'extra': is_list(is_text),
    'sev': lambda value: value is None or isinstance(value, dict) and
    is_count(value.get('policy')),
    'image': lambda value: is_file(value) and
    is_text(value.get('platform', '')),
}
OPTIONAL = {'flash': is_list(is_count), 'point': is_text,
            'wraps': is_list(is_wrap), 'sources': is_list(is_hex),
            'boot_seconds': lambda value: isinstance(value, (int, float))}


def spec_wrong(spec):
    """The fields of a template's spec that are not what they should be."""
    return [key for key, check in FIELDS.items()
            if key not in spec or not check(spec[key])] + \
           [key for key, check in OPTIONAL.items()
            if key in spec and not check(spec[key])]


def check_name(name):
    if not NAME.fullmatch(name):
        raise Trouble(f'"{name}" is no name for a template: up to 41 letters, '
                      'digits, "_", "." and "-", a letter or digit first')
    return name


class Template:
    """A sealed guest: its image, and all that a clone's command line needs."""

    def __init__(self, folder, spec, stamp):
        self.folder, self.spec = folder, spec
        self.stamp = stamp              # another one when it was replaced
        self.name = folder.path.name

    @property
    def image(self):
        """Its path, for QEMU."""
        return self.folder / self.spec['image']['file']

    @property
    def wraps(self):
        """What opens the image on other platforms, one line each."""
        return self.spec.get('wraps', [])

    def sources(self, platform):
        """Who may have sealed what @platform opens; [] is everybody."""
        wrap = next((w for w in self.wraps if w['platform'] == platform), None)
        maker = self.spec['image'].get('platform')
        if platform != maker and wrap:
            maker = wrap['by']
        return self.spec.get('sources') or ([maker] if maker else [])

    def check_wrap(self, wrap):
        """It is the file that the spec speaks of."""
        data = self.folder.read(wrap['file'], WRAP_MAX)
        found = hashlib.sha256(data).hexdigest()
        if found != wrap['sha256']:
            raise Trouble(f'{self.folder / wrap["file"]} was changed: its '
                          f'SHA-256 is {found}, it was {wrap["sha256"]}')

    def image_size(self):
        with self.folder.open(self.spec['image']['file']) as file:
            return os.fstat(file.fileno()).st_size

    def digest(self, progress=None):
        """SHA-256 of the image as it is now."""
        with self.folder.open(self.spec['image']['file']) as file:
            return digest(file, progress)


def digest(file, progress=None):
    size, done, total = os.fstat(file.fileno()).st_size, 0, hashlib.sha256()
    while data := file.read(1 << 20):
        total.update(data)
        done += len(data)
        if progress:
            progress(done, size)
    return total.hexdigest()


def copy(file, to, progress=None):
    """Copy with holes where there are zeros; the SHA-256 of what was read."""
    size, done, total = os.fstat(file.fileno()).st_size, 0, hashlib.sha256()
    zeros = bytes(HOLE)
    while data := file.read(HOLE):
        total.update(data)
        done += len(data)
        if data == zeros:
            to.seek(len(data), os.SEEK_CUR)
        else:
            to.write(data)
        if progress:
            progress(done, size)
    to.truncate(done)
    to.flush()
    os.fsync(to.fileno())
    return total.hexdigest()


def no_such(name):
    there = ', '.join(t.name for t in templates()) or 'none'
    return Trouble(f'there is no template "{name}" in {places.home_path()} '
                   f'(there: {there})')


def stamp(spec):
    """Another one when clones of it would be others; a wrap changes none."""
    return hashlib.sha256(json.dumps(
        {key: value for key, value in spec.items() if key != 'wraps'},
        sort_keys=True).encode()).hexdigest()


def open_template(name):
    home = places.home()
    path = places.home_path() / check_name(name) / SPEC
    try:
        folder = home.below(name) if home else None
        if not folder or not folder.has(SPEC):
            raise no_such(name)
        with folder.open(SPEC) as file:
            spec = json.loads(file.read(SPEC_MAX))      # less of it is no JSON
    except FileNotFoundError:
        raise no_such(name) from None
    except (OSError, ValueError, RecursionError) as error:
        raise Trouble(f'{path} cannot be read: {error}') from error
    if not isinstance(spec, dict) or spec.get('version') != VERSION:
        raise Trouble(f'{path} is of another version; make the template again')
    wrong = spec_wrong(spec)
    if wrong:
        raise Trouble(f'{path} is not what "make" writes ({", ".join(wrong)}); '
                      'make the template again')
    if not folder.has(spec['image']['file']):
        raise Trouble(f'{path.parent / spec["image"]["file"]} is missing; make '
                      'the template again')
    folder.open(spec['image']['file']).close()
    return Template(folder, spec, stamp(spec))


def templates():
    home = places.home()
    for name in home.names() if home else ():
        if NAME.fullmatch(name):
            with contextlib.suppress(Trouble, OSError):
                if home.below(name).has(SPEC):
                    yield open_template(name)


@contextlib.contextmanager
def new_template(name, replace=False):
    """A folder to make a template in; it gets its name when all went well.

    What is left of an interrupted one starts with a dot, and goes next time.
    """
    check_name(name)
    home = places.home(make=True)
    if home.has(name) and not replace:
        raise Trouble(f'there is a template "{name}" already; "sev-clone rm '
                      f'{name}" removes it, --replace replaces it')
    with workroom(name) as folder:
        yield folder
        folder.sync()
        home.remove(name)
        home.rename(folder.path.name, name)
        home.sync()


@contextlib.contextmanager
def workroom(name):
    """A folder beside the templates that goes when the work is done."""
    home = places.home(make=True)
    me = proof.identify(os.getpid())
    work = f'.{check_name(name)}.{me["pid"]}-{me["started"]}'
    sweep()
    folder = home.make(work)
    try:
        yield folder
    finally:
        home.remove(work)


def sweep():
    """Remove what a make that is no more left; of which templates it was."""
    names, home = [], places.home()
    for left in home.names() if home else ():
        found = WORK.fullmatch(left)
        if not found:
            continue
        started = proof.started_at(found['pid'])
        if started is None or found['started'] not in (None, str(started)):
            with contextlib.suppress(OSError):
                home.remove(left)
            names.append(found['name'])
    return names


def write_spec(folder, spec):
    """The last file of a template: with it, the template is whole."""
    spec = {'version': VERSION, 'created': int(time.time()), **spec}
    folder.write(SPEC, json.dumps(spec, indent=1).encode(), sync=True)
    return spec


def change_spec(template, **fields):
    """A template gets other fields, at once; its clones do not notice."""
    template.spec = {**template.spec, **fields}
    template.folder.write(SPEC, json.dumps(template.spec, indent=1).encode(),
                          sync=True)


def check_there(name):
    """There is something to remove, whole or not."""
    home = places.home()
    if not home or not home.has(check_name(name)):
        raise Trouble(f'there is no template "{name}" in {places.home_path()}')


def remove(name):
    home = places.home()
    if not home or not home.has(check_name(name)):
        return
    with contextlib.suppress(OSError, Trouble):
        # The spec first: half a folder is then no template.
        home.below(name).remove(SPEC)
    home.remove(name)
