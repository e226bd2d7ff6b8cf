# SPDX-License-Identifier: GPL-2.0-or-later
"""The demonstration's acts; each leaves its checks in the report."""

import threading
import time

import compare
import hunt
import measure
import netlab
from sevlib import ACTIVE
from shape import Shape
from verdict import Failed
from tamper import Proxy

POLICY = 0x1            # no debugging; sending and key sharing allowed
CLONES = 3
LANE_CLONES = 2
SLOW = 2500             # us a packet: 1.6 MB/s, as published for silicon
GUEST_ADDRESS = f'{netlab.SUBNET}.2/24'
PEER = f'{netlab.SUBNET}.1:{netlab.PORT}'


def mb(count):
    return f'{count / 1e6:.1f} MB'


class Demo:
    """Two hosts, one guest that moves, one template, three clones."""

    def __init__(self, lab, net, report):
        self.lab, self.net, self.report = lab, net, report
        self.host_a = lab.host('host-a') if lab.sev else None
        self.host_b = lab.host('host-b') if lab.sev else None
        self.session = None
        self.guest = None

    def run(self):
        self.boot()
        self.measure()
        self.hunt()
        self.migrate()
        self.clone()
        if self.lab.sev:
            self.lane()

    def start(self, name, host, **options):
        """Start a guest of this demonstration."""
        guest = self.lab.guest(name, host=host, policy=POLICY, **options)
        guest.start()
        return guest

    # --- 1 -----------------------------------------------------------------

    def boot(self):
        report = self.report
        kind = 'SEV guest' if self.lab.sev else 'ordinary guest'
        report.begin(f'Boot Debian\'s cloud kernel as an {kind} under TCG')
        options = {}
        if self.lab.sev:
            report.doing('host A makes its identity; the guest\'s owner '
                         'makes a session for it')
            self.session = measure.Session(self.host_a.pdh(), POLICY,
                                           self.lab.folder)
            options = self.session.options(self.lab.folder)
        report.doing('booting: OVMF, then Linux')
        self.guest = self.start(
            'source', self.host_a, net=self.net, session=options,
            boot=dict(address=GUEST_ADDRESS, peer=PEER))
        seconds = self.guest.seconds_to_tick()
        if self.lab.sev:
            line = self.guest.find_text(ACTIVE)
            report.check(line, 'the kernel finds itself encrypted',
                         line or 'no such line on its console')
        report.check(True, 'the guest runs',
                     f'first tick {seconds:.1f} s after the start of QEMU')
        report.number('boot_seconds', round(seconds, 2))

    # --- 2 -----------------------------------------------------------------

    def measure(self):
        report = self.report
        report.begin('Check the launch measurement, independently')
        if not self.lab.sev:
            report.note('nothing is measured without SEV')
            return
        measured = self.guest.cmd('query-sev-launch-measure')['data']
        expected, found = measure.matches(
            self.session, self.guest.cmd('query-sev'), measured,
            self.lab.firmware)
        report.check(expected == found, 'measurement = the owner\'s own sum',
                     f'{found[:16]}... of OVMF and policy {POLICY:#x}'
                     if expected == found else
                     f'{found[:16]}..., but {expected[:16]}... was expected')

    # --- 3 -----------------------------------------------------------------

    def hunt(self):
        report, needle = self.report, self.lab.needle()
        report.begin('Hunt the guest\'s secret in everything the host sees')
        if self.lab.sev:
            report.doing('RAM file, pmemsave, dump of the SEV guest')
            self.hunted(self.guest, needle, expected=False)
        report.doing('booting the same guest without SEV')
        control = self.start('control', None, sev=False)
        control.wait_ticks(1, limit=120)
        self.hunted(control, needle, expected=True)
        control.close()

    def hunted(self, guest, needle, expected):
        views = hunt.views(guest, needle)
        guest.wait_ticks(2)
        found = ', '.join(f'{view} {hits}' for view, hits in views.items())
        if expected:
            self.report.check(all(views.values()),
                              'without SEV the secret is there', found)
        else:
            self.report.check(not any(views.values()),
                              'with SEV the secret is nowhere', found)
        self.report.number('hits_without_sev' if expected else 'hits_with_sev',
                           views)

    # --- 4 -----------------------------------------------------------------

    def migrate(self):
        report, source = self.report, self.guest
        report.begin('Live-migrate the running guest to host B')
        if self.lab.sev:
            report.doing('host B makes its identity; host A\'s operator '
                         'trusts its root')
            self.host_a.trust(self.host_b)
        target = self.start('target', self.host_b, net=self.net,
                            boot=dict(address=GUEST_ADDRESS, peer=PEER),
                            incoming='defer')
        source.wait_ticks(2)
        before = source.ticks()[-1]
        stream = self.lab.large('migration.stream')
        with stream.open('wb') as record:
            wire = Proxy(target.listen(source), record=record)
            report.doing(f'migrating at tick {before[0]}')
            info = source.migrate(wire.uri)
            wire.finish()
        if info['status'] != 'completed':
            raise Failed(f'migration {info["status"]}: '
                         f'{info.get("error-desc", "no reason given")}')
        ticks = target.wait_ticks(10)
        self.moved(info, before, ticks)
        self.watched(stream)
        source.close()
        self.guest = target

    def moved(self, info, before, ticks):
        report = self.report
        report.check(ticks[-1][0] > before[0] + 10, 'the counter went on',
                     f'tick {before[0]} on host A, {ticks[-1][0]} on host B, '
                     'none missing')
        report.check(True, 'the memory is what it was',
                     'every page checked on both hosts')
        peer = self.net.connections()
        alive = (len(peer) == 1 and peer[0]['open'] and not peer[0]['bad']
                 and ticks[-1][4] > before[4] > 0)
        report.check(alive, 'the TCP connection lives',
                     f'{peer[0]["records"]} records, {peer[0]["bad"]} bad, '
                     f'{len(peer)} connection' if peer else 'never made')
        report.check(info['downtime'] < info['total-time'], 'the move took',
                     f'{info["total-time"] / 1000:.2f} s in all, '
                     f'{info["downtime"]} ms of them down, '
                     f'{mb(info["ram"]["transferred"])}')
        report.number('migration', info)
        if self.lab.sev:
            sev = info.get('sev', {})
            report.check(sev.get('packets', 0) > 0, 'it went by packets',
                         ', '.join(f'{k} {v}' for k, v in sev.items())
                         or 'query-migrate has no member "sev"')

    def watched(self, stream):
        """Everything that crossed the wire was recorded on the way."""
        hits = hunt.count(stream, self.lab.needle())
        self.report.number('hits_in_stream', hits)
        if self.lab.sev:
            self.report.check(hits == 0, 'the secret is not in the stream',
                              f'{hits} hits in '
                              f'{mb(stream.stat().st_size)} recorded')

    # --- 5 -----------------------------------------------------------------

    def clone(self):
        report = self.report
        report.begin(f'Seal a booted guest as a template, start {CLONES} '
                     'clones side by side')
        self.guest.close()
        report.doing('booting the guest that becomes the template')
        origin = self.start('template', self.host_b, ram_file=True)
        cold = origin.seconds_to_tick()
        origin.wait_ticks(5)
        image = self.lab.large('template.image')
        origin.cmd('stop')
        sealed_at = origin.sound_ticks()[-1][0]
        capabilities = {'sev_template': True} if self.lab.sev else {}
        report.doing(f'sealing it at tick {sealed_at}')
        info = origin.migrate(f'file:{image}', **capabilities)
        if info['status'] != 'completed':
            raise Failed(f'template: {info.get("error-desc", info["status"])}')
        origin.close()
        report.note(f'template of {mb(image.stat().st_size)} in '
                    f'{info["total-time"] / 1000:.2f} s')
        report.number('template', dict(bytes=image.stat().st_size,
                                       seconds=info['total-time'] / 1000))
        if self.lab.sev:
            hits = hunt.count(image, self.lab.needle())
            report.check(hits == 0, 'the secret is not in the template',
                         f'{hits} hits')
        self.clones(image, sealed_at, cold)

    def clones(self, image, sealed_at, cold):
        report = self.report
        report.doing('starting the clones')
        clones = [self.lab.guest(f'clone-{i + 1}', host=self.host_b,
                                 policy=POLICY, incoming=f'file:{image}')
                  for i in range(CLONES)]
        results = [None] * CLONES
        threads = [threading.Thread(target=self.one_clone, args=(c, results, i))
                   for i, c in enumerate(clones)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for clone, result in zip(clones, results):
            if isinstance(result, Exception):
                raise Failed(f'{clone.name}: {result}')
            resumed, ticked = result
            count = clone.sound_ticks()
            report.check(count[0][0] > sealed_at and resumed < cold,
                         f'{clone.name} counts on',
                         f'resumed after {resumed:.2f} s, tick '
                         f'{count[0][0]} after {ticked:.2f} s; '
                         f'a cold boot took {cold:.2f} s')
        report.number('cold_boot_seconds', round(cold, 2))
        report.number('clone_seconds', [round(r[0], 2) for r in results])
        if self.lab.sev:
            self.keys(clones, image)
        for clone in clones:
            clone.close()

    @staticmethod
    def one_clone(clone, results, i):
        try:
            clone.start()
            results[i] = clone.wait_resumed()
            clone.wait_ticks(5)
        except Exception as error:      # shown by the thread that joins us
            results[i] = error

    def keys(self, clones, image):
        """The same pages under different keys are different ciphertext."""
        report = self.report
        report.doing('comparing the ciphertext of the clones')
        for clone in clones:
            clone.cmd('stop')
        runs = compare.analyze(image)['private_runs']['ram']
        compared, same = compare.ciphertext([c.ram for c in clones], runs)
        report.check(compared >= 4096 and not same,
                     'each clone has its own key',
                     f'{compared} private pages compared, {same} the same')
        hits = sum(hunt.count(c.ram, self.lab.needle()) for c in clones)
        report.check(not hits, 'the secret is in no clone\'s RAM file',
                     f'{hits} hits')

    # --- 6 -----------------------------------------------------------------

    def lane(self):
        """A secure processor at silicon's pace, and a guest that helps itself."""
        report = self.report
        report.begin(f'The same with a slow chip: {SLOW / 1000:g} ms a packet, and '
                     'a lane')
        report.doing('booting a guest with a lane')
        origin = self.start('lane', self.host_b, shape=Shape(sev=',lane=on'))
        origin.wait_ticks(5)
        slow(origin)
        image = self.lab.large('lane.image')
        origin.cmd('stop')
        sealed_at = origin.sound_ticks()[-1][0]
        origin.cmd('migrate-set-parameters', sev_method='auto')
        report.doing(f'sealing it at tick {sealed_at}')
        info = origin.migrate(f'file:{image}', sev_template=True)
        if info['status'] != 'completed':
            raise Failed(f'lane: {info.get("error-desc", info["status"])}')
        origin.close()
        said, seconds = info['sev'], info['total-time'] / 1000
        pages = said['private-pages']
        by_packets = pages * SLOW / 1e6
        report.check(said['method'] == 'lane', 'the faster way was chosen',
                     said['method-reason'])
        report.check(seconds < by_packets, 'the guest sealed itself',
                     f'{pages} pages in {seconds:.2f} s; by packets '
                     f'{by_packets:.0f} s at least')
        hits = hunt.count(image, self.lab.needle())
        report.check(hits == 0, 'the secret is not in that template',
                     f'{hits} hits')
        report.number('lane', dict(pages=pages, seconds=seconds,
                                   packets_seconds=by_packets))
        self.lane_clones(image, sealed_at, by_packets)

    def lane_clones(self, image, sealed_at, by_packets):
        report, loads = self.report, []
        for i in range(LANE_CLONES):
            report.doing(f'starting clone {i + 1} of it')
            clone = self.start(f'lane-clone-{i + 1}', self.host_b,
                               incoming='defer')
            slow(clone)
            start = time.monotonic()
            clone.cmd('migrate-incoming', uri=f'file:{image}')
            clone.wait_loaded()
            loads.append(time.monotonic() - start)
            if not clone.cmd('query-status')['running']:
                clone.cmd('cont')
            clone.wait_ticks(3)
            count = clone.sound_ticks()
            report.check(count[0][0] > sealed_at and loads[-1] < by_packets,
                         f'lane-clone-{i + 1} counts on',
                         f'loaded in {loads[-1]:.2f} s; by packets '
                         f'{by_packets:.0f} s at least')
            clone.close()
        report.number('lane_clone_seconds', [round(s, 2) for s in loads])


def slow(guest):
    guest.cmd('qom-set', path='/objects/sev0', property='x-psp-delay-us',
              value=SLOW)
