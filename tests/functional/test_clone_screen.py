# SPDX-License-Identifier: GPL-2.0-or-later
"""What a guest says to sev-clone: bounded, plain text, and no more than words."""

import re

from registry import SAID, test
from test_clone import Tool
from verdict import check

# A title, a colour, a cursor that goes home, an 8-bit CSI, a bell.
HOSTILE = '\x1b]0;owned\x07\x1b[31mred\x1b[H\u009b2J\x07'
CONTROL = re.compile(r'[\x00-\x08\x0b-\x1f\x7f-\x9f]')


@test('sev-clone: a sentence with what others wrote has no control characters',
      sev=False)
def sentences(env):
    with Tool(env) as tool:
        run = tool.begin('make', 'bad', '--after', 1, '--', '-device', HOSTILE)
        out, err = run.communicate(timeout=60)
        SAID.append(err.strip())
        check(run.returncode == 1 and 'red' in err, f'make said {err!r}')
        check(not CONTROL.search(out + err), f'make said {err!r}')
