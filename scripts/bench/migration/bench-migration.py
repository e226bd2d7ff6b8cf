#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Migration of SEV guests beside stock QEMU's, in one interleaved run.

The same guest in every mode: its memory filled, then idle or writing. Each
round does every mode once, so that whatever else the machine does hits all
alike; medians are printed, with the CPU time of both ends per page, which
load on the machine changes least.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[1:1] = [str(ROOT / 'tests/functional/lib')]

# pylint: disable=wrong-import-position
import pki                              # noqa: E402
from chain import Chain, Mode, slow     # noqa: E402
from sevlib import Lab                  # noqa: E402
from verdict import Failed              # noqa: E402

DEFAULT_LIMIT = 128 << 20               # upstream's max-bandwidth

MODES = [
    Mode('stock unix', 'stock', transport='unix'),
    Mode('stock tcp', 'stock'),
    Mode('stock multifd 2', 'stock', channels=2),
    Mode('stock TLS', 'stock', tls=True),
    Mode('stock TLS multifd 2', 'stock', tls=True, channels=2),
    Mode('SEV unix', 'sev', transport='unix'),
    Mode('SEV tcp', 'sev'),
    Mode('SEV multifd 2', 'sev', channels=2),
    Mode('SEV tcp, nettle', 'nettle'),
    Mode('stock tcp, 128 MiB/s', 'stock', bandwidth=DEFAULT_LIMIT),
    Mode('SEV tcp, 128 MiB/s', 'sev', bandwidth=DEFAULT_LIMIT),
]
# (numerator, denominator, at most); the ratio of medians of the total time
AIMS = [
    ('SEV tcp', 'stock TLS', 0.40),
    ('SEV tcp, nettle', 'stock TLS', 0.65),
    ('SEV multifd 2', 'stock TLS multifd 2', 0.40),
    ('SEV multifd 2', 'stock multifd 2', 2.50),
    ('SEV tcp, 128 MiB/s', 'stock tcp, 128 MiB/s', 1.02),
]
GAP_AIM = 0.020                 # SEV against stock, the same channel
GAPS = [('SEV unix', 'stock unix'), ('SEV tcp', 'stock tcp'),
        ('SEV multifd 2', 'stock multifd 2')]
IDLE = dict(limit=300, boot={'check': 0, 'tick': 200})
WRITING = dict(limit=20, boot={'check': 0, 'tick': 50, 'dirty': 50, 'ws': 128})


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--build', type=Path,
                        default=Path(os.environ.get('BUILD', ROOT / 'build')))
    parser.add_argument('--base', type=Path, metavar='BINARY',
                        help='the unpatched QEMU for the stock modes, if it is '
                        'not in the build directory')
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--memory', type=int, default=2048, metavar='MIB')
    parser.add_argument('--fill', type=int, default=1536, metavar='MIB')
    parser.add_argument('--modes', default='', metavar='TEXT',
                        help='only modes with this in their name')
    parser.add_argument('--only', choices=['idle', 'writing', 'slow'])
    parser.add_argument('--delay', type=int, default=500, metavar='US',
                        help='of the slow secure processor, default 500')
    parser.add_argument('--output', type=Path, metavar='FILE',
                        help='every hop as JSON')
    return parser.parse_args()


def note(text):
    print(f'\r\033[K{text}', end='' if text else '\n', file=sys.stderr,
          flush=True)


def labs(args, folder):
    """{chain: Lab}; the nettle chain shares its lab with sev."""
    sev = Lab(folder / 'sev', args.build.resolve())
    base = args.base or args.build / 'base/obj/qemu-system-x86_64'
    if not args.base and not base.exists():
        note('no unpatched base (tests/functional/build-base.sh makes it): '
             'stock is ours with SEV off')
        base = None
    stock = Lab(folder / 'stock', args.build.resolve(), base, sev=False)
    return {'stock': stock, 'sev': sev, 'nettle': sev}


def run(args, where, certificates, load):
    """Boot the guests, warm up, then all rounds; {mode: [Hop]}."""
    modes = [mode for mode in MODES if args.modes in mode.name]
    boot = {'mib': args.fill, **load['boot']}
    hops = {mode.name: [] for mode in modes}
    with contextlib.ExitStack() as stack:
        chains = {}
        for name in sorted({mode.chain for mode in modes}):
            note(f'booting {name}')
            chains[name] = Chain(
                where[name], name, args.memory, boot, certificates,
                ['SEV_PSP_PACKETS=nettle'] if name == 'nettle' else [])
            stack.callback(chains[name].close)
            chains[name].wait_booted()
            note(f'{name}: first hop, not counted')
            chains[name].hop(Mode('warm-up', name))
        for number in range(args.rounds):
            for mode in modes:
                note(f'round {number + 1} of {args.rounds}: {mode.name}')
                hops[mode.name].append(
                    chains[mode.chain].hop(mode, load['limit']))
    note('')
    return hops


def median(hops, what):
    return statistics.median(getattr(hop, what) for hop in hops)


def table(title, hops):
    print(f'\n{title}')
    print(f'{"":24}{"total ms":>9}{"(min-max)":>16}{"gap ms":>8}{"MB":>7}'
          f'{"pages":>8}{"us/page":>9}{"rounds":>7}')
    for name, done in hops.items():
        spread = (f'({min(h.total for h in done) * 1e3:.0f}-'
                  f'{max(h.total for h in done) * 1e3:.0f})')
        print(f'{name:24}{median(done, "total") * 1e3:9.0f}{spread:>16}'
              f'{median(done, "gap") * 1e3:8.1f}'
              f'{median(done, "sent") / 1e6:7.0f}{median(done, "pages"):8.0f}'
              f'{median(done, "cpu_per_page") * 1e6:9.2f}'
              f'{median(done, "rounds"):7.0f}')


def ratios(hops):
    """Print the aims; the CPU ratio stands beside that of the clock."""
    for above, below, most in AIMS:
        if hops.get(above) and hops.get(below):
            clock = median(hops[above], 'total') / median(hops[below], 'total')
            cpu = (median(hops[above], 'cpu_per_page')
                   / median(hops[below], 'cpu_per_page'))
            print(f'{above} / {below}: {clock:.2f} of the time (aim '
                  f'{most:.2f}: {"held" if clock <= most else "missed"}), '
                  f'{cpu:.2f} of the CPU')
    for ours, theirs in GAPS:
        if hops.get(ours) and hops.get(theirs):
            more = median(hops[ours], 'gap') - median(hops[theirs], 'gap')
            print(f'{ours}: stopped {more * 1e3:+.1f} ms against {theirs} '
                  f'(aim {GAP_AIM * 1e3:.0f}: '
                  f'{"held" if more <= GAP_AIM else "missed"})')


def slow_psp(lab, delay):
    print(f'\nA secure processor of {delay} us per packet, idle guests of '
          '512 MiB')
    for mib, channels in ((16, 0), (128, 0), (256, 0), (16, 2)):
        busy, info = slow(lab, delay, mib, 512, channels)
        sev = info['sev']
        print(f'{mib:4} MiB filled, {f"multifd {channels}" if channels else "tcp"}'
              f': {sev["private-pages"]} private pages, {sev["packets"]} packets,'
              f' {info["ram"]["transferred"] / 1e6:.0f} MB sent in '
              f'{info["total-time"] / 1e3:.1f} s, the secure processor busy '
              f'{min(busy, 1):.1%} of the time', flush=True)


def main():
    args = arguments()
    everything = {}
    folder = Path(tempfile.mkdtemp(prefix='bench-migration-'))
    try:
        where = labs(args, folder)
        certificates = pki.make(folder / 'pki')
        with where['sev'], where['stock']:
            for name, load in (('idle', IDLE), ('writing', WRITING)):
                if args.only in (None, name):
                    hops = run(args, where, certificates, load)
                    table(f'{args.memory} MiB, {args.fill} filled, {name}; '
                          f'medians of {args.rounds}, load '
                          f'{os.getloadavg()[0]:.1f}', hops)
                    ratios(hops)
                    everything[name] = {
                        mode: [dataclasses.asdict(hop) for hop in done]
                        for mode, done in hops.items()}
            if args.only in (None, 'slow'):
                slow_psp(where['sev'], args.delay)
    except Failed as error:
        note('')
        sys.exit(f'error: {error}')
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if args.output:
        args.output.write_text(json.dumps(everything, indent=1) + '\n')


if __name__ == '__main__':
    main()
