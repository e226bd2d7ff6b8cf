# SPDX-License-Identifier: GPL-2.0-or-later
"""The agent's channel, vhost-vsock: a template and clones with other addresses."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from nesthost import NestHost
from registry import SAID, test
from sevlib import ROOT
from verdict import Failed, Skip, check

sys.path.insert(1, str(ROOT / 'integration/kata'))
import player                           # noqa: E402
import process                          # noqa: E402

DEVICE = '/dev/vhost-vsock'
LIMIT = 3600            # in the nested host everything is slow
RUNNER = ROOT / 'tests/functional/lib/vsockhost.py'


def passed(said):
    SAID.extend(re.findall(r'^vsock: .*?\r?$', said, re.M))
    check('vsock: passed' in said, f'it says "{said.strip()[-400:]}"')


def case(env):
    return 'sev-by-machine-4.1.0' if env.lab.sev else 'ordinary-4.1.0'


def guest_folder(env, folder):
    """The recordings' names for a kernel, and for an initrd that answers."""
    folder.mkdir(parents=True)
    (folder / 'vmlinuz').symlink_to(env.lab.kernel / 'vmlinuz')
    (folder / 'initrd-clone.img').symlink_to(
        env.lab.kernel / 'initrd-vsock.img')
    return folder


@test('kata: vsock of a template and its clones, on this machine', sev=False)
def on_this_machine(env):
    if not os.access(DEVICE, os.R_OK | os.W_OK):
        raise Skip(f'no {DEVICE}; --all has a guest that plays a host')
    identity = env.host('kata')
    with tempfile.TemporaryDirectory(prefix='kata.') as top:
        done = subprocess.run(
            [sys.executable, RUNNER,
             process.installed(Path(top, 'bin'), env.lab.binary,
                               player.WRAPPER),
             guest_folder(env, Path(top, 'guest')), case(env),
             str(player.LIMIT)],
            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            check=False, timeout=LIMIT, env={
                **os.environ, 'PYTHONPATH': str(player.HERE),
                **({'SEV_PSP_DIR': str(identity.folder)} if identity else {})})
    passed(done.stdout)


@test('kata: vsock of a template and its clones, in a guest that plays a host',
      sev=False, slow=True)
def nested(env):
    folder = Path(tempfile.mkdtemp(prefix='nesthost.', dir=env.lab.folder))
    here = player.HERE
    files = {f'/kata/integration/kata/{name}': here / name
             for name in ('player.py', 'process.py')}
    files.update({f'/kata/tests/data/kata/{path.name}': path
                  for path in player.LINES.glob('*-4.1.0.*')})
    files.update({
        '/kata/vsockhost.py': RUNNER,
        '/usr/local/bin/qemu-kata': player.WRAPPER,
        '/guest/vmlinuz': env.lab.kernel / 'vmlinuz',
        '/guest/initrd-clone.img': env.lab.kernel / 'initrd-vsock.img'})
    command = ('export PATH=/usr/local/bin:/usr/bin:/bin HOME=/tmp\n'
               'export SEV_PSP_DIR=/tmp/psp PYTHONDONTWRITEBYTECODE=1\n'
               'export PYTHONPATH=/kata/integration/kata\n'
               'exec python3 -S /kata/vsockhost.py /usr/local/bin/qemu-kata '
               f'/guest {case(env)} 120\n')
    try:
        host = NestHost(env, folder, files, command,
                        ('player', 'tempfile', 'threading', 'contextlib'))
        passed(host.run(LIMIT))
    except (OSError, subprocess.CalledProcessError) as error:
        raise Failed(f'the nested host cannot be made: {error}') from error
    finally:
        for name in ('disk', 'initrd'):
            (folder / name).unlink(missing_ok=True)
        shutil.rmtree(folder / 'stage', ignore_errors=True)
