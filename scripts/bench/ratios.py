# SPDX-License-Identifier: GPL-2.0-or-later
"""Ratios of a run's figures, and what moved since the baseline.

Only ratios of one run are compared: both sides met the same machine and the same load.
Where both have as many rounds, a ratio is the median of the rounds' own ratios.
"""

import statistics
from dataclasses import dataclass

LEAST_NOISE = 0.02      # no machine repeats itself better than that


@dataclass(frozen=True)
class Ratio:
    """@above / @below; less is better."""
    bench: str
    what: str
    above: str
    below: str
    at: object = None
    at_below: object = None
    what_below: str = ''

    def name(self):
        def side(what, variant, at):
            return f'{variant}, {what}' + (f' at {at}' if at is not None else '')
        return (f'{self.bench}: {side(self.what, self.above, self.at)} / '
                + side(self.what_below or self.what, self.below,
                       self.at if self.at_below is None else self.at_below))


def migration():
    for load in ('idle', 'writing'):
        for above, below in (
                ('SEV tcp', 'stock tcp'), ('SEV tcp', 'stock TLS'),
                ('SEV tcp, nettle', 'stock TLS'),
                ('SEV multifd 2', 'stock multifd 2'),
                ('SEV multifd 2', 'stock TLS multifd 2'),
                ('SEV tcp, 128 MiB/s', 'stock tcp, 128 MiB/s')):
            for what in ('total', 'processor'):
                yield Ratio('migration', f'{load}: {what}', above, below)


def clone():
    sev, kata, stock = 'SEV clone', 'SEV clone, Kata way', 'stock, Kata way'
    ten = ', 10 at a time'
    yield Ratio('clone', 'resume', sev, stock)
    yield Ratio('clone', 'tick', sev, stock)
    yield Ratio('clone', 'tick', kata, stock)
    yield Ratio('clone', 'tick', sev + ten, stock + ten)
    yield Ratio('clone', 'tick', sev, 'SEV cold boot')
    yield Ratio('clone', 'resume', 'SEV clone, pool', stock)
    for count in (10, 100):
        yield Ratio('clone', 'memory: pss', sev, stock, count)
        yield Ratio('clone', 'memory: pss', kata, stock, count)


def tcg():
    for what in ('boot to poweroff, 1 vCPU: processor',
                 'boot to poweroff, 4 vCPUs: processor',
                 'steady load, 1 vCPU: processor', 'memory after boot'):
        yield Ratio('tcg', what, 'on', 'off')
        yield Ratio('tcg', what, 'off', 'base')


def psp():
    for who, batch in (('ipsec-mb', 32), ('ipsec-mb', 1), ('nettle', 1)):
        yield Ratio('psp', 'packet seal', who, 'openssl', batch, 32)
    for what in ('SEND_UPDATE', 'RECEIVE_UPDATE'):
        yield Ratio('psp', what, 'ipsec-mb', 'ipsec-mb', 32, 32, 'packet seal')


def lane():
    openssl = 'OpenSSL, EVP AES-256-GCM'
    for what in ('seal', 'open'):
        for who in ('library', 'image'):
            for code in ('AES-NI, PCLMULQDQ', 'VAES, 256 bits', 'VAES, 512 bits'):
                yield Ratio('lane', what, f'{who}, {code}', openssl)
    for what in ('seal', 'load'):
        yield Ratio('slow-chip', what, 'lane', 'packets', 2500)


RATIOS = (*psp(), *lane(), *migration(), *clone(), *tcg())


def found(figures, bench, what, variant, at):
    for one in figures:
        if (one['bench'], one['what'], one['variant'], one['at']) == \
                (bench, what, variant, at):
            return one['values']
    return None


def value(figures, ratio):
    """{'median', 'least', 'most', 'rounds'}, or None when a side is missing."""
    above = found(figures, ratio.bench, ratio.what, ratio.above, ratio.at)
    below = found(figures, ratio.bench, ratio.what_below or ratio.what,
                  ratio.below,
                  ratio.at if ratio.at_below is None else ratio.at_below)
    if not above or not below or not all(below):
        return None
    if len(above) == len(below):
        each = [a / b for a, b in zip(above, below)]
    else:
        each = [a / statistics.median(below) for a in above]
    return {'median': statistics.median(each), 'least': min(each),
            'most': max(each), 'rounds': len(each)}


def all_of(figures):
    """{name: value} of the ratios that these figures have both sides of."""
    values = ((ratio.name(), value(figures, ratio)) for ratio in RATIOS)
    return {name: one for name, one in values if one}


def noise(one):
    """Half of the width that the rounds had, as a share; more rounds, less."""
    half = (one['most'] - one['least']) / 2 / one['median']
    return max(LEAST_NOISE, half / max(1, one['rounds'] ** 0.5 / 2))


def moved(now, then):
    """[(name, then, now, change, noise)] of what moved by more than the noise."""
    both = []
    for name in then:
        if name in now:
            change = now[name]['median'] / then[name]['median'] - 1
            limit = (noise(now[name]) ** 2 + noise(then[name]) ** 2) ** 0.5
            if abs(change) > limit:
                both.append((name, then[name]['median'], now[name]['median'],
                             change, limit))
    return both
