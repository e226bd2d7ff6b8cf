# SPDX-License-Identifier: GPL-2.0-or-later
"""sev-clone wrap, push, pull: a template of one platform runs on another.

skopeo and docker-registry are Debian's: both the layout that we make and what
is taken out of the registry go through programs that are not ours.
"""

import contextlib
import json
import shutil
import subprocess

from image import Image, flip
from ociregistry import Registry
from registry import SAID, test
from test_clone import Tool, check_distinct
from verdict import check

KIB = 1 << 10
SMALL = 400 * KIB       # for all that is not the image: spec, manifests, wraps


@contextlib.contextmanager
def fleet(env):
    """sev-clone on host A and on host B, and a registry."""
    env.host('fleet-a').trust(env.host('fleet-b'))
    with Tool(env, 'fleet-a') as a, Tool(env, 'fleet-b') as b:
        folder = a.top / 'registry-folder'
        folder.mkdir()
        with Registry(folder) as registry:
            a.refused('skopeo.*certificate', 'pull', registry.reference('x'))
            for tool in (a, b):
                tool.registry = ('--cert-dir', registry.trusted)
            yield a, b, registry


def certificates(env, host):
    """As the operator of that host hands them out."""
    folder = env.lab.folder / f'certs-{host}'
    env.host(host).tool('export', '--out', folder)
    return folder


def spec_of(tool, name):
    return json.loads((tool.home / name / 'template.json').read_text())


def raw(registry, reference):
    """The manifest, as skopeo gets it."""
    return json.loads(subprocess.run(
        ['skopeo', 'inspect', '--raw', '--cert-dir', registry.trusted,
         f'docker://{reference}'], capture_output=True, text=True,
        check=True).stdout)


def push_pull(env, a, b, registry):
    """To B without a wrap, then with one; the image passes once each way."""
    base = registry.reference('web/base:1')
    size = spec_of(a, 'base')['image']['bytes']
    a.do('push', 'base', base, *a.registry)
    check(registry.sent() > size, 'the image was not sent')
    registry.received()
    said = b.do('pull', base, *b.registry)
    check(not said['opens'] and registry.received() > size, f'{said}')
    check((b.home / 'base/image').stat().st_blocks * 512 <
          size * 0.95, 'the holes of the image are lost')
    b.refused(r'A template that no wrap opens here', 'run', 'base')
    by_hand(env, a, b)
    made = a.do('wrap', 'base', '--for', certificates(env, 'fleet-b'))
    check(made['bytes'] < 64 * KIB, f'{made}')
    registry.sent()
    a.do('push', 'base', base, *a.registry)
    sent = registry.sent()
    registry.received()
    said = b.do('pull', base, *b.registry)
    received = registry.received()
    check(said['opens'], f'{said}')
    SAID.append(f'image of {size} bytes, wrap of {made["bytes"]}: {sent} bytes '
                f'sent, {received} received for it')
    check(sent < SMALL and received < SMALL,
          f'{sent} bytes were sent for a wrap, {received} received')
    titles = [layer['annotations']['org.opencontainers.image.title']
              for layer in raw(registry, base)['layers']]
    check(titles == ['image', made['file']], f'the registry has {titles}')
    return made


def by_hand(env, a, b):
    """A wrap as a file that somebody carries."""
    path = a.top / 'carried.wrap'
    made = a.do('wrap', 'base', '--for', certificates(env, 'fleet-b'), '--out',
                path)
    check(not spec_of(a, 'base').get('wraps'), 'it is in the template, too')
    told = b.do('inspect', b.home / 'base/image', '--wrap', path)
    check(told['here'] and told['image'] == made['image'], f'{told}')
    b.do('wrap', 'base', '--add', path)
    check(b.do('inspect', 'base')['here'], 'it does not open the image')
    flip(path, 5000)
    b.refused(r'it was changed: it does not have the digest', 'wrap', 'base',
              '--add', path)


@test('fleet: a template goes by a registry to another platform, and runs there')
def shared(env):
    with fleet(env) as (a, b, registry):
        a.make('base', '--lane', 'on', '--method', 'lane', '-m', 160,
               '--append', 'draws=1')
        made = push_pull(env, a, b, registry)
        check_distinct(b.do('run', 'base', 2, '--detach'))
        b.do('stop', 'base')
        a.do('run', 'base', '--detach')
        a.do('stop', 'base')
        told = b.do('verify', 'base')
        check(not told['wrong'] and told['manifest']['wrapped-for'] ==
              made['platform'], f'{told["wrong"]}')
        check(b.do('list')[0]['wraps'][0]['by'] == made['by'], 'list')
        check(b.do('inspect', 'base')['here'], 'inspect')
        judged(env, a, b, made)
        damaged(b, made)
        kept(b, registry, made)
        arguments(a, b, registry)


def kept(b, registry, made):
    """What the user of B said stays when a template is pulled again."""
    base = registry.reference('web/base:1')
    b.do('pull', base, '--from', 'b' * 64, *b.registry)
    b.do('pull', base, *b.registry)
    b.refused(rf'source platform {made["by"]} is not among', 'run', 'base')
    b.refused(r'may be of some platforms only', 'xml', 'base', '--name', 'x')
    b.do('pull', base, '--replace', *b.registry)
    check('sources' not in spec_of(b, 'base'), '--replace keeps --from')
    path = b.home / 'base/template.json'
    told = json.loads(path.read_text())
    mine = {**told['wraps'][0], 'platform': 'c' * 64, 'file': 'wrap-cccccccccccccccc'}
    shutil.copy(b.home / 'base' / told['wraps'][0]['file'],
                b.home / 'base' / mine['file'])
    path.write_text(json.dumps({**told, 'wraps': [*told['wraps'], mine]}))
    b.do('pull', base, *b.registry)
    check([wrap['platform'] for wrap in spec_of(b, 'base')['wraps']] ==
          [made['platform'], 'c' * 64], 'a wrap of its own is gone')
    check((b.home / 'base' / mine['file']).exists(), 'the file is gone')
    b.do('pull', base, '--replace', *b.registry)
    b.refused(r'--wrap is for a file', 'verify', 'base', '--wrap', path)


def judged(env, a, b, made):
    """Who may not have a wrap, and whose clones do not run."""
    certs = certificates(env, 'fleet-c')
    a.refused(r'root', 'wrap', 'base', '--for', certs)
    a.refused(r'is not among the 1 of migration parameter '
              "'sev-allowed-platforms'", 'wrap', 'base', '--for',
              certificates(env, 'fleet-b'), '--allow', 'a' * 64)
    a.refused(r'has no certificates of a platform', 'wrap', 'base', '--for',
              a.home / 'base/template.json')
    spec = b.home / 'base/template.json'
    told = json.loads(spec.read_text())
    spec.write_text(json.dumps({**told, 'sources': ['b' * 64]}))
    b.refused(rf'source platform {made["by"]} is not among', 'run', 'base')
    spec.write_text(json.dumps(told))


def damaged(b, made):
    """A byte of the wrap, of the image."""
    folder, other = b.home / 'base', b.home / 'other'
    shutil.copytree(folder, other)
    flip(other / made['file'], 3000)
    b.refused(r'was changed: its SHA-256 is', 'run', 'other')
    shutil.copy(folder / made['file'], other)
    found = Image(other / 'image')
    flip(other / 'image', found.page_at(found.private_pages()[300]) + 77)
    b.refused(r'the lane finds it changed', 'run', 'other')
    code, out, _ = b.ask('verify', 'other')
    check(code == 1 and 'SHA-256' in out, out)
    shutil.rmtree(other)


def arguments(a, b, registry):
    """What somebody else wrote does not start programs by itself."""
    spec = a.home / 'base/template.json'
    told = json.loads(spec.read_text())
    for change in ({'extra': ['-chardev', 'pipe,id=x,path=/etc/x']},
                   {'machine': 'q35,firmware=/etc/passwd'}):
        spec.write_text(json.dumps({**told, **change}))
        evil = registry.reference('web/base:evil')
        a.do('push', 'base', evil, *a.registry)
        registry.received()
        b.refused(r'which can start programs and open files', 'pull', evil,
                  *b.registry)
        check(registry.received() < SMALL, 'it was fetched all the same')
    spec.write_text(json.dumps({**told, 'created': 10 ** 30}))
    a.refused(r'not what "make" writes', 'push', 'base', evil, *a.registry)
    spec.write_text(json.dumps({**told, 'sev': None}))
    a.do('push', 'base', evil, *a.registry)
    b.refused(r'an ordinary guest.*--from cannot be kept', 'pull', evil,
              '--from', 'b' * 64, *b.registry)
    spec.write_text(json.dumps({**told, 'extra': ['-rtc', 'clock=vm']}))
    mild = registry.reference('web/base:mild')
    a.do('push', 'base', mild, *a.registry)
    b.do('pull', mild, 'mild', '--take-arguments', *b.registry)
    check(spec_of(b, 'mild')['extra'] == ['-rtc', 'clock=vm'], 'arguments')
    b.do('rm', 'mild')
    spec.write_text(json.dumps(told))
    b.refused(r'skopeo', 'pull', registry.reference('web/nothing:1'),
              *b.registry)
    left = sorted(p.name for p in b.home.iterdir())
    check(left == ['base'], f'left behind: {left}')
