# SPDX-License-Identifier: GPL-2.0-or-later
"""The rows of the failure matrix: every step of every way, and its events.

A way is how a guest goes somewhere: over one line, over multifd's channels,
into a template and out of one, onto a disk that is full.  A row is (way, side,
point, event): the point of target/i386/sev/test/fault.h is reached, then the event
happens.  faults.py runs them.
"""

import copy

from tamper import flip_in_packet

# What can happen while a step stalls, beside the step itself failing.
EVENTS = ('kill', 'cut', 'cancel', 'stop/cont')

STAYS, MOVES, EITHER = 'runs on', 'moved', 'either'
MADE, LOST_GUEST = 'template made', 'is lost, and says so'
INJECTED = r'x-fault: this step was made to fail: {point}$'
NO_ROOM = r'No space left|a disk is full|Broken pipe|exited with|Unable to'
# The target cannot answer yet.
LOST = r'line to the target was lost while its certificates were awaited: '
NO_REPORT = r'made no attestation report \(status {status}\)'
COMMAND = r'the secure processor refuses {command}: .* \({{status}}\)$'
STATUS = 19             # of the firmware, when a row does not say which


class Step:
    """A point and what is expected there.

    @says: what the source's error must say when the step fails.
    @nth: fire when the point is reached this often.
    @other: (side, fault): needed so that the point is reached at all.
    @outcome: where the guest is in the end, by event.
    @without: events that make no sense here, and why.
    @statuses: other answers of the firmware that are tried.
    """

    def __init__(self, says=INJECTED, nth=1, other=None, outcome=(),
                 without=(), core=(), statuses=()):
        self.says, self.nth, self.other = says, nth, other
        self.outcome, self.without = dict(outcome), dict(without)
        self.core, self.statuses = core, statuses

    def sentence(self, point, event):
        """What must be said when @point failed by @event."""
        status = event.partition('=')[2] or STATUS
        return self.says.format(point=point, status=status)


def command(name, **how):
    return Step(COMMAND.format(command=name), **how)


HANDED = {'kill': 'the guest is the target\'s already'}
# The source has given it up.
GIVEN = dict.fromkeys(('fail', 'cut', 'cancel'), MOVES)
# It may have.
ACKED = {'die': HANDED['kill']}
REFUSES = ('target', 'state-read:fail')

LINE = {
    'source': {
        'save-prepare': Step(without=dict.fromkeys(
            EVENTS, 'nothing has begun'), core=('fail',)),
        'hello-write': Step(),
        'certs-wait': Step(core=('cancel',)),
        'certs-read': Step(),
        'certs-check': Step(),
        'send-start': command('SEND_START', core=('kill',),
                              statuses=(2, 6, 7)),
        'session-write': Step(core=('fail',)),
        'block-write': Step(),
        'break-write': Step(nth=3),
        'send-update-data': command('SEND_UPDATE_DATA', nth=5000,
                                    core=('fail', 'stop/cont'), statuses=(2, 9)),
        'pages-write': Step(nth=100, core=('cut',)),
        'save-complete': Step(outcome={'cancel': EITHER}, core=('fail',)),
        'state-write': Step(outcome={'cancel': EITHER}),
        'end-write': Step(outcome={'cancel': EITHER}, core=('kill',)),
        'device-state': Step(outcome={'cancel': EITHER}, core=('fail',)),
        'refusal-read': Step(other=REFUSES),
        'ack-wait': Step(),
        'ack-read': Step(without=HANDED, outcome={'cut': EITHER}),
        'ack-check': Step(core=('kill',)),
        'go-write': Step(without=HANDED, outcome=GIVEN, core=('cut', 'cancel')),
        'shut-read': Step(without=HANDED, outcome=GIVEN, core=('fail',)),
        'send-finish': command('SEND_FINISH', without=HANDED, statuses=(2,),
                               outcome=GIVEN),
        'send-cancel': command('SEND_CANCEL', other=REFUSES, statuses=(2,),
                               outcome={'stop/cont': STAYS},
                               core=('fail',)),
    },
    'target': {
        'load-setup': Step(LOST),
        'hello-read': Step(),
        'certs-send': Step(core=('fail',)),
        'session-read': Step(),
        'receive-start': command('RECEIVE_START', core=('fail',),
                                 statuses=(7, 10, 11)),
        'block-read': Step(),
        'break-read': Step(nth=3),
        'pages-read': Step(nth=100),
        'receive-update-data': command('RECEIVE_UPDATE_DATA', nth=5000,
                                       core=('fail',), statuses=(2, 9)),
        'state-read': Step(core=('die',)),
        'end-read': Step(),
        'receive-finish': command('RECEIVE_FINISH', core=('fail',), statuses=(2,)),
        'load-end': Step(core=('die', 'cut')),
        'attestation': Step(NO_REPORT, core=('fail',), statuses=(2,)),
        'ack-send': Step('before it acknowledged the guest', core=('fail',)),
        'go-wait': Step('.', without=ACKED, outcome=dict.fromkeys(
            ('fail', 'cut', 'cancel'), EITHER)),
        'go-read': Step(without=ACKED, outcome=GIVEN, core=('fail',)),
        # The stream is tampered with, so that there is something to refuse.
        'refusal-send': Step(says='.', other=('line', flip_in_packet)),
    },
}

# The end of a move over a long line, to a target that runs by itself.
LONG_CORE = {'end-write': ('kill',), 'go-write': ('cut',), 'ack-check': ('cancel',),
             'load-end': ('fail',)}


def late(side, *names):
    """The steps of LINE at its end, fewer of them in the core."""
    found = {}
    for name in names:
        found[name] = copy.copy(LINE[side][name])
        found[name].core = LONG_CORE.get(name, ())
    return found


LONG = {
    'source': {
        **late('source', 'save-complete', 'end-write', 'device-state',
               'ack-wait', 'ack-read', 'go-write', 'shut-read', 'send-finish'),
        'ack-check': Step(core=LONG_CORE['ack-check'], without={
            'kill': 'the source gives the guest up before it can know'})},
    'target': late('target', 'state-read', 'end-read', 'load-end', 'attestation',
                   'ack-send', 'go-wait', 'go-read'),
}

# One line, and pages that a program in the guest seals and opens.
# What is in a page of it then is random to the CPU: it may fault, halt, or go round.
PROGRAM = r"the lane's program "
LANE = {
    'source': {
        'lane-key': Step(),
        'lane-write': Step(),
        'lane-program': Step(PROGRAM, nth=5, core=('fail',)),
        'lane-seal': Step(nth=20, core=('stop/cont', 'cancel')),
        'lane-digest': Step(outcome={'cancel': EITHER}),
        'sealed-write': Step(outcome={'cancel': EITHER}),
        'end-write': Step(outcome={'cancel': EITHER}),
        'send-cancel': command('SEND_CANCEL', other=REFUSES, statuses=(2,),
                               outcome={'stop/cont': STAYS}),
    },
    'target': {
        'lane-read': Step(),
        'lane-adopt': Step(),
        'lane-open': Step(nth=100, core=('die',)),
        'sealed-read': Step(),
        'lane-check': Step(core=('fail',)),
        'load-end': Step(),
        'ack-send': Step('before it acknowledged the guest'),
    },
}

# One line, and the registers of an SEV-ES guest.
VMSA = {
    'source': {
        'vcpus-write': Step(),
        'send-update-vmsa': command('SEND_UPDATE_VMSA', nth=2,
                                    outcome={'cancel': EITHER},
                                    core=('fail', 'stop/cont'), statuses=(2,)),
        'vmsa-write': Step(nth=2, outcome={'cancel': EITHER}),
    },
    'target': {
        'vcpus-read': Step(core=('fail',)),
        'vmsa-read': Step(core=('die',)),
        'receive-update-vmsa': command('RECEIVE_UPDATE_VMSA', nth=2,
                                       core=('fail',), statuses=(9,)),
        'ack-send': Step('before it acknowledged the guest'),
    },
}

# Two channels of multifd; "cut" cuts one of them, "cut main" the main one.
LATE = {'cut': EITHER}          # no page follows on that channel
CHANNELS = {
    'source': {
        'channel-setup': Step(without={'fail': 'nothing there can'}),
        'channel-write': Step(nth=20, core=('cut',)),
        'send-update-data': command('SEND_UPDATE_DATA', nth=5000),
        'save-complete': Step(outcome={**LATE, 'cancel': EITHER}),
        'end-write': Step(outcome={**LATE, 'cancel': EITHER}),
    },
    'target': {
        'channel-wait': Step(core=('cut',)),
        'channel-read': Step(nth=20, core=('fail',)),
        'receive-update-data': command('RECEIVE_UPDATE_DATA', nth=5000),
        'state-read': Step(outcome=LATE),
        'load-end': Step(outcome=LATE),
    },
}

# A template is made: into a file, down a pipe, in the file of RAM.
TOO_LATE = {'cancel': EITHER}   # it may be made before anybody listens
TEMPLATE = {
    'manifest-write': Step(),
    'session-write': Step(),
    'block-write': Step(),
    'image-write': Step(),
    'send-update-data': command('SEND_UPDATE_DATA', nth=1000),
    'image-place': Step(nth=200, core=('cancel',)),
    'save-complete': Step(outcome=TOO_LATE),
    'state-write': Step(outcome=TOO_LATE),
    'disk-sync': Step(outcome=TOO_LATE),
    'digest-write': Step(outcome=TOO_LATE),
    'shared-write': Step(outcome=TOO_LATE),
    'end-write': Step(outcome=TOO_LATE),
    'device-state': Step(outcome=TOO_LATE),
    'last-write': Step(outcome=TOO_LATE, core=('fail',)),
    'send-cancel': command('SEND_CANCEL', outcome=dict.fromkeys(
        ('fail', 'cancel'), MADE)),
}
PIPE = {name: TEMPLATE[name] for name in (
    'manifest-write', 'session-write', 'end-write', 'last-write')}
PIPE['pages-write'] = Step(nth=50)
LOST_THEN = {'fail': LOST_GUEST, 'cancel': EITHER}
IN_PLACE = {
    'manifest-write': Step(),
    'image-write': Step(),
    'headers-write': Step(nth=20, outcome=LOST_THEN),
    'disk-sync': Step(outcome=LOST_THEN),
}

# A clone is loaded: from a file, that file opened at once, or in place.
CLONE = {
    'load-setup': Step(),
    'manifest-read': Step(),
    'session-read': Step(),
    'receive-start': command('RECEIVE_START', statuses=(7, 10)),
    'block-read': Step(),
    'image-read': Step(),
    'break-read': Step(),
    'state-read': Step(),
    'digest-read': Step(),
    'shared-read': Step(),
    'end-read': Step(),
    'image-seal': Step(core=('fail',)),
    'receive-finish': command('RECEIVE_FINISH', statuses=(2,)),
    'last-read': Step(),
    'load-end': Step(),
}
EAGER = {
    'image-fill': Step(),
    'receive-update-data': command('RECEIVE_UPDATE_DATA', nth=1000,
                                   statuses=(9,)),
}
FROM_PLACE = {'headers-read': Step(nth=20), 'image-seal': Step()}

# A file on a disk that has room for so many KiB.
FULL = {'64': Step(NO_ROOM), '20000': Step(NO_ROOM)}
FULL_IMAGE = {'64': Step(NO_ROOM), '20000': Step(NO_ROOM, core=('fail',))}

STEPS = {
    'line': LINE,
    'long line, runs': LONG,
    'line, lane': LANE,
    'line, es': VMSA,
    'channels': CHANNELS,
    'template': {'source': TEMPLATE},
    'template, pipe': {'source': PIPE},
    'template, in place': {'source': IN_PLACE},
    'clone': {'target': CLONE},
    'clone, eager': {'target': EAGER},
    'clone, in place': {'target': FROM_PLACE},
    'disk, file': {'KiB': FULL},
    'disk, exec': {'KiB': FULL},
    'disk, template': {'KiB': FULL_IMAGE},
    'disk, template, pipe': {'KiB': FULL},
    'disk, in place': {'KiB': {
        '0': Step(NO_ROOM), '64': Step(NO_ROOM, outcome={'fail': EITHER})}},
}

SIDES = {
    'line': {'source': ('fail', *EVENTS), 'target': (
        'fail', 'die', *(e for e in EVENTS if e != 'kill'))},
    'long line': {'source': ('fail', *EVENTS), 'target': (
        'fail', 'die', *(e for e in EVENTS if e != 'kill'))},
    'channels': {'source': ('fail', *EVENTS, 'cut main'), 'target': (
        'fail', 'die', 'cut', 'cut main', 'cancel', 'stop/cont')},
    'template': {'source': ('fail', 'cancel', 'stop/cont')},
    'clone': {'target': ('fail', 'die')},
    'disk': {'KiB': ('fail',)},
}


def rows(which='all'):
    """(way, side, point, event) of all rows, or of the core."""
    for way, sides in STEPS.items():
        for side, steps in sides.items():
            for point, step in steps.items():
                events = *SIDES[way.partition(',')[0]][side], *(
                    f'fail={status}' for status in step.statuses)
                for event in events:
                    if event not in step.without and \
                            (which == 'all' or event in step.core):
                        yield way, side, point, event


def points():
    """{'source save-prepare', ...} of all rows."""
    return {f'{side} {point}' for sides in STEPS.values()
            for side, steps in sides.items() if side != 'KiB'
            for point in steps}
