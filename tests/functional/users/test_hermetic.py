# SPDX-License-Identifier: GPL-2.0-or-later
"""Tests and QEMU on a machine whose own identity or home cannot be used."""

import os
import re
import subprocess
import sys

from registry import SAID, test
from sevlib import ROOT
from verdict import Skip, check

# A machine with a system identity that anybody can read.
OPEN_IDENTITY = ('mount -t tmpfs none /var/lib && mkdir -m 755 '
                 '/var/lib/sev-psp && exec "$@"')
PROBE = '{"execute":"qmp_capabilities"}{"execute":"query-sev-capabilities"}' \
        '{"execute":"quit"}'


def elsewhere(words, limit, **how):
    """Run @words on such a machine, without a word about where keys are."""
    environ = {k: v for k, v in os.environ.items()
               if k not in ('SEV_PSP_DIR', 'XDG_STATE_HOME')}
    prefix = ['unshare', '--mount', 'sh', '-c', OPEN_IDENTITY, 'sh']
    if subprocess.run([*prefix, 'true'], capture_output=True,
                      check=False).returncode:
        raise Skip('needs a mount namespace of its own')
    return subprocess.run([*prefix, *map(str, words)], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=limit, check=False,
                          env={**environ, 'HOME': '/proc/none'}, **how)


@test('identity: a system folder open to others is refused, not passed over')
def open_identity(env):
    state = env.lab.folder / 'home/state/sev-psp'
    done = elsewhere([
        'env', f'XDG_STATE_HOME={state.parent}', env.lab.binary, '-machine',
        'none', '-accel', 'tcg', '-nodefaults', '-display', 'none', '-qmp',
        'stdio'], 60, input=PROBE)
    refusal = re.search(r'"desc": "([^"]*)"', done.stdout)
    SAID.append(refusal and refusal.group(1))
    check(refusal and re.search(r'/var/lib/sev-psp.* has mode 0755.*chmod 700',
                                refusal.group(1)), f'QEMU said {done.stdout}')
    check(not state.exists(), 'another identity was made instead')


@test('make check: the machine\'s identity and the caller\'s home are not used')
def hermetic(env):
    done = elsewhere([
        'env', f'BUILD={env.lab.build}', sys.executable,
        ROOT / 'scripts/overlay/check.py', 'qtest:qmp-cmd-test'], 600)
    check(done.returncode == 0, f'check.py said {done.stdout[-500:]}')
