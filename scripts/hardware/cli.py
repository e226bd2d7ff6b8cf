# SPDX-License-Identifier: GPL-2.0-or-later
"""Look whether SEV guests can be launched, migrated, saved and restored here.

Asks nothing, installs nothing, and changes nothing of the platform: no key, no
owner, no firmware. Takes a few hundred MiB of memory for some minutes, and the
secure processor's time beside the guests that run already. Prints a table and
writes a JSON file (docs/hardware.md explains both). Exit code 0 only when
every required row holds, 1 when one does not, 2 for wrong usage, 130 when it
was interrupted.
"""

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

from verdict import Failed

from . import guests, host, limits, moves, packets, platform
from .ledger import Ledger, private_words

ROOT = Path(__file__).resolve().parents[2]
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
NEED = {'tiny': guests.TinyKind.need}


def arguments(argv):
    parser = argparse.ArgumentParser(
        prog='check-hardware', description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--build', type=Path, metavar='DIR',
                        default=Path(os.environ.get('BUILD', ROOT / 'build')),
                        help='the build directory')
    parser.add_argument('--qemu', type=Path, metavar='BINARY',
                        help='another QEMU than the one built there')
    parser.add_argument('--firmware', type=Path, metavar='FILE',
                        help='another OVMF_CODE*.fd; its VARS lies beside it')
    parser.add_argument('--cpu', metavar='MODEL',
                        help='CPU model of the guest (default: EPYC)')
    parser.add_argument('--chain', type=Path, metavar='FILE',
                        help='the whole chain of this chip (default: '
                        '/etc/sev-psp/chain.cert)')
    parser.add_argument('--json', type=Path, metavar='FILE',
                        help='where the report goes (default: '
                        'BUILD/hardware.json)')
    parser.add_argument('--chip-id', action='store_true',
                        help='put this chip\'s id into the report')
    parser.add_argument('--keep', action='store_true',
                        help='leave the guests\' screens and QEMU\'s logs')
    parser.add_argument('--guest', choices=('linux', 'tiny', 'rehearse'),
                        default='linux', help='tiny: a guest of 64 KiB, for '
                        'the stand-in of tests/kvm; rehearse: Linux with the '
                        'software secure processor under TCG, without the host')
    args = parser.parse_args(argv)
    args.json = args.json or args.build / 'hardware.json'
    for name in ('build', 'qemu', 'firmware', 'chain', 'json'):
        if getattr(args, name):         # the folder will be another
            setattr(args, name, getattr(args, name).resolve())
    if not os.access(args.json.parent, os.W_OK):
        parser.error(f'no file can be made in {args.json.parent}; name another '
                     'with --json')
    return args


def what_this_is(args):
    """Whatever is said, a rehearsal is no hardware."""
    if args.guest == 'rehearse':
        return 'software'
    return 'stand-in' if os.environ.get('SEV_STANDIN_IDENTITY') else 'hardware'


def versions(args):
    """Of QEMU and of this tree, for the report"""
    binary = args.qemu or args.build / 'obj/qemu-system-x86_64'
    found = {}
    for name, command in (
            ('qemu', [str(binary), '--version']),
            ('source', ['git', '-C', str(ROOT), 'describe', '--always',
                        '--dirty'])):
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            done = subprocess.run(command, capture_output=True, timeout=10,
                                  check=True, text=True)
            found[name] = done.stdout.splitlines()[0].strip()
    return found


# --- The steps -------------------------------------------------------------


def look(ledger, args, folder):
    """All that is asked without a guest; (leaf, Status, exported, whole)"""
    limits.probe_kvm_device(ledger)
    limits.probe_sev_device(ledger)
    leaf = host.probe(ledger)
    now = platform.probe_firmware(ledger)
    limits.probe(ledger, NEED.get(args.guest, guests.LinuxKind.need), leaf,
                 now.guests if now else None, folder)
    host.probe_log(ledger, host.read_log())
    platform.probe_kvm(ledger)
    return leaf, now, *platform.probe_certs(ledger, args, folder)


def check_host(ledger, args, folder):
    leaf, now, certs, whole = look(ledger, args, folder)
    with contextlib.ExitStack() as opened:
        packets.run(ledger, certs, whole, now, folder, opened)
    with contextlib.ExitStack() as opened:
        chain = platform.chain_path(args.chain) if whole else None
        try:
            kind = guests.kind_of(args, folder, leaf.cbitpos, chain)
            moves.run(ledger, kind, folder, certs, opened)
        except Failed as error:
            ledger.not_run(moves.NAMES, str(error))
    platform.probe_after(ledger, now, certs)


def rehearse(ledger, args, folder):
    """The guest's part alone, with a chip made for it."""
    kind = guests.kind_of(args, folder, 0)
    certs = platform.Certs(*kind.software_chain())
    ledger.check('chain', True, 'the software chip tells all of it')
    with contextlib.ExitStack() as opened:
        moves.run(ledger, kind, folder, certs, opened, host=False)


# --- Around them -----------------------------------------------------------


def interrupted(number, _frame):
    """Once: what is cleaned up then is not interrupted again."""
    for other in SIGNALS:
        signal.signal(other, signal.SIG_IGN)
    raise KeyboardInterrupt(signal.Signals(number).name)


@contextlib.contextmanager
def private_folder(keep):
    """A folder of our own, for this user alone, gone afterwards"""
    folder = Path(tempfile.mkdtemp(prefix='sev-hardware-'))     # mode 0700
    try:
        os.chdir(folder)
        yield folder
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def run(ledger, args, folder):
    """Returns the reason why the rest did not run, if something stopped it."""
    try:
        (rehearse if args.guest == 'rehearse' else check_host)(
            ledger, args, folder)
        return ''
    except Failed as error:
        return str(error)
    except KeyboardInterrupt as signalled:
        return f'interrupted {signalled}'.strip()
    except Exception as error:      # what was seen is worth a report all the same
        traceback.print_exc()
        return f'{type(error).__name__}: {error}; report this, please'


def main(argv=None):
    args = arguments(argv)
    # A row is to be seen when it is known, in a file and down a pipe as well.
    sys.stdout.reconfigure(line_buffering=True)
    for number in SIGNALS:
        signal.signal(number, interrupted)
    os.umask(0o077)
    with private_folder(args.keep) as folder:
        ledger = Ledger(what_this_is(args),
                        private_words(folder, args.build, ROOT))
        ledger.facts.update(versions(args), guest=args.guest)
        stopped = run(ledger, args, folder)
        ledger.finish(stopped or 'a rehearsal has no host')
        if args.keep:
            print(f'Screens and logs: {folder}')
    print(ledger.table())
    ledger.write(args.json)
    print(f'The report: {args.json}')
    if stopped.startswith('interrupted'):
        return 130
    return 0 if ledger.held() else 1


if __name__ == '__main__':
    sys.exit(main())
