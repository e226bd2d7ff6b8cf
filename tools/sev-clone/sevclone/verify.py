# SPDX-License-Identifier: GPL-2.0-or-later
"""sev-clone inspect, verify: what a template is, and is it what it was?

QEMU looks into it (query-sev-template); no guest is started.
"""

import json
import socket
import subprocess
import sys

from sevclone import Trouble, places, qmp, ui

ANALYZE = places.first([places.ROOT / 'scripts/analyze-sev-stream.py',
                        places.ROOT / 'share/sev-clone/analyze-sev-stream.py'])
LIMIT = 600             # seconds for all packets of a large template


def ask(binary, path, ram=None, macs=False):
    """QEMU's answer to query-sev-template; with @macs it opens every packet.

    @ram: the memory file of a template that was sealed in place.
    """
    ours, theirs = socket.socketpair()
    question = {'path': str(path.absolute()), 'verify': macs,
                **({'ram': str(ram.absolute())} if ram else {})}
    with theirs:
        child = subprocess.Popen(
            [binary, '-machine', 'none', '-nodefaults', '-display', 'none',
             '-chardev', f'socket,id=qmp,fd={theirs.fileno()}',
             '-mon', 'chardev=qmp,mode=control'],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, pass_fds=[theirs.fileno()])
    try:
        with qmp.Qmp(ours) as monitor:
            return monitor.hello().cmd('query-sev-template', question, LIMIT)
    finally:
        child.kill()
        child.wait()


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


def check_image(binary, path, ram, progress):
    """(QEMU's answer, the analyser's, what is wrong) of a file."""
    progress.step('packets')
    told = ask(binary, path, ram, macs=True)
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
        told, said, more = check_image(binary, template.image, None, progress)
        wrong += more
    return {'template': template.name, 'sha256': found, 'wrong': wrong,
            'manifest': told,
            'stream': said and {k: said[k] for k in said
                                if k not in ('private_runs', 'wrong')}}


def verify_file(binary, path, ram, progress):
    """The same of any file; nobody knows what its SHA-256 should be."""
    told, _, wrong = check_image(binary, path, ram, progress)
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
            ('packets', told['private-pages']),
            ('verified', told.get('verified', 'no'))]
    return ui.table(rows)
