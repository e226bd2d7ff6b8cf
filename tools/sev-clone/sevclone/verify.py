# SPDX-License-Identifier: GPL-2.0-or-later
"""sev-clone inspect, verify: what a template is, and is it what it was?

QEMU looks into it (query-sev-template); no guest is started.
"""

import contextlib
import json
import socket
import subprocess
import sys
import tempfile

from sevclone import Trouble, places, qmp, ui, wraps

ANALYZE = places.first([places.ROOT / 'scripts/analyze-sev-stream.py',
                        places.ROOT / 'share/sev-clone/analyze-sev-stream.py'])
LIMIT = 600             # seconds for all packets of a large template


@contextlib.contextmanager
def monitor(binary, *arguments):
    """The monitor of a QEMU that is there for as long as it is asked."""
    ours, theirs = socket.socketpair()
    with theirs, tempfile.TemporaryFile() as log:
        child = subprocess.Popen(
            [binary, *(arguments or ('-machine', 'none')), '-nodefaults',
             '-display', 'none',
             '-chardev', f'socket,id=qmp,fd={theirs.fileno()}',
             '-mon', 'chardev=qmp,mode=control'],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            pass_fds=[theirs.fileno()])
        theirs.close()
        try:
            with qmp.Qmp(ours) as talk:
                yield talk.hello()
        except qmp.Gone:
            child.wait()
            log.seek(0)
            said = ui.plain(log.read()).strip().splitlines()
            raise Trouble('QEMU ended: ' + (said or ['no message'])[-1]) \
                from None
        finally:
            child.kill()
            child.wait()


def platform(binary):
    """The fingerprint of this one."""
    with monitor(binary) as qemu:
        return qemu.cmd('query-sev-platform-certs')['fingerprint']


def ask(binary, path, ram=None, macs=False, wrap=None, template=None):
    """QEMU's answer to query-sev-template; with @macs it opens every packet.

    @ram: the memory file of a template that was sealed in place.  @wrap: what it
    is to be opened with; of @template the one that is for this platform.
    """
    question = {'path': str(path.absolute()), 'verify': macs,
                **({'ram': str(ram.absolute())} if ram else {})}
    with monitor(binary) as qemu:
        if template and template.wraps:
            found = wraps.chosen(template, qemu.cmd(
                'query-sev-platform-certs')['fingerprint'])
            wrap = found and template.folder / found['file']
        if wrap:
            question['wrap'] = str(wrap.absolute())
        return qemu.cmd('query-sev-template', question, LIMIT)


def analysis(path):
    """What scripts/analyze-sev-stream.py finds wrong; None without it."""
    if not ANALYZE:
        return None
    done = subprocess.run([sys.executable, str(ANALYZE), '--json', str(path)],
                          capture_output=True, text=True, check=False)
    try:
        return json.loads(done.stdout)
    except ValueError:
        raise Trouble(f'{path} cannot be analysed: '
                      f'{done.stderr.strip()[-200:]}') from None


def check_digest(template, progress):
    """(SHA-256 of the image, what is wrong with it) by the template's spec."""
    spec, wrong = template.spec['image'], []
    found = template.digest(lambda done, size:
                            progress.bar('digest', done, size))
    size = template.image_size()
    if size != spec['bytes']:
        wrong.append(f'the image has {size} bytes, it had {spec["bytes"]}')
    if found != spec['sha256']:
        wrong.append(f'the image\'s SHA-256 is {found}, it was '
                     f'{spec["sha256"]}')
    return found, wrong


def check_wraps(template):
    """What is wrong with the files of its wraps."""
    wrong = []
    for wrap in template.wraps:
        try:
            template.check_wrap(wrap)
        except (Trouble, OSError) as error:
            wrong.append(str(error))
    return wrong


def check_image(binary, path, ram, progress, **opened):
    """(QEMU's answer, the analyser's, what is wrong) of a file.

    @opened: by a @wrap, or by the right one of @template.
    """
    progress.step('packets')
    told = ask(binary, path, ram, macs=True, **opened)
    wrong = [f'{path.name}: {told["wrong"]}'] if 'wrong' in told else []
    if not told['here']:
        wrong.append(told['why-not-here'])
    if told['layout'] == 'in-place' and not ram:
        wrong.append('its packets were not verified: name its memory file '
                     'with --ram')
    said = analysis(path)
    found = said and said.get('wrong')
    if found:
        wrong += [found] if isinstance(found, str) else list(map(str, found))
    return told, said, wrong


def verify(binary, template, progress):
    """{'sha256': ..., 'wrong': [...], ...} of a template of ours."""
    found, wrong = check_digest(template, progress)
    told = said = None
    if template.spec['sev'] is not None:
        wrong += check_wraps(template)
        try:
            told, said, more = check_image(binary, template.image, None,
                                           progress, template=template)
            wrong += more
        except qmp.Refused as error:    # a wrap that QEMU cannot read
            wrong.append(str(error))
    return {'template': template.name, 'sha256': found, 'wrong': wrong,
            'manifest': told,
            'stream': said and {k: said[k] for k in said
                                if k not in ('private_runs', 'wrong')}}


def verify_file(binary, path, ram, wrap, progress):
    """The same of any file; nobody knows what its SHA-256 should be."""
    told, _, wrong = check_image(binary, path, ram, progress, wrap=wrap)
    return {'template': str(path), 'wrong': wrong, 'manifest': told}


def lines(told):
    """A manifest for people."""
    here = 'this platform' if told['here'] else told['why-not-here']
    rows = [('layout', told['layout']), ('machine', told['machine']),
            ('cpu', f'{told["vcpus"]} x {told["cpu"]}'),
            ('memory', ui.mib(told['ram-bytes']) + ' in all blocks'),
            ('policy', f'{told["policy"]:#x}'),
            ('sealed to', told['fingerprint']), ('', here),
            ('sealed by', told.get('sealed-by', 'nobody: it has no session')),
            ('', 'proven: this platform opens its session'
             if told['sealed-by-proven'] else 'a claim of whoever wrote this'),
            ('measurement', told.get('measurement', 'none')),
            ('', 'a claim of whoever wrote this; nothing proves it'),
            *([('image', told['image'])] if 'image' in told else []),
            *([('wrapped for', told['wrapped-for'])]
              if 'wrapped-for' in told else []),
            ('packets', told['private-pages']),
            ('verified', told.get('verified', 'no'))]
    return ui.table(rows)
