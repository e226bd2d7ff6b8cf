#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Run the functional tests: real guests under TCG, one line per test."""

import argparse
import os
import re
import signal
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(1, str(ROOT / 'scripts/demo'))

# pylint: disable=wrong-import-position
import registry                         # noqa: E402
import test_capability_table            # noqa: E402,F401
import test_advice                      # noqa: E402,F401
import test_blocks                      # noqa: E402,F401
import test_boot                        # noqa: E402,F401
import test_bounds                      # noqa: E402,F401
import test_claims                      # noqa: E402,F401
import test_clone                       # noqa: E402,F401
import test_clone_ends                  # noqa: E402,F401
import test_clone_screen                # noqa: E402,F401
import test_clone_users                 # noqa: E402,F401
import test_firmware                    # noqa: E402,F401
import test_gates                       # noqa: E402,F401
import test_golden                      # noqa: E402,F401
import test_hermetic                    # noqa: E402,F401
import test_hops                        # noqa: E402,F401
import test_hotplug                     # noqa: E402,F401
import test_install                     # noqa: E402,F401
import test_kata                        # noqa: E402,F401
import test_libvirt                     # noqa: E402,F401
import test_kata_config                 # noqa: E402,F401
import test_kata_path                   # noqa: E402,F401
import test_kata_vsock                  # noqa: E402,F401
import test_leak                        # noqa: E402,F401
import test_debug                       # noqa: E402,F401
import test_silicon                     # noqa: E402,F401
import test_migrate                     # noqa: E402,F401
import test_multifd                     # noqa: E402,F401
import test_faults                      # noqa: E402,F401
import test_strangers                   # noqa: E402,F401
import test_handover                    # noqa: E402,F401
import test_liar                        # noqa: E402,F401
import test_template                    # noqa: E402,F401
import test_template_crash              # noqa: E402,F401
import test_template_image              # noqa: E402,F401
import test_template_misfit             # noqa: E402,F401
import test_template_power              # noqa: E402,F401
import test_template_query              # noqa: E402,F401
import test_pagemap                     # noqa: E402,F401
import test_template_tamper             # noqa: E402,F401
import test_refused                     # noqa: E402,F401
import test_tool                        # noqa: E402,F401
import test_trust                       # noqa: E402,F401
import test_off                         # noqa: E402,F401
import test_hardware                    # noqa: E402,F401
import test_backends                    # noqa: E402,F401
import test_kvm                         # noqa: E402,F401
import test_kvm_cpuid                   # noqa: E402,F401
import test_kvm_gate                    # noqa: E402,F401
import test_kvm_sev                     # noqa: E402,F401
import test_kvm_sev_chain               # noqa: E402,F401
import test_kvm_sev_linux               # noqa: E402,F401
import test_kvm_sev_socket              # noqa: E402,F401
import test_matrix                      # noqa: E402,F401
import test_cache                       # noqa: E402,F401
import test_device_advice               # noqa: E402,F401
import test_device_table                # noqa: E402,F401
import test_devices                     # noqa: E402,F401
import test_secret                     # noqa: E402,F401
import test_stress                      # noqa: E402,F401
import test_tamper                      # noqa: E402,F401
import test_views                       # noqa: E402,F401
import test_wrong_key                   # noqa: E402,F401
from verdict import Failed              # noqa: E402


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--build', type=Path, metavar='DIR',
                        default=Path(os.environ.get('BUILD', ROOT / 'build')),
                        help='the build directory')
    parser.add_argument('--qemu', type=Path, metavar='BINARY',
                        help='another QEMU than the one built there')
    parser.add_argument('--base', type=Path, metavar='BINARY',
                        help='the unpatched base, for the comparison')
    parser.add_argument('--firmware', type=Path, metavar='FILE')
    parser.add_argument('--kernel', default='bookworm', metavar='SUITE')
    parser.add_argument('--filter', default='', metavar='REGEX',
                        help='run the tests whose name matches')
    parser.add_argument('--all', action='store_true',
                        help='the slow ones too')
    parser.add_argument('--no-sev', action='store_true',
                        help='the tests that also hold for ordinary guests')
    parser.add_argument('--silicon', action='store_true',
                        help='with chips that export what real ones do')
    parser.add_argument('--verbose', action='store_true',
                        help='show the sentence of each refusal')
    parser.add_argument('--list', action='store_true')
    return parser.parse_args()


def interrupted(number, _frame):
    raise KeyboardInterrupt(signal.Signals(number).name)


def chosen(args):
    for entry in registry.TESTS:
        if re.search(args.filter, entry['name']):
            if args.all or args.filter or not entry['slow']:
                yield entry


def show(entry, env, verbose):
    """Run one test and print its line; returns the verdict."""
    began = time.monotonic()
    verdict, reason = registry.run_one(entry, env)
    seconds = time.monotonic() - began
    shown = f'skip ({reason})' if verdict == 'skip' else verdict
    print(f'{shown} {entry["name"]} ({seconds:.1f} s)', flush=True)
    said, registry.SAID[:] = list(registry.SAID), []
    for sentence in said if verbose else ():
        print(f'    "{sentence}"', flush=True)
    if verdict == 'not ok':
        lines = reason.strip().splitlines() or ['no reason']
        for line in lines[:1] + lines[1:][-1:]:
            print(f'    {line}', flush=True)
    return verdict


def main():
    args = arguments()
    tests = list(chosen(args))
    if args.list:
        for entry in tests:
            print(entry['name'])
        return 0
    signal.signal(signal.SIGTERM, interrupted)
    folder = args.build.resolve() / 'functional'
    registry.clear(folder)
    counts = {'ok': 0, 'not ok': 0, 'skip': 0}
    try:
        env = registry.Env(args, folder)
    except Failed as error:
        sys.exit(f'error: {error}')
    try:
        for entry in tests:
            counts[show(entry, env, args.verbose)] += 1
    except KeyboardInterrupt as signalled:
        counts['not ok'] += 1
        print(f'not ok interrupted {signalled}'.rstrip())
    finally:
        env.close()
    if counts['not ok']:
        print(f'Screens and logs: {folder}')
    print(f'{counts["ok"]} passed, {counts["not ok"]} failed, '
          f'{counts["skip"]} skipped')
    return 1 if counts['not ok'] or not counts['ok'] else 0


if __name__ == '__main__':
    sys.exit(main())
