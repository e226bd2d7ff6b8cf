# SPDX-License-Identifier: GPL-2.0-or-later
"""Several processes run tests at a time, each with guests of its own.

Tests of one module stay together and in order, because one leaves a booted
guest to the next.  A worker takes the next module when it is through with one.
"""

import itertools
import multiprocessing
import signal

FORK = multiprocessing.get_context('fork')


def modules(tests):
    """The tests, those of one module in one list."""
    return [list(group) for _, group in itertools.groupby(
        tests, key=lambda entry: entry['run'].__module__)]


class Turn:
    """Which list of tests is next, for whoever asks."""

    def __init__(self, lists):
        self._lists, self._next = lists, FORK.Value('i', 0)

    def __iter__(self):
        while True:
            with self._next.get_lock():
                mine = self._next.value
                self._next.value += 1
            if mine >= len(self._lists):
                return
            yield from self._lists[mine]


def run(work, tests, jobs):
    """work(number, tests) in @jobs processes; a list of what each returned.

    A worker that ended badly has returned None.
    """
    turn = Turn(modules(tests))
    if jobs == 1:
        return [work(0, turn)]
    started = []
    for number in range(1, jobs + 1):
        here, there = FORK.Pipe(duplex=False)
        worker = FORK.Process(
            target=lambda there=there, number=number: there.send(
                work(number, turn)))
        worker.start()
        there.close()
        started.append((worker, here))
    try:
        return [_result(here) for _, here in started]
    except KeyboardInterrupt:
        # A terminal has told them already; whoever sent SIGTERM has not.
        for worker, _ in started:
            worker.terminate()
        return [_result(here) for _, here in started]
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for worker, _ in started:
            worker.join()


def _result(here):
    try:
        return here.recv()
    except EOFError:
        return None
