#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What SEV under TCG costs: unpatched base, SEV off, SEV on, SEV-ES, in one run.

Boot to poweroff with 1 and 4 vCPUs, a steady load in a booted guest, memory
after boot.  Rounds are interleaved, in turn forwards and backwards; a ratio is
the median of the rounds' own ratios, so that a machine that changes its speed
meanwhile disturbs it little.  Speed is judged by the processor time of the QEMU
process.  Exit code 1 when an aim is missed.  Of SEV-ES only the boot is measured, with
a firmware that knows it; "off-es" is an ordinary guest with the same firmware.
"""

import argparse
import contextlib
import json
import os
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'tests/functional/lib'))

# pylint: disable=wrong-import-position
import sevlib                           # noqa: E402
from shape import ES, Shape             # noqa: E402
from verdict import Failed              # noqa: E402

LIMIT = 600                 # seconds for anything, on a busy machine
SETTLE = 3                  # seconds from the first tick to a look at memory

# What is measured: (name, unit, at most, of what)
AIMS = [
    ('boot to poweroff, 1 vCPU: processor', 's', (('on', 'off', 1.20),
                                                  ('off', 'base', 1.01),
                                                  ('es', 'off-es', 1.50))),
    ('boot to poweroff, 1 vCPU: wall', 's', ()),
    ('boot to poweroff, 4 vCPUs: processor', 's', (('on', 'off', 1.30),
                                                   ('off', 'base', 1.01))),
    ('boot to poweroff, 4 vCPUs: wall', 's', ()),
    ('steady load, 1 vCPU: processor', 's', (('on', 'off', 1.08),
                                             ('off', 'base', 1.01))),
    ('memory after boot', 'MiB', (('on', 'off', 1.30),)),
]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--build', type=Path, metavar='DIR',
                        default=Path(os.environ.get('BUILD', ROOT / 'build')))
    parser.add_argument('--base', type=Path, metavar='BINARY',
                        help='the unpatched base (tests/functional/'
                        'build-base.sh makes it); left out when missing')
    parser.add_argument('--rounds', type=int, default=7)
    parser.add_argument('--load', type=int, default=16, metavar='N',
                        help='times the guest compresses and hashes busybox')
    parser.add_argument('--mem', type=int, default=256, metavar='MIB')
    parser.add_argument('--only', default='', metavar='WORD',
                        help='boot, load or memory')
    parser.add_argument('--es', action='store_true',
                        help='SEV-ES against SEV off with the same firmware only')
    parser.add_argument('--off', action='store_true',
                        help='SEV off against the base only, for many rounds')
    parser.add_argument('--output', type=Path, metavar='FILE',
                        help='every value as JSON')
    return parser.parse_args()


class Variant:
    """One of them: a binary, with or without SEV or SEV-ES."""

    def __init__(self, lab, sev, host, mem, *, firmware='split', policy=0x1):
        self.lab, self.sev, self.host, self.mem = lab, sev, host, mem
        self.shape, self.policy = Shape(firmware=firmware), policy

    @property
    def boots_only(self):
        return self.shape.firmware == 'es'

    def guest(self, name, smp, **boot):
        return self.lab.guest(name, host=self.host, sev=self.sev, smp=smp,
                              mem=self.mem, ram_file=False, policy=self.policy,
                              shape=self.shape, boot=boot).start()

    def boot(self, smp):
        """(processor seconds, wall seconds) of a guest's whole life."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        guest = self.guest('boot', smp, end='poweroff')
        guest.vm.wait(timeout=LIMIT)
        wall = time.time() - guest.started
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        guest.close()
        return (after.ru_utime + after.ru_stime -
                before.ru_utime - before.ru_stime, wall)

    def load(self, rounds):
        """Processor seconds of a load, in a guest that has warmed up."""
        guest = self.guest('load', 1, load=rounds)
        guest.wait_text('^LOAD begins', LIMIT)
        before = guest.cpu_seconds()
        guest.wait_text('^LOAD ends', LIMIT)
        spent = guest.cpu_seconds() - before
        guest.close()
        return spent

    def memory(self):
        """MiB resident once the guest has booted and come to rest."""
        guest = self.guest('memory', 1, tick=1000)
        guest.wait_text('^TICK 1 ', LIMIT)
        time.sleep(SETTLE)
        status = Path(f'/proc/{guest.vm.get_pid()}/status').read_text('ascii')
        guest.close()
        kib = next(int(line.split()[1]) for line in status.splitlines()
                   if line.startswith('VmRSS:'))
        return kib / 1024


def measure(variant, args):
    """One round of one variant: {name: value}."""
    found = {}
    if args.only in ('', 'boot'):
        for smp, word in ((1, '1 vCPU'), (4, '4 vCPUs')):
            processor, wall = variant.boot(smp)
            found[f'boot to poweroff, {word}: processor'] = processor
            found[f'boot to poweroff, {word}: wall'] = wall
    if variant.boots_only:
        return found
    if args.only in ('', 'load'):
        found['steady load, 1 vCPU: processor'] = variant.load(args.load)
    if args.only in ('', 'memory'):
        found['memory after boot'] = variant.memory()
    return found


def show(results, variants):
    """Print the table; returns whether every aim was met."""
    good = True
    print(f'\n{"median (least - most)":40}' +
          ''.join(f'{name:>24}' for name in variants))
    for name, unit, aims in AIMS:
        values = {v: results[v][name] for v in variants if name in results[v]}
        if not values:
            continue
        cells = [f'{statistics.median(x):.2f} {unit} '
                 f'({min(x):.2f} - {max(x):.2f})' for x in values.values()]
        print(f'{name:40}' + ''.join(f'{cell:>24}' for cell in cells))
        for one, other, most in aims:
            if one not in values or other not in values:
                continue
            ratio = statistics.median(a / b for a, b in zip(values[one],
                                                            values[other]))
            met = ratio <= most
            good &= met
            print(f'    {one} / {other}: {ratio:.3f}, aim {most:.2f}: '
                  f'{"met" if met else "MISSED"}')
    return good


def run(args, folder):
    build = args.build.resolve()
    base = args.base or build / 'base/obj/qemu-system-x86_64'
    with contextlib.ExitStack() as labs:
        lab = labs.enter_context(sevlib.Lab(folder, build))
        host = lab.host('bench')
        host.capabilities()             # makes the identity, outside the clock
        variants = {'off': Variant(lab, False, None, args.mem)}
        if not args.off:
            variants['on'] = Variant(lab, True, host, args.mem)
        if not args.off and ES.exists():
            variants |= {
                'off-es': Variant(lab, False, None, args.mem, firmware='es'),
                'es': Variant(lab, True, host, args.mem, firmware='es',
                              policy=0x5)}
        if base.exists():
            plain = labs.enter_context(
                sevlib.Lab(folder, build, binary=base, sev=False))
            variants = {'base': Variant(plain, False, None, args.mem),
                        **variants}
        else:
            print(f'{base} is missing: no comparison with the base')
        if args.es:
            variants = {name: variants[name] for name in ('off-es', 'es')
                        if name in variants}
        results = {name: {} for name in variants}
        for variant in variants.values():
            variant.boot(1)             # not counted: it reads files and warms up
        for turn in range(args.rounds):
            order = list(variants.items())
            for name, variant in order if turn % 2 else reversed(order):
                for what, value in measure(variant, args).items():
                    results[name].setdefault(what, []).append(value)
            print(f'round {turn + 1} of {args.rounds}, load average '
                  f'{os.getloadavg()[0]:.1f}', flush=True)
        if args.output:
            args.output.write_text(json.dumps(
                {'rounds': args.rounds, 'results': results}, indent=1) + '\n', 'utf-8')
        return show(results, variants)


def main():
    args = arguments()
    try:
        with tempfile.TemporaryDirectory(prefix='bench-tcg-') as folder:
            return 0 if run(args, folder) else 1
    except Failed as error:
        sys.exit(f'error: {error}')


if __name__ == '__main__':
    sys.exit(main())
