# SPDX-License-Identifier: GPL-2.0-or-later
"""Tests by name, and what they may share: a booted guest that can go on."""

import contextlib
import re
import shutil
import tempfile

from sevlib import Lab
from verdict import Skip, check

TESTS = []
SAID = []               # the refusals of this run, for --verbose


def test(name, sev=True, slow=False):
    """Register a test; @sev: it makes no sense with an ordinary guest."""
    def register(function):
        TESTS.append(dict(name=name, run=function, sev=sev, slow=slow))
        return function
    return register


class Env:
    """What a test gets: a lab, hosts, and guests that were booted before.

    Booting takes most of the time, so a guest that a test leaves running
    sound is handed to the next test that asks for the same kind.
    """

    def __init__(self, args, folder):
        self.args, self.folder = args, folder
        self.lab = Lab(folder, args.build.resolve(), args.qemu, args.firmware,
                       not args.no_sev, args.kernel,
                       getattr(args, 'silicon', False))
        self._hosts, self._idle, self._made = {}, {}, 0
        self._short = None
        self.kept = {}                  # templates that tests share: folders

    def short_folder(self):
        """A folder whose name fits into the path of a socket."""
        if self._short is None:
            self._short = tempfile.mkdtemp(prefix='sev-')
        return self._short

    def close(self):
        if self._short is not None:
            shutil.rmtree(self._short, ignore_errors=True)
        for folder in self.kept.values():
            shutil.rmtree(folder, ignore_errors=True)
        self.lab.__exit__()

    def host(self, name):
        if not self.lab.sev:
            return None
        if name not in self._hosts:
            self._hosts[name] = self.lab.host(name)
        return self._hosts[name]

    def name(self, stem):
        self._made += 1
        return f'{self._made:02d}-{stem}'

    def start(self, stem, host='a', **options):
        """A new QEMU process."""
        options.setdefault('sev', None)
        guest = self.lab.guest(self.name(stem), host=self.host(host),
                               **options)
        return guest.start()

    def boot(self, stem, host='a', ticks=3, **options):
        """A new guest, booted, counting."""
        guest = self.start(stem, host, **options)
        guest.wait_text(r'^TICK 1 ')
        guest.wait_ticks(ticks)
        return guest

    @contextlib.contextmanager
    def booted(self, host='a', keep=True, **options):
        """A guest that runs already, or a new one.

        With @keep it must count on when the test is through, and goes back to
        the others, stopped, since an idle guest takes a tenth of a processor.
        A failed test's guest does not.
        """
        kind = (host, repr(sorted(options.items())))
        guest = self._idle.pop(kind, None)
        if guest is None:
            guest = self.boot('guest', host, **options)
        else:
            guest.cmd('cont')
        try:
            yield guest
            if keep:
                guest.wait_ticks(3)
                guest.cmd('stop')
                self._idle[kind] = guest
                guest = None
        finally:
            if guest is not None:
                guest.close()

    @contextlib.contextmanager
    def target(self, host='b', trusted=True, source='a', **options):
        """A QEMU that waits on another host."""
        if trusted and self.lab.sev:
            self.host(source).trust(self.host(host))
        target = self.start('target', host, incoming='defer', **options)
        try:
            yield target
        finally:
            target.close()


def run_one(entry, env):
    """Run a test; returns ('ok' | 'not ok' | 'skip', reason)."""
    try:
        if entry['sev'] and not env.lab.sev:
            raise Skip('needs an SEV guest')
        entry['run'](env)
    except Skip as skip:
        return 'skip', str(skip)
    except Exception as error:          # any failure is one test's, not ours
        return 'not ok', f'{type(error).__name__}: {error}'
    return 'ok', ''


def expect_error(info, pattern):
    """The migration must have failed with the sentence agreed on."""
    check(info['status'] == 'failed',
          f'the migration ended as "{info["status"]}"')
    said = info.get('error-desc', '')
    SAID.append(said)
    check(re.search(pattern, said), f'the error says "{said}"')


def clear(folder):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
