# SPDX-License-Identifier: GPL-2.0-or-later
"""make bench reads its benchmarks rightly, and make bench-check sees what moved."""

import contextlib
import io
import json
import sys
from pathlib import Path

from registry import test
from sevlib import ROOT
from verdict import Skip, check

sys.path.append(str(ROOT / 'scripts/bench'))

import figures              # noqa: E402  pylint: disable=wrong-import-position
import ratios               # noqa: E402  pylint: disable=wrong-import-position
import bench_all as run                  # noqa: E402  pylint: disable=wrong-import-position

PSP = '''\
what             provider  th batch  packets/s     GB/s   cpu ns cpu GB/s
packet seal      openssl    1    32     340000     1.39     {0}     1.39
CTR alone        ipsec-mb   1    32    2000000     8.00      300     13.1
HMAC alone       ipsec-mb   1    32    1000000     4.00      900     4.55
  99 % of the raw rate of both primitives; 2.41 x OpenSSL
packet seal      ipsec-mb   1    32     800000     3.30     {1}     3.36
SEND_UPDATE      ipsec-mb   1    32     600000     2.40     1680     2.40
SEND_UPDATE      ipsec-mb   2    32    1100000     4.80     1700     2.40
'''
LANE = '''\
OpenSSL 3.0.19 27 Jan 2026       seal a page of 4 KiB         open
OpenSSL, EVP AES-256-GCM          1105 ns  3.71 GB/s 1.00x   1082 ns  3.79 GB/s 1.00x
image, VAES, 512 bits              565 ns  7.25 GB/s 1.96x    622 ns  6.59 GB/s 1.74x
  without entry and exit           440 ns  9.31 GB/s 2.51x    497 ns  8.24 GB/s 2.18x
Entry and exit of a run: 32.0 us.
'''
HOP = dict(total=1.0, gap=0.02, downtime=0.01, sent=10 ** 8, cpu=0.5, pages=10 ** 5,
           packets=10 ** 5, rounds=3)
MIGRATION = {load: {mode: [dict(HOP, total=seconds + 0.01 * i) for i in range(3)]
                    for mode, seconds in (('stock tcp', 1), ('stock TLS', 2),
                                          ('SEV tcp', 1.5))}
             for load in ('idle', 'writing')}
CLONE = {'times': {'SEV clone': [{'resume': 0.04, 'tick': 0.06}] * 3,
                   'stock, Kata way': [{'resume': 0.05, 'tick': 0.06}] * 3,
                   'SEV cold boot': [{'tick': 7}]},
         'memory': {name: [{'count': count, 'pss': (4 + 10 / count) * 2 ** 20,
                            'process': 2 ** 24} for count in (1, 10, 100)]
                    for name in ('SEV clone', 'stock, Kata way')}}
TCG = {'results': {name: {f'boot to poweroff, {cpus}: processor': [5 * factor] * 3
                          for cpus in ('1 vCPU', '4 vCPUs')}
                   for name, factor in (('base', 1), ('off', 1), ('on', 1.1))}}
SLOW = {'rows': [dict(us=us, method=method, seal=0.2 + us / 30 * slow,
                      load=0.2 + us / 30 * slow)
                 for us in (0, 500, 2500) for method, slow in (('packets', 1),
                                                               ('lane', 0.01))]}
KERNEL = {'busy': [dict(line='no limit', busy=0.98, seconds=11)],
          'cancel': [dict(line='no limit', all_ms=[3, 5])],
          'downtime': [dict(slower=slower, line=None, all_gaps_ms=[limit / 2],
                            limit_ms=limit)
                       for slower in (1, 2) for limit in (100, 300)]}


def everything():
    return figures.merged([
        *figures.psp([PSP.format(2900, 1200), PSP.format(3000, 1250)]),
        *figures.lane([LANE]), *figures.migration(MIGRATION), *figures.clone(CLONE),
        *figures.tcg(TCG), *figures.slow_chip(SLOW), *figures.kernel(KERNEL)])


@test('bench: what each benchmark writes becomes figures and ratios', sev=False)
def read(_env):
    found = everything()
    check(ratios.found(found, 'psp', 'packet seal', 'openssl', 32) == [2900, 3000],
          'OpenSSL is not read')
    check(ratios.found(found, 'lane', 'open', 'image, VAES, 512 bits', None) == [622],
          'the lane is not read')
    check(not [one for one in found if 'without' in one['variant']],
          'a row of differences is a figure')
    of = ratios.all_of(found)
    for name, wanted in (
            ('psp: ipsec-mb, packet seal at 32 / openssl, packet seal at 32', 0.415),
            ('migration: SEV tcp, idle: total / stock TLS, idle: total', 0.751),
            ('tcg: on, boot to poweroff, 4 vCPUs: processor / off, boot to poweroff, '
             '4 vCPUs: processor', 1.1)):
        check(abs(of[name]['median'] - wanted) < 0.001, f'{name}: {of[name]}')
    check(all(part.name in {one['bench'] for one in found} for part in run.PARTS),
          'a benchmark has no example here')


def ratio(median, half, rounds=4):
    return dict(median=median, least=median - half, most=median + half, rounds=rounds)


@test('bench-check: what moved by more than the noise is said, and nothing else',
      sev=False)
def compare(env):
    then = {'worse': ratio(1, 0.02), 'noisy': ratio(1, 0.2), 'better': ratio(1, 0.01),
            'steady': ratio(1, 0.01), 'gone': ratio(1, 0)}
    now = {'worse': ratio(1.1, 0.02), 'noisy': ratio(1.1, 0.2),
           'better': ratio(0.9, 0.01), 'steady': ratio(1.01, 0.01)}
    moved = {name: change for name, *_, change, _ in ratios.moved(now, then)}
    check(set(moved) == {'worse', 'better'} and moved['better'] < 0 < moved['worse'],
          f'{moved}')
    baseline = Path(env.folder, 'baseline.json')
    same = dict(cpu='a', cpus=2)
    baseline.write_text(json.dumps({'machine': same, 'ratios': then}))
    results = {'quick': False, 'machine': same, 'ratios': now}
    with contextlib.redirect_stdout(io.StringIO()) as said:
        check(not run.check(results, baseline), 'it is content with what is worse')
        del now['worse']
        check(run.check(results, baseline), 'it is not content')
    check('WORSE: worse: 1.000, now 1.100 (+10.0%' in said.getvalue(),
          said.getvalue())
    try:
        run.check(dict(results, quick=True), baseline)
    except SystemExit:
        return
    check(False, 'a quick run is compared')


@test('bench: benchmarks of several sittings lie side by side, if they may', sev=False)
def sittings(env):
    folder = Path(env.folder)
    this = {'format': run.FORMAT, 'quick': False, 'parts': {'psp': {'rounds': 5}},
            'machine': dict(cpu='a', cpus=2, kvm=True, linux='6.1')}
    file = folder / 'results.json'
    check(run.kept(this, folder) == {}, 'something is kept of no run')
    file.write_text(json.dumps(this))
    check(run.kept(dict(this, machine=dict(this['machine'], linux='6.2')), folder)
          == this['parts'], 'a run of this machine is not kept')
    for key, value in (('quick', True), ('format', 0), ('machine', dict(cpu='b'))):
        check(run.kept(dict(this, **{key: value}), folder) == {},
              f'a run with another {key} is kept')
    file.write_text('{')
    check(run.kept(this, folder) == {}, 'half a file is kept')
    check({part.name for part in run.PARTS if part.kvm} == {'kernel'},
          'other benchmarks than "kernel" are nothing without KVM')


@test('bench: every plot is drawn, and one that nobody can read is refused', sev=False)
def drawn(env):
    try:
        import plots        # pylint: disable=import-outside-toplevel
    except ImportError:
        raise Skip('no matplotlib') from None
    folder = Path(env.folder, 'plots')
    done = plots.draw({'parts': {'all': {'figures': everything()}}}, folder)
    check(not any(done.values()), f'{done}')
    for name in plots.PICTURES:
        check((folder / f'{name}.svg').stat().st_size > 4000 and
              (folder / f'{name}.png').read_bytes()[:4] == b'\x89PNG', f'no {name}')
    for x, wrong in ((0.51, 'lies on'), (1.2, 'outside')):
        figure = plots.pyplot.figure()
        figure.text(0.5, 0.5, 'one word')
        figure.text(x, 0.5, 'another word')
        try:
            plots.look(figure)
        except plots.Trouble as error:
            check(wrong in str(error), f'{error}')
            continue
        finally:
            plots.pyplot.close('all')
        check(False, f'{wrong}: not seen')
    empty = [one for one in everything() if one['variant'] != 'lane']
    done = plots.draw({'parts': {'all': {'figures': empty}}}, folder)
    check('"lane" is empty' in done['lane-by-delay'], f'{done}')
