# SPDX-License-Identifier: GPL-2.0-or-later
"""A trial as a program: one line per step, logs kept when one fails."""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hosts import HERE, Failed, missing

ROOT = HERE.parents[1]
SKIPPED = 77
KERNEL = ('vmlinuz', 'initrd.img', 'initrd-clone.img')


def run(trial, hosts):
    """All steps, until one fails."""
    name = 'the daemons start'
    try:
        began = time.monotonic()
        for host in hosts:
            host.start()
        for name, step in trial.steps():
            began = time.monotonic()
            said = step()
            print(f'ok {name} ({time.monotonic() - began:.1f} s)'
                  + (f': {said}' if said else ''), flush=True)
    except (Failed, OSError, subprocess.TimeoutExpired) as error:
        print(f'not ok {name} ({time.monotonic() - began:.1f} s): {error}')
        return 1
    return 0


def main(about, trial, programs, other=False, emulator='obj/qemu-system-x86_64'):
    """@trial(folder, build) makes something with hosts() and steps().

    @other: it takes the folder of a second libvirt, too.
    @emulator: what has to be there, below the build folder.
    """
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument('--build', type=Path, default=Path(
        os.environ.get('BUILD', ROOT / 'build')))
    parser.add_argument('--keep', action='store_true',
                        help='leave the folder with the logs')
    if other:
        parser.add_argument('--other', type=Path, metavar='DIR',
                            help='host 2 has the libvirt that was unpacked there')
    args = parser.parse_args()
    build = args.build.resolve()
    why = missing(programs)
    if why:
        print(f'skip: {why}')
        return SKIPPED
    for needed in (build / emulator,
                   *(build / 'guest/bookworm' / name for name in KERNEL)):
        if not needed.exists():
            print(f'error: {needed} is missing; "make build" and '
                  'tests/guest/build.sh make it', file=sys.stderr)
            return 2
    folder = Path(tempfile.mkdtemp(prefix='sev-lv-', dir='/var/tmp'))
    folder.chmod(0o755)
    hosts, code = [], 1
    try:
        made = trial(folder, build, *([args.other] if other else []))
        hosts = made.hosts()
        code = run(made, hosts)
    except (Failed, OSError) as error:
        print(f'not ok prepare: {error}')
    finally:
        for host in hosts:
            host.stop()
        if args.keep or code:
            print(f'logs: {folder}')
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return code
