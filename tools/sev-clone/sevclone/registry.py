# SPDX-License-Identifier: GPL-2.0-or-later
"""A template as an artifact of an OCI registry.

Its folder becomes an OCI image layout, and skopeo carries that to a registry and
back: the image is one blob, each wrap another, and the spec is the "config".  A
registry keeps a blob once, so whoever pushes a new wrap sends nothing else.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess

from sevclone import Trouble, store

TYPE = 'application/vnd.sev-clone'
SPEC_TYPE = f'{TYPE}.template.v1+json'
IMAGE_TYPE, WRAP_TYPE = f'{TYPE}.image.v1', f'{TYPE}.wrap.v1'
MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json'
INDEX_TYPE = 'application/vnd.oci.image.index.v1+json'
TITLE = 'org.opencontainers.image.title'        # the name of a blob's file
TAG = 'sev-clone'       # in the layout, which is ours
MANIFEST_MAX = 1 << 20
WRAPS_MAX = 1000
DIGEST = re.compile('sha256:([0-9a-f]{64})')
SAID = re.compile(r'msg="((?:[^"\\]|\\.)*)"')
TRANSPORT = re.compile(r'(docker|oci|oci-archive|dir):')


def reference(text):
    """As skopeo wants it; a plain name is that of a registry."""
    return text if TRANSPORT.match(text) else f'docker://{text}'


def pinned(text, digest):
    """The same, of the manifest with this SHA-256, whatever a tag says by now."""
    where = reference(text)
    if not where.startswith('docker:'):
        return where            # a file of this host
    host, slash, name = where.partition('@')[0].rpartition('/')
    return f'{host}{slash}{name.partition(":")[0]}@sha256:{digest}'


def last_words(log):
    """The message of the last line of a log: level=fatal msg="..." """
    line = (log.strip().splitlines() or ['no message'])[-1]
    found = SAID.search(line)
    return re.sub(r'\\(.)', r'\1', found.group(1)) if found else line


class Skopeo:
    """skopeo, with what the user said about TLS and passwords."""

    def __init__(self, options):
        self.options = {'authfile': options.authfile,
                        'cert-dir': options.cert_dir,
                        'tls-verify': options.tls_verify}
        self.program = shutil.which('skopeo')
        if not self.program:
            raise Trouble('there is no skopeo, which talks with registries: '
                          'install the package skopeo')

    def run(self, command, side, *words):
        """@side: '' or 'src-' or 'dest-', of the registry's options."""
        extra = [f'--{side}{name}={value}'
                 for name, value in self.options.items() if value]
        done = subprocess.run([self.program, command, *extra, *words],
                              stdin=subprocess.DEVNULL, capture_output=True,
                              check=False)
        if done.returncode:
            said = done.stderr.decode('utf-8', 'replace')
            raise Trouble(f'skopeo {command}: {last_words(said)}')
        return done.stdout

    def push(self, layout, where):
        self.run('copy', 'dest-', '--preserve-digests', f'oci:{layout}:{TAG}',
                 reference(where))

    def pull(self, where, digest, layout):
        self.run('copy', 'src-', '--preserve-digests', pinned(where, digest),
                 f'oci:{layout}:{TAG}')

    def manifest(self, where):
        return self.run('inspect', '', '--raw', reference(where))

    def config(self, where):
        return self.run('inspect', '', '--config', '--raw', reference(where))


# --- The layout ---------------------------------------------------------------

class Layout:
    """An OCI image layout in a folder of ours."""

    def __init__(self, folder, make=True):
        self.folder = folder
        if make:
            folder.make('blobs').make('sha256')
            folder.write('oci-layout', b'{"imageLayoutVersion": "1.0.0"}')
        self.blobs = folder.below('blobs').below('sha256')

    def put(self, kind, data, **more):
        """A blob of ours; its descriptor."""
        digest = hashlib.sha256(data).hexdigest()
        if not self.blobs.has(digest):
            self.blobs.write(digest, data)
        return descriptor(kind, digest, len(data), **more)

    def link(self, kind, folder, entry):
        """A blob that is a file of a template already."""
        if not self.blobs.has(entry['sha256']):
            folder.link(entry['file'], self.blobs, entry['sha256'])
        return descriptor(kind, entry['sha256'], entry['bytes'],
                          annotations={TITLE: entry['file']})

    def finish(self, manifest):
        data = json.dumps(manifest, indent=1).encode()
        named = self.put(MANIFEST_TYPE, data, annotations={
            'org.opencontainers.image.ref.name': TAG})
        self.folder.write('index.json', json.dumps({
            'schemaVersion': 2, 'mediaType': INDEX_TYPE,
            'manifests': [named]}).encode())
        return named['digest']


def descriptor(kind, digest, size, **more):
    return {'mediaType': kind, 'digest': f'sha256:{digest}', 'size': size,
            **more}


def public(spec):
    """What of a spec is not of this host."""
    return {key: value for key, value in spec.items() if key != 'sources'}


def fill(layout, template):
    """The layout of a template; the digest of its manifest."""
    spec = template.spec
    config = layout.put(SPEC_TYPE, json.dumps(public(spec), indent=1).encode())
    layers = [layout.link(IMAGE_TYPE, template.folder, spec['image'])]
    layers += [layout.link(WRAP_TYPE, template.folder, wrap)
               for wrap in template.wraps]
    return layout.finish({'schemaVersion': 2, 'mediaType': MANIFEST_TYPE,
                          'config': config, 'layers': layers})


# --- What a registry says -----------------------------------------------------

def no(why):
    return Trouble(f'what the registry has is no template: {why}')


def _blob(said, kind, limit):
    """(SHA-256, size) of a descriptor, if it is one of @kind."""
    found = isinstance(said, dict) and isinstance(said.get('digest'), str) and \
        DIGEST.fullmatch(said['digest'])
    if not found or said.get('mediaType') != kind:
        raise no(f'a blob is not {kind}')
    size = said.get('size')
    if not store.is_count(size) or size > limit:
        raise no(f'a blob of {size} bytes, {limit} at most')
    return found.group(1), size


def parse(text):
    """(spec's digest, {digest: size} of the blobs) of a manifest."""
    try:
        said = json.loads(text) if len(text) <= MANIFEST_MAX else None
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict) or not isinstance(said.get('layers'), list):
        raise no('its manifest is not one of OCI')
    if not 1 <= len(said['layers']) <= WRAPS_MAX + 1:
        raise no(f'{len(said["layers"])} blobs, {WRAPS_MAX + 1} at most')
    spec = _blob(said.get('config'), SPEC_TYPE, store.SPEC_MAX)
    image, *wraps = said['layers']
    blobs = dict([_blob(image, IMAGE_TYPE, 1 << 50)] +
                 [_blob(wrap, WRAP_TYPE, store.WRAP_MAX) for wrap in wraps])
    return spec[0], blobs


def local_twin(digest):
    """A template of ours with the same image, so that it is not fetched."""
    return next((t for t in store.templates()
                 if t.spec['image']['sha256'] == digest), None)


def look(skopeo, where):
    """What a registry has, nothing fetched: (its manifest's SHA-256, the spec,
    {digest: size} of the blobs).
    """
    manifest = skopeo.manifest(where)
    digest, blobs = parse(manifest)
    spec = skopeo.config(where)
    if hashlib.sha256(spec).hexdigest() != digest:
        raise no(f'its spec is not {digest}')
    return hashlib.sha256(manifest).hexdigest(), spec, blobs


def fetch(skopeo, where, found, folder, wanted):
    """A layout in @folder with what look() has found: blobs that are @wanted."""
    layout = Layout(folder)
    image = next(iter(wanted))
    twin = local_twin(image)
    if twin and twin.digest() == image:
        twin.folder.link(twin.spec['image']['file'], layout.blobs, image)
    skopeo.pull(where, found, folder.path)
    try:
        index = json.loads(folder.read('index.json', MANIFEST_MAX))
        named = DIGEST.fullmatch(index['manifests'][0]['digest']).group(1)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise no(f'skopeo left {error!r}') from error
    _, blobs = parse(checked(layout, named, MANIFEST_MAX).decode('utf-8',
                                                                 'replace'))
    if blobs != wanted:
        raise no('it was replaced while it was fetched')
    return layout


def checked(layout, digest, limit):
    """A small blob, if it is what its name says."""
    data = layout.blobs.read(digest, limit)
    if hashlib.sha256(data).hexdigest() != digest:
        raise no(f'blob {digest} is another one')
    return data


def take(layout, digest, size, folder, name, progress):
    """A blob becomes a file of a template, if it is what its digest says."""
    with layout.blobs.open(digest) as blob:
        if os.fstat(blob.fileno()).st_size != size:
            raise no(f'blob {digest} does not have the {size} bytes of its '
                     'manifest')
        with folder.create(name) as file:
            found = store.copy(blob, file, progress)
    if found != digest:
        raise no(f'the SHA-256 of {name} is {found}, it should be {digest}')
