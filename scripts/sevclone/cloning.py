# SPDX-License-Identifier: GPL-2.0-or-later
"""sev-clone run: from a template to clones that run and differ."""

import concurrent.futures
import contextlib
import time

from sevclone import Trouble, layout, machine, process, qmp
from sevclone.channel import Channel

RESEED_LIMIT = 60       # seconds
SAYS = (('seeded', 'seeded'), ('distinct', 'done'))     # times, guest's words


def start(binary, template):
    """A QEMU process that waits for its memory."""
    who = process.identity()
    return process.spawn(binary, machine.clone(template.spec, who), who,
                         template.name)


def ready(waiting, template):
    """Do beforehand whatever can be done before the clone is wanted."""
    layout.prepare(waiting.qmp(), template.spec)
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
    monitor = waiting.qmp()
    channel = Channel(waiting.path('clone'))
    try:
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
                raise Trouble(f'clone {waiting.info["id"]} could not re-seed; '
                              f'see {waiting.path("screen")}')
            took[key] = time.time() - asked
    except qmp.Gone:
        raise Trouble(f'QEMU ended: {waiting.last_words()}') from None
    finally:
        channel.close()
    waiting.release()
    waiting.info['state'] = 'running'
    waiting.save()
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

    When one fails the others are ended, and its reason is raised.
    """
    done, trouble = [], None
    with concurrent.futures.ThreadPoolExecutor(jobs) as workers:
        futures = [workers.submit(one, binary, template, reseed)
                   for _ in range(count)]
        try:
            for future in concurrent.futures.as_completed(futures):
                try:
                    done.append(future.result())
                except Trouble as error:
                    trouble = trouble or error
                    workers.shutdown(wait=False, cancel_futures=True)
                except concurrent.futures.CancelledError:
                    pass
                progress.bar('clones', len(done), count)
        except KeyboardInterrupt as error:
            workers.shutdown(wait=True, cancel_futures=True)
            trouble = error
    if trouble:
        for future in futures:
            with contextlib.suppress(BaseException):
                future.result()[0].stop()
        raise trouble
    return done
