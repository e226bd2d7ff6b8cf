# SPDX-License-Identifier: GPL-2.0-or-later
"""What the guides ask readers to paste (scripts/docs/paste.py)."""

import subprocess
import sys
from pathlib import Path

from registry import test
from sevlib import ROOT
from verdict import check

PASTE = ROOT / 'scripts/docs/paste.py'
PAGE = """\
# Title

```sh
true
false || true
```

```sh host2
echo here
grep -q no /dev/null
```
"""


def paste(*words):
    return subprocess.run([sys.executable, PASTE, *words], text=True,
                          capture_output=True, check=False, cwd=ROOT)


@test('docs: what the guides ask to paste is shell', sev=False)
def guides(_env):
    for page in ('README.md', 'integration/libvirt/README.md',
                 'integration/kata/README.md'):
        for host in ('host1', 'host2', 'epyc'):
            made = paste('--host', host, page)
            check(made.returncode == 0, f'{page}: {made.stderr}')
            done = subprocess.run(['bash', '-n'], input=made.stdout, text=True,
                                  capture_output=True, check=False)
            check(done.returncode == 0, f'{page}: {done.stderr}')


@test('docs: what is pasted stops at the line that fails', sev=False)
def stops(env):
    page = Path(env.folder, 'page.md')
    page.write_text(PAGE, 'utf-8')
    for host, code in (('host1', 0), ('host2', 1)):
        done = subprocess.run(
            ['bash', '-s'], input=paste('--host', host, str(page)).stdout,
            text=True, capture_output=True, check=False)
        check(done.returncode == code, f'{host}: {done}')
    check(f'not ok {page}:10: grep' in done.stderr, done.stderr)
    check(paste('--with', 'WORD=x', str(page)).returncode != 0,
          'a word that is not in the guide was accepted')
    said = paste('--host', 'host1', '--host', 'host2', '--without', 'grep',
                 str(page)).stdout
    check('echo here' in said and 'true' in said and 'grep' not in said,
          f'two hosts, without grep: {said}')
