# SPDX-License-Identifier: GPL-2.0-or-later
"""sev-clone wrap, push, pull: a template that other platforms open."""

import json
import re

from sevclone import Trouble, layout, places, registry, store, ui, verify, wraps

# What a registry may put into a clone's command line: words, no files.
PLAIN = {
    'machine': re.compile(r'[\w.-]+(,[\w-]+=(on|off|auto))*'),
    'cpu': re.compile(r'[\w.-]+(,[+-]?[\w.-]+(=[\w.-]+)?)*'),
    'accel': re.compile(r'(tcg|kvm)(,thread=(single|multi))?'),
}


def fingerprint(text):
    """A type for argparse; its errors name the value."""
    if not store.is_hex(text.lower()):
        raise ValueError(text)
    return text.lower()


def options(add):
    """The three commands' own."""
    wrap = add('wrap', 'make the image of a template openable on another '
               'platform: a small file beside it')
    wrap.add_argument('name', help='of a template that a lane sealed')
    what = wrap.add_mutually_exclusive_group(required=True)
    what.add_argument('--for', dest='target', metavar='DIR|FILE',
                      help='certificates of that platform: what "sev-psp export '
                      '--out DIR" made there, or the JSON of '
                      'query-sev-platform-certs')
    what.add_argument('--add', metavar='FILE',
                      help='take over a wrap that was made elsewhere')
    wrap.add_argument('--out', metavar='FILE',
                      help='where to; default: into the template')
    wrap.add_argument('--allow', metavar='FINGERPRINT', type=fingerprint,
                      action='append', default=[],
                      help='make it for this platform only (more than once: for '
                      'one of these)')
    push = add('push', 'put a template into an OCI registry, by skopeo; blobs '
               'that are there already are not sent')
    push.add_argument('name', help='of the template')
    push.add_argument('reference', help='HOST/NAME:TAG')
    pull = add('pull', 'take a template out of an OCI registry, by skopeo; an '
               'image that is here already is not fetched')
    pull.add_argument('reference', help='HOST/NAME:TAG')
    pull.add_argument('name', nargs='?', help='of the template here; default: '
                      'the last part of NAME')
    pull.add_argument('--from', dest='sources', metavar='FINGERPRINT',
                      type=fingerprint, action='append', default=[],
                      help='a platform that may have sealed it or made its '
                      'wraps; default: those that it names')
    pull.add_argument('--replace', action='store_true',
                      help='a template of that name with another image')
    pull.add_argument('--take-arguments', action='store_true',
                      help='take over QEMU arguments too, which can start '
                      'programs and open files: only if you trust who pushed it')
    for sub in (push, pull):
        sub.add_argument('--authfile', metavar='FILE',
                         help='as skopeo\'s; "skopeo login" makes it')
        sub.add_argument('--cert-dir', metavar='DIR', help='as skopeo\'s')
        sub.add_argument('--tls-verify', choices=('true', 'false'),
                         help='as skopeo\'s')


# --- wrap -----------------------------------------------------------------------

def do_wrap(options, progress):
    template = store.open_template(options.name)
    binary = places.qemu(options.qemu)
    progress.step('wrapping')
    if options.add:
        said = wraps.add(binary, template, options.add)
    else:
        said = wraps.make(binary, template, wraps.certificates(options.target),
                          options.allow, options.out)
    progress.clear()
    ui.put(options, said, [f'wrap       of {template.name} for platform '
                           f'{said["platform"]}: '
                           f'{said.get("path", said["file"])}'])


# --- push -----------------------------------------------------------------------

def check_files(template, progress):
    """What is pushed is what the spec says."""
    _, wrong = verify.check_digest(template, progress)
    if wrong:
        raise Trouble(f'template {template.name} is damaged: {wrong[0]}')
    for wrap in template.wraps:
        template.check_wrap(wrap)


def do_push(options, progress):
    skopeo = registry.Skopeo(options)
    template = store.open_template(options.name)
    check_files(template, progress)
    progress.step('pushing')
    with store.workroom(options.name) as folder:
        digest = registry.fill(registry.Layout(folder), template)
        skopeo.push(folder.path, options.reference)
    progress.clear()
    ui.put(options, {'name': template.name, 'reference': options.reference,
                     'digest': digest, 'wraps': len(template.wraps)},
           [f'pushed     {template.name}, {len(template.wraps)} wraps, as '
            f'{options.reference}', digest])


# --- pull -----------------------------------------------------------------------

def default_name(reference):
    return reference.rpartition('/')[2].partition('@')[0].partition(':')[0]


def judged(data, blobs, trusted):
    """The spec of a template that somebody else wrote."""
    try:
        spec = json.loads(data)
    except (ValueError, RecursionError):
        spec = None
    if not isinstance(spec, dict) or spec.get('version') != store.VERSION or \
            store.spec_wrong(spec):
        raise registry.no('its spec is not what "make" writes')
    named = {entry['sha256']: entry['bytes']
             for entry in (spec['image'], *spec.get('wraps', []))}
    if named != blobs:
        raise registry.no('its spec and its manifest name other files')
    if len({wrap['platform'] for wrap in spec.get('wraps', [])}) != \
            len(spec.get('wraps', [])):
        raise registry.no('it has two wraps for one platform')
    # Names are ours: what else lies in a template's folder has one, too.
    spec['image']['file'] = layout.IMAGE
    for wrap in spec.get('wraps', []):
        wrap['file'] = wraps.file_name(wrap['platform'])
    odd = [key for key, plain in PLAIN.items()
           if not plain.fullmatch(spec[key])]
    if not trusted and (odd or spec['extra'] or spec['bare']):
        raise Trouble('this template has QEMU arguments of its own ('
                      + ' '.join([*(spec[key] for key in odd), *spec['extra']])
                      + '), which can start programs and open files: '
                      '--take-arguments takes them over, if you trust who '
                      'pushed it')
    return spec


def before(name, image, replace):
    """The template of that name, which gets new wraps, but no other image."""
    home = places.home()
    if not home or not home.has(name) or replace:
        return None
    old = store.open_template(name)
    if old.spec['image']['sha256'] != image:
        raise Trouble(f'there is a template "{name}" with another image; '
                      '--replace replaces it')
    return old


def sources(options, spec, old):
    """Who may have sealed it, if the user said so, now or before."""
    named = options.sources or (old.spec.get('sources') if old else None)
    if named and spec['sev'] is None:
        raise Trouble('this template is of an ordinary guest, which nobody '
                      'sealed: --from cannot be kept')
    return {'sources': named} if named else {}


def kept_wraps(folder, spec, old):
    """All wraps of the new spec, and those that only we had; they stay."""
    new = spec.get('wraps', [])
    there = {wrap['platform'] for wrap in new}
    more = [wrap for wrap in (old.wraps if old else ())
            if wrap['platform'] not in there]
    for wrap in more:
        folder.write(wrap['file'], old.folder.read(wrap['file'],
                                                   store.WRAP_MAX), sync=True)
    return {'wraps': [*new, *more]} if new or more else {}


def taken(fetched, spec, blobs, folder, progress):
    """All files of a template that was fetched."""
    for entry in (spec['image'], *spec.get('wraps', [])):
        registry.take(fetched, entry['sha256'], blobs[entry['sha256']], folder,
                      entry['file'], lambda done, size: progress.bar(
                          'digest', done, size))


def do_pull(options, progress):
    skopeo = registry.Skopeo(options)
    name = store.check_name(options.name or default_name(options.reference))
    progress.step('pulling')
    found, data, blobs = registry.look(skopeo, options.reference)
    spec = judged(data, blobs, options.take_arguments)
    old = before(name, spec['image']['sha256'], options.replace)
    spec = {**spec, **sources(options, spec, old)}
    with store.new_template(name, replace=True) as folder:
        fetched = registry.fetch(skopeo, options.reference, found,
                                 folder.make('oci'), blobs)
        taken(fetched, spec, blobs, folder, progress)
        folder.remove('oci')
        spec = store.write_spec(folder, {**spec, **kept_wraps(folder, spec, old)})
    progress.clear()
    template = store.open_template(name)
    opened, why = opens_here(options, template)
    ui.put(options, {'name': name, **spec, 'opens': opened},
           [f'template   {name}, {ui.mib(spec["image"]["bytes"])} in '
            f'{places.home_path() / name}', why])


def opens_here(options, template):
    """Whether this platform can open it, and what to say of that."""
    if template.spec['sev'] is None:
        return True, 'it is of an ordinary guest'
    binary = places.qemu(options.qemu)
    here = verify.platform(binary)
    if here == template.spec['image'].get('platform'):
        return True, 'sealed to this platform'
    wrap = wraps.chosen(template, here)
    if wrap:
        return True, f'opened here by its wrap, which {wrap["by"]} made'
    return False, (f'it has no wrap for this platform, {here}: "sev-clone wrap '
                   'NAME --for DIR", where it can be opened, makes one; '
                   '"sev-psp export --out DIR" makes DIR here')
