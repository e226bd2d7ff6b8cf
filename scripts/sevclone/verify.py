# SPDX-License-Identifier: GPL-2.0-or-later
"""sev-clone verify: is a template what it was when it was made?"""

import json
import subprocess
import sys

from sevclone import Trouble, places

ANALYZE = places.first([places.ROOT / 'scripts/analyze-sev-stream.py',
                        places.ROOT / 'sev-clone/analyze-sev-stream.py'])


def analysis(template):
    """What scripts/analyze-sev-stream.py finds wrong; None without it."""
    if not ANALYZE or template.spec['sev'] is None:
        return None
    done = subprocess.run([sys.executable, str(ANALYZE), '--json',
                           str(template.image)], capture_output=True,
                          text=True, check=False)
    try:
        return json.loads(done.stdout)
    except ValueError:
        raise Trouble(f'{template.image} cannot be analysed: '
                      f'{done.stderr.strip()[-200:]}') from None


def verify(template, progress):
    """{'digest': bool, 'wrong': [...]}; good when true and empty."""
    expected = template.spec['image']['sha256']
    found = template.digest(lambda done, size:
                            progress.bar('digest', done, size))
    size = template.image.stat().st_size
    wrong = []
    if size != template.spec['image']['bytes']:
        wrong.append(f'the image has {size} bytes, it had '
                     f'{template.spec["image"]["bytes"]}')
    if found != expected:
        wrong.append(f'the image\'s SHA-256 is {found}, it was {expected}')
    said = analysis(template)
    if said and said.get('wrong'):
        wrong += [str(said['wrong'])] if isinstance(said['wrong'], str) \
            else list(map(str, said['wrong']))
    return {'template': template.name, 'sha256': found, 'wrong': wrong,
            'stream': said and {k: said[k] for k in said
                                if k not in ('private_runs', 'wrong')}}
