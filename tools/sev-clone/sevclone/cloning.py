# SPDX-License-Identifier: GPL-2.0-or-later
"""sev-clone run: from a template to clones that run and differ."""

import concurrent.futures
import contextlib
import time

from sevclone import Trouble, layout, machine, process, qmp
from sevclone.channel import Channel

RESEED_LIMIT = 60       # seconds
SAYS = (('seeded', 'seeded'), ('distinct', 'done'))     # times, guest's words


def start(binary, template, state=process.STARTING):
    """A QEMU process that waits for its memory."""
    who = process.identity()
    return process.spawn(binary, machine.clone(template.spec, who), who,
                         template.name, state)


def ready(waiting, template):
    """Do beforehand whatever can be done before the clone is wanted."""
    with waiting.sentence():
        layout.prepare(waiting.qmp(), template)
    return waiting


def fill(waiting, template, reseed):
    """Make a clone of a waiting process; returns what took how long.

    @reseed: None, say nothing to the guest; False, tell it that it is a clone;
    True, and wait until it has re-seeded.

    'resume' is QEMU's own time of RESUME; 'seeded' and 'distinct' (with @reseed)
    are when the guest had re-seeded, and had done all else.  All count from the
    call.
    """
    asked = time.time()
    with contextlib.ExitStack() as stack:
        stack.enter_context(waiting.sentence())
        monitor = waiting.qmp()
        channel = Channel(waiting.path('clone'))
        stack.callback(channel.close)
        if reseed is not None:
            channel.tell(waiting.info)
        layout.load(monitor, template)
        loaded = time.time()
        monitor.cmd('cont')
        event = monitor.event(lambda e: e['event'] == 'RESUME',
                              qmp.REPLY_LIMIT)
        took = {'load': loaded - asked, 'resume': qmp.stamp(event) - asked}
        for key, word in SAYS if reseed else ():
            said, _ = channel.wait((word, 'failed'), RESEED_LIMIT,
                                   waiting.alive)
            if said == 'failed':
                raise Trouble(f'clone {waiting.id} could not re-seed; the last '
                              f'line on its screen: "{waiting.last_line()}"')
            took[key] = time.time() - asked
    waiting.release()
    waiting.let_go()
    return took


def one(binary, template, reseed):
    """One clone from nothing; times count from just before exec."""
    clone = start(binary, template)
    try:
        ready(clone, template)
        began = time.time()
        took = fill(clone, template, reseed)
    except BaseException:
        clone.stop()
        raise
    before = began - clone.spawned
    return clone, {'start': before,
                   **{key: before + value for key, value in took.items()}}


def has_helper(template):
    """Whether the guest told us itself that it was ready."""
    return template.spec.get('point') == 'ready'


def many(binary, template, count, jobs, reseed, progress):
    """@count clones, @jobs at a time: [(process, times)].

    When one fails, or we are interrupted, no other is begun; those that were
    stand in "begun".
    """
    done, futures = [], []
    with concurrent.futures.ThreadPoolExecutor(jobs) as workers:
        try:
            for _ in range(count):
                futures.append(workers.submit(one, binary, template, reseed))
            for future in concurrent.futures.as_completed(futures):
                done.append(future.result())
                progress.bar('clones', len(done), count)
        except BaseException:
            workers.shutdown(wait=False, cancel_futures=True)
            raise
    return done
