#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Boot an encrypted Linux guest, migrate it, clone it, and check every claim.

Needs the built QEMU and the test guest ("make demo" makes both).  Leaves
screens, logs and results.json in the folder it names; everything else it
made is gone when it ends.  Exit code 0 only if every check held.
"""

import argparse
import os
import shutil
import signal
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'tests/functional/lib'))

# pylint: disable=wrong-import-position
import compare                          # noqa: E402
import netlab                           # noqa: E402
import sevlib                           # noqa: E402
import steps                            # noqa: E402
from report import Report               # noqa: E402


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--build', type=Path, metavar='DIR',
                        default=os.environ.get('BUILD', ROOT / 'build'),
                        help='the build directory')
    parser.add_argument('--qemu', type=Path, metavar='BINARY',
                        help='another QEMU than the one built there')
    parser.add_argument('--firmware', type=Path, metavar='FILE',
                        help='another OVMF_CODE*.fd; its VARS lies beside it')
    parser.add_argument('--kernel', default='bookworm', metavar='SUITE',
                        help='the guest made by "tests/guest/build.sh SUITE"')
    parser.add_argument('--output', type=Path, metavar='DIR',
                        help='where screens, logs and results go')
    parser.add_argument('--no-sev', action='store_true',
                        help='the same demonstration with an ordinary guest')
    return parser.parse_args()


def fresh_folder(path):
    """An empty folder; only one of our own is ever emptied."""
    marker = path / '.sev-demo'
    if path.exists():
        if any(path.iterdir()) and not marker.exists():
            sys.exit(f'error: {path} holds something else; '
                     'choose another folder with --output.')
        shutil.rmtree(path)
    path.mkdir(parents=True)
    marker.touch()
    return path


def interrupted(number, _frame):
    raise KeyboardInterrupt(signal.Signals(number).name)


def main():
    args = arguments()
    signal.signal(signal.SIGTERM, interrupted)
    signal.signal(signal.SIGHUP, interrupted)
    folder = fresh_folder(args.output or args.build.resolve() / 'demo')
    acts = 5 if args.no_sev else 6
    report = Report(steps=acts + 1)
    try:
        with sevlib.Lab(folder, args.build.resolve(), args.qemu, args.firmware,
                        not args.no_sev, args.kernel) as lab, \
                netlab.NetLab(lab.seed) as net:
            steps.Demo(lab, net, report).run()
    except (sevlib.Failed, compare.Broken, RuntimeError) as error:
        report.check(False, 'the demonstration ran to its end', error)
    except KeyboardInterrupt as signalled:
        report.check(False, 'the demonstration ran to its end',
                     f'interrupted {signalled}'.strip())
    report.begin('The results') if report.step == acts else print()
    print(report.table())
    report.write_json(folder / 'results.json')
    print(f'Screens, logs and results.json: {folder}')
    failed = report.failed()
    if failed:
        print(f'{len(failed)} of {len(report.rows)} checks did not hold.')
    else:
        print(f'All {len(report.rows)} checks held.')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
