# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest is launched, called back, moves, is saved and restored."""

import contextlib
import subprocess
import time

import measure
from verdict import Failed, wait_until

from .claims import CLAIMS
from .guests import POLICY
from .ioctls import PAGE
from .ledger import FAIL, UNKNOWN

NAMES = [claim.name for claim in CLAIMS if claim.part == 'guest']
MOVES = NAMES[NAMES.index('cancel'):]
TICKS = 3
CANCEL_LIMIT = 100          # milliseconds
FAST, SLOW = 1 << 40, 64 << 10      # bytes a second
NEEDED = ['dev-kvm', 'dev-sev', 'cpu', 'kvm-sev', 'firmware', 'export',
          'asids', 'memlock', 'room']
FOLLOWED = ['exit-hypercall', 'msr-filter']


class Moves:
    """The guests of one run; @opened, an ExitStack, ends them."""

    def __init__(self, ledger, kind, folder, certs, opened):
        self.ledger, self.kind, self.folder = ledger, kind, folder
        self.certs, self.opened, self.session = certs, opened, None
        self.limit = 60 + self.estimate()

    def estimate(self):
        """Seconds for all pages of a guest, thrice, at the pace just seen"""
        pages = self.kind.need / PAGE
        rates = [self.ledger.rows.get(name, {}).get('values', {})
                 .get('median-us', 2500) for name in ('send-rate',
                                                      'receive-rate')]
        return 3 * pages * sum(rates) / 1e6

    def start(self, stem, **options):
        made = self.kind.make(stem, **options)
        self.opened.callback(self.end, made)
        return made.start()

    @staticmethod
    def end(guest):
        with contextlib.suppress(Exception):    # it may have ended already
            guest.close()

    # --- Launch ---

    def launch(self):
        """The guest that runs, or None"""
        began, options = time.monotonic(), {}
        try:
            self.session = measure.Session(self.certs.pdh, POLICY, self.folder)
            options = self.session.options(self.folder)
        except (OSError, ValueError, subprocess.SubprocessError) as e:
            self.ledger.say('measurement', UNKNOWN, f'not run: {e}', 'install '
                            'openssl: the owner\'s session is made with it')
        try:
            guest = self.start('source', **options)
            guest.goes_on(TICKS, self.kind.limit)
        except Failed as error:
            self.ledger.say('launch', FAIL, error)
            return None
        took = time.monotonic() - began
        self.ledger.check('launch', True, f'{guest.last()} ticks after '
                          f'{took:.1f} s, memory sound at each',
                          seconds=round(took, 2))
        if self.session:
            self.step('measurement', self.measure, guest)
        return guest

    def measure(self, guest):
        expected, found = measure.matches(
            self.session, guest.cmd('query-sev'),
            guest.cmd('query-sev-launch-measure')['data'], self.kind.firmware)
        self.ledger.check('measurement', expected == found,
                          f'{found[:16]}...' if expected == found else
                          f'{found[:16]}..., not {expected[:16]}...',
                          'report this: firmware and QEMU disagree on what '
                          'was measured')

    def declared(self, guest):
        pages = guest.cmd('x-query-sev-page-map')
        self.ledger.check(
            'declared', pages['declared-shared'],
            f'{pages["declared-shared"]} of {pages["pages"]} pages are shared',
            'take a guest kernel with CONFIG_KVM_GUEST, and see '
            'exit-hypercall and msr-filter',
            shared=pages['declared-shared'], pages=pages['pages'],
            control=pages['migration-control'])

    # --- Migration ---

    def ended(self, guest, pause=0.05):
        """query-migrate when it is over; asked every @pause seconds"""
        def probe():
            info = guest.migration()
            return info if info.get('status') in ('completed', 'failed',
                                                  'cancelled') else None
        return wait_until('end of the migration', self.limit, probe, pause)

    def loaded(self, guest):
        def probe():
            info = guest.migration()
            if info.get('status') == 'failed':
                raise Failed(info.get('error-desc', 'the stream was refused'))
            return info.get('status') == 'completed'
        wait_until('end of the load', self.limit, probe)

    def runs_on(self, guest):
        """Does a guest that stayed here count on?"""
        try:
            if not guest.cmd('query-status')['running']:
                guest.cmd('cont')
            guest.goes_on(TICKS, self.kind.limit)
            return True
        except Failed:
            return False

    def sent(self, name, guest, info):
        """One row of what query-migrate says of a migration that is over."""
        if info['status'] != 'completed':
            runs = self.runs_on(guest)
            self.ledger.say(name, FAIL, f'it ended as {info["status"]}: '
                            f'{info.get("error-desc", "no reason given")}; the '
                            f'guest {"runs on" if runs else "does not run on"}',
                            runs_on=runs)
            return False
        sev = info['sev']
        busy, line, pages = (sev[f'{part}-time'] / 1e3 for part in
                             ('firmware', 'line-wait', 'page-wait'))
        per_second = sev['packets-per-second']
        self.ledger.check(
            name, True, f'{sev["packets"]} packets in '
            f'{info["total-time"] / 1e3:.2f} s: {per_second} packets/s, '
            f'{per_second * PAGE / 1e6:.2f} MB/s; the firmware worked for '
            f'{busy:.0f} ms, waited {line:.0f} ms for the line and {pages:.0f} '
            'ms for pages',
            packets=sev['packets'], packet_bytes=sev['packet-bytes'],
            private_pages=sev['private-pages'], per_second=per_second,
            mb_per_second=round(per_second * PAGE / 1e6, 3),
            firmware_ms=round(busy, 1), line_wait_ms=round(line, 1),
            page_wait_ms=round(pages, 1), total_ms=info['total-time'],
            downtime_ms=info.get('downtime'))
        return True

    def called_off(self, guest, bandwidth):
        """Milliseconds that a cancel took, or None: it was over before"""
        guest.cmd('migrate-set-parameters', max_bandwidth=bandwidth)
        guest.cmd('migrate', uri='exec:cat > /dev/null')

        def under_way():
            info = guest.migration()
            if info.get('status') == 'failed':
                raise Failed(info.get('error-desc', 'no reason given'))
            return info if info.get('status') == 'completed' or \
                info.get('sev', {}).get('packets') else None
        wait_until('first packet', self.limit, under_way, 0.001)
        began = time.monotonic()
        guest.cmd('migrate_cancel')
        status = self.ended(guest, 0.001)['status']
        took = (time.monotonic() - began) * 1e3
        if status == 'cancelled':
            return took
        guest.cmd('cont')               # into a pipe: it may run on here
        return None

    def cancel(self, guest):
        """Under way at full speed; slowed down when that was too fast."""
        took = self.called_off(guest, FAST)
        if took is None:
            took = self.called_off(guest, SLOW)
        if took is None:
            raise Failed('it was over before it could be called off')
        guest.goes_on(TICKS, self.kind.limit)
        guest.cmd('migrate-set-parameters', max_bandwidth=FAST)
        self.ledger.check('cancel', True, f'it counted on to {guest.last()}')
        self.ledger.check('cancel-time', took <= CANCEL_LIMIT,
                          f'{took:.0f} ms', 'nothing to do, but send the report',
                          ms=round(took, 1))

    def migrate(self, source):
        """The guest where it runs now"""
        target = self.start('target', incoming='defer', came_from=source)
        uri = 'unix:line'       # in our folder; its whole name may be too long
        target.cmd('migrate-incoming', uri=uri)
        source.cmd('migrate', uri=uri)
        info = self.ended(source)
        if not self.sent('migrate', source, info):
            return source
        try:
            self.loaded(target)
            target.goes_on(TICKS, self.kind.limit)
        except Failed as error:
            self.ledger.say('moved', FAIL, error)
            return None
        self.ledger.check('moved', True, f'{source.last()} ticks here, '
                          f'{target.last()} there, memory sound at each')
        limit = source.cmd('query-migrate-parameters')['downtime-limit']
        down = info['downtime']
        self.ledger.check('downtime', down <= limit, f'{down} ms, the limit is '
                          f'{limit}', 'nothing to do, but send the report',
                          ms=down, limit=limit)
        self.end(source)
        return target

    # --- A file ---

    def save(self, guest):
        """To a file, and from it into another QEMU"""
        image = self.folder / 'saved'
        guest.cmd('stop')
        guest.cmd('migrate', uri=f'file:{image}')
        if not self.sent('save', guest, self.ended(guest)):
            return
        self.end(guest)
        try:
            restored = self.start('restored', incoming='defer',
                                  came_from=guest)
            restored.cmd('migrate-incoming', uri=f'file:{image}')
            self.loaded(restored)
            if not restored.cmd('query-status')['running']:
                restored.cmd('cont')
            restored.goes_on(TICKS, self.kind.limit)
            self.ledger.check('restore', True, f'{guest.last()} ticks before, '
                              f'{restored.last()} now, memory sound at each')
            self.end(restored)
        except Failed as error:
            self.ledger.say('restore', FAIL, error)
        finally:
            image.unlink(missing_ok=True)

    def run(self, needed):
        guest = self.launch()
        if not guest or not self.ledger.needs(['declared', *MOVES], needed):
            return
        self.step('declared', self.declared, guest)
        if not self.ledger.needs(MOVES, ['declared', 'chain']):
            return
        self.step('cancel', self.cancel, guest)
        guest = self.step('migrate', self.migrate, guest)
        if guest:
            self.step('save', self.save, guest)

    def step(self, name, function, guest):
        """What went wrong is in a row, if it is not yet, and others go on."""
        try:
            return function(guest)
        except Failed as error:
            if name not in self.ledger.rows:
                self.ledger.say(name, FAIL, error)
            return None


def run(ledger, kind, folder, certs, opened, host=True):
    """All rows of the part; what cannot be done says why. @host: there are
    rows of the host and its kernel."""
    if host and not ledger.needs(NAMES, NEEDED):
        return
    try:
        Moves(ledger, kind, folder, certs, opened).run(
            FOLLOWED if host else [])
        reason = 'the step before it did not succeed'
    except Failed as error:
        reason = str(error)
    ledger.not_run(NAMES, reason, ledger.culprit(NAMES))
