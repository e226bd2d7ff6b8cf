# SPDX-License-Identifier: GPL-2.0-or-later
"""Arguments of sev-clone, and how it ends."""

import argparse
import contextlib
import os
import re
import sys
from pathlib import Path

from sevclone import (Trouble, begun, commands, machine, process, qmp, sharing,
                      ui)

EPILOG = """examples:
  sev-clone make base                      boot the small test guest, seal it
  sev-clone make base --kernel vmlinuz --initrd initrd.img --until 'login:'
  sev-clone run base 10                    ten clones, until you press Ctrl-C
  sev-clone run base 10 --detach           ... that stay
  sev-clone list                           templates and clones
  sev-clone screen ID                      what a clone printed last
  sev-clone stop base                      end the clones of a template
  sev-clone xml base --name web > web.xml  ... as a domain of libvirt
  sev-clone resume web                     after "virsh create --paused"
  sev-clone pool base --size 4 &           four processes wait
  sev-clone run base --pool                a clone from the pool
  sev-clone inspect base                   what is it?
  sev-clone verify base                    is it what it was, every packet?
  sev-clone wrap base --for DIR            let another platform open it
  sev-clone push base HOST/base:1          into an OCI registry, wraps and all
  sev-clone pull HOST/base:1               ... and out of it, elsewhere
  sev-clone bench base                     how long, how much memory

Templates are in SEV_CLONE_HOME, or $XDG_DATA_HOME/sev-clone; running clones
in SEV_CLONE_RUN, or $XDG_RUNTIME_DIR/sev-clone.  Both folders must belong to the
user and have mode 0700.  The platform that can open a template is SEV_PSP_DIR's.
See docs/templates.md."""


SECONDS_MAX = 7 * 86400
NOSEND = 1 << 3         # of a policy


def number(low, high, kind=int):
    """A type for argparse: its errors name the value and the limits."""
    def parse(text):
        with contextlib.suppress(ValueError):
            value = kind(text)
            if low <= value <= high:        # not true of a NaN
                return value
        raise argparse.ArgumentTypeError(f'"{text}" is not a number from '
                                         f'{low} to {high}')
    return parse


def pattern(text):
    try:
        re.compile(text, re.M)
    except re.error as error:
        raise argparse.ArgumentTypeError(f'"{text}" is no regular expression: '
                                         f'{error}') from None
    return text


def policy(text):
    value = -1
    with contextlib.suppress(ValueError):
        value = int(text, 0)
    if not 0 <= value < 1 << 32:
        raise argparse.ArgumentTypeError(f'"{text}" is not a policy: a number '
                                         'from 0 to 0xffffffff')
    if value & NOSEND:
        raise argparse.ArgumentTypeError(f'"{text}" has NOSEND (bit 3): such '
                                         'a guest cannot be sealed')
    return value


def session(text):
    folder = Path(text).absolute()
    for name in (machine.DH_CERT, machine.SESSION):
        if not (folder / name).is_file():
            raise argparse.ArgumentTypeError(f'there is no {folder / name}: '
                                             '"sev-psp session --out DIR" '
                                             'makes it')
    return folder


def make_options(sub):
    sub.add_argument('name', help='of the new template')
    sub.add_argument('--kernel', metavar='FILE',
                     help='default: that of the small test guest')
    sub.add_argument('--initrd', metavar='FILE')
    sub.add_argument('--append', metavar='WORDS', default='',
                        help='more words for the kernel\'s command line')
    sub.add_argument('--firmware', metavar='OVMF_CODE',
                     help='with its OVMF_VARS beside it; default: Debian\'s')
    sub.add_argument('-m', '--memory', type=number(64, 1 << 20),
                        default=256, metavar='MIB', help='default 256')
    sub.add_argument('--smp', type=number(1, 64), default=1, metavar='CPUS',
                     help='default 1')
    sub.add_argument('--cpu', default='EPYC-v4', metavar='MODEL',
                     help='default EPYC-v4')
    sub.add_argument('--machine', default=machine.MACHINE,
                     metavar='TYPE', help='default: q35 without what clones '
                     'have no use for')
    sub.add_argument('--accel', default='tcg', help='default tcg')
    sub.add_argument('--policy', type=policy, default=0x1,
                     help='SEV policy, default 0x1; without NOSEND (bit 3)')
    sub.add_argument('--session', type=session, metavar='DIR',
                     help='what "sev-psp session --out DIR" made, so that the '
                     'guest\'s owner can check the launch measurement')
    sub.add_argument('--lane', metavar='on|FILE',
                     help='launch the guest with a program that can seal its '
                     'pages (it is measured)')
    sub.add_argument('--method', choices=('packets', 'lane', 'auto'),
                     help='how it is sealed: default auto with --lane, else '
                     'packets')
    sub.add_argument('--no-sev', action='store_true',
                        help='an ordinary guest, to compare')
    sub.add_argument('--net', choices=('none', 'user'), default='none',
                     help='a virtio network card; default none')
    sub.add_argument('--vsock', action='store_true',
                        help='a vhost-vsock device, a CID per clone')
    sub.add_argument('--swiotlb', type=number(1, 1 << 20), default=8192,
                        metavar='SLABS', help='bounce buffer in slabs of 2 KiB'
                        ', default 8192 (Linux would take 64 MiB)')
    point = sub.add_mutually_exclusive_group()
    point.add_argument('--until', metavar='REGEX', type=pattern,
                       help='seal when this appears on the serial screen')
    point.add_argument('--after', type=number(0, SECONDS_MAX, float),
                       metavar='SECONDS',
                       help='seal that long after the start (default: when '
                       'the guest\'s sev-reseed says "ready")')
    sub.add_argument('--limit', type=number(0, SECONDS_MAX, float),
                     default=300, metavar='SECONDS',
                     help='give up after, default 300')
    sub.add_argument('--replace', action='store_true',
                     help='a template of that name')
    sub.add_argument('--bare', action='store_true',
                        help='no machine of ours: the QEMU arguments after '
                        '"--" are the whole command line')
    sub.add_argument('extra', nargs='*', metavar='-- QEMU-ARGUMENTS',
                        help='for the guest and its clones; -kernel, -initrd '
                        'and -append are left out in clones')


def common():
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument('--json', action='store_true',
                         help='print what a program can read')
    options.add_argument('--quiet', action='store_true', help='no progress')
    options.add_argument('--qemu', metavar='BINARY',
                         help='default: the one built or installed with this')
    return options


def parser():
    whole = argparse.ArgumentParser(
        prog='sev-clone', epilog=EPILOG,
        description='Seal a booted SEV guest once, start encrypted clones '
        'from it.', formatter_class=argparse.RawDescriptionHelpFormatter)
    subs = whole.add_subparsers(dest='command', required=True,
                                metavar='COMMAND')

    def add(name, what, where=commands):
        sub = subs.add_parser(name, help=what, description=what,
                              parents=[common()])
        sub.set_defaults(act=getattr(where, f'do_{name}'))
        return sub

    make_options(add('make', 'boot a guest and seal it as a template'))
    run = add('run', 'start clones')
    run.add_argument('name', help='of the template')
    run.add_argument('count', nargs='?', type=number(1, 10000), default=1,
                     help='how many, default 1')
    run.add_argument('--jobs', type=number(1, 64), default=os.cpu_count(),
                     help='at a time; default: the number of CPUs')
    run.add_argument('--pool', action='store_true',
                     help='take the processes from "sev-clone pool"')
    run.add_argument('--detach', action='store_true',
                     help='return when the clones run; "stop" ends them')
    run.add_argument('--no-reseed', action='store_true',
                     help='say nothing to the guest\'s sev-reseed')
    sub = add('xml', 'print a clone as a domain of libvirt')
    sub.add_argument('template', help='its name')
    sub.add_argument('--name', required=True, help='of the domain')
    sub = add('resume', 'let a paused domain go on as the clone that it is')
    sub.add_argument('name', help='of the domain')
    sub.add_argument('--connect', metavar='URI', default='qemu:///system',
                     help='of libvirt, default qemu:///system')
    sub = add('pool', 'keep empty QEMU processes waiting for a template')
    sub.add_argument('name', help='of the template')
    sub.add_argument('--size', type=number(1, 1000), default=4,
                     help='how many wait, default 4')
    sub.add_argument('--jobs', type=number(1, 64), default=1,
                     help='started at a time')
    sub.add_argument('--status', action='store_true', help='of a pool that runs')
    sub.add_argument('--close', action='store_true', help='end it')
    add('list', 'templates, running clones, processes that wait in pools')
    for name, what in (
            ('inspect', 'show what a template says of itself'),
            ('verify', 'check a template, the MAC of every packet included, '
             'without starting a guest')):
        sub = add(name, what)
        sub.add_argument('name', metavar='NAME|FILE',
                         help='of a template; with a "/" in it, a file')
        sub.add_argument('--ram', metavar='FILE', type=Path,
                         help='the memory file of a template sealed in place')
        sub.add_argument('--wrap', metavar='FILE', type=Path,
                         help='a wrap that a file is to be opened with')
    sharing.options(lambda name, what: add(name, what, sharing))
    sub = add('screen', 'show what a clone printed last, as plain text')
    sub.add_argument('name', metavar='ID', help='of a clone, or the name of a '
                     'template that has one clone')
    sub = add('stop', 'end clones; what waits in a pool stays')
    sub.add_argument('name', help='of a template, or the id of a clone')
    sub = add('rm', 'remove templates, and close their pools')
    sub.add_argument('name', nargs='+', help='of templates')
    sub.add_argument('--force', action='store_true',
                     help='even while clones run; these go on')
    sub = add('bench', 'measure clones of a template')
    sub.add_argument('name', help='of the template')
    sub.add_argument('--runs', type=number(1, 10000), default=20,
                     help='clones of each kind, default 20')
    sub.add_argument('--alive', type=number(1, 1000), default=10,
                     help='clones side by side for the memory, default 10')
    return whole


def parse(words):
    """What follows "--" is QEMU's, wherever the options before it stand."""
    cut = words.index('--') if '--' in words else len(words)
    whole = parser()
    options = whole.parse_args(words[:cut])
    if words[cut:]:
        if options.command != 'make':
            whole.error('only "make" takes arguments after "--"')
        options.extra += words[cut + 1:]
    return options


def attempt(options, progress):
    try:
        options.swept = commands.sweep(options, progress)
        return options.act(options, progress) or 0
    except qmp.Refused as error:
        progress.clear()
        ui.complain(f'QEMU: {error}')
    except (Trouble, OSError) as error:
        progress.clear()
        ui.complain(error)
    return 1


def main(words=None):
    # For what we make; QEMU keeps the user's own.
    process.umask = os.umask(0o077)
    options = parse(sys.argv[1:] if words is None else words)
    progress = ui.Progress(options.quiet or options.json)
    try:
        begun.end_like_interrupted()
        code = attempt(options, progress)
        begun.end_all()
    except KeyboardInterrupt:           # once, so the rest is not interrupted
        progress.clear()
        print('interrupted', file=sys.stderr)
        begun.end_all()
        code = 130
    return code
