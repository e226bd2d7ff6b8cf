# SPDX-License-Identifier: GPL-2.0-or-later
"""Arguments of sev-clone, and what each subcommand prints."""

import argparse
import os
import signal
import sys
import time
from pathlib import Path

from sevclone import (Trouble, cloning, making, measuring, places, pool,
                      process, qmp, store, ui, verify)

EPILOG = """examples:
  sev-clone make base                      boot the small test guest, seal it
  sev-clone make base --kernel vmlinuz --initrd initrd.img --until 'login:'
  sev-clone run base 10                    ten clones, until you press Ctrl-C
  sev-clone run base 10 --detach           ... that stay
  sev-clone list                           templates and clones
  sev-clone stop base                      end the clones of a template
  sev-clone pool base --size 4 &           four processes wait
  sev-clone run base --pool                a clone from the pool
  sev-clone inspect base                   what is it?
  sev-clone verify base                    is it what it was, every packet?
  sev-clone bench base                     how long, how much memory

Templates are in SEV_CLONE_HOME, or $XDG_DATA_HOME/sev-clone; running clones
in SEV_CLONE_RUN, $XDG_RUNTIME_DIR/sev-clone, /run/sev-clone for root or
/tmp/sev-clone-UID.  The platform that can open a template is SEV_PSP_DIR's.
See docs/templates.md."""


def number(low, high):
    def parse(text):
        value = int(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f'{low} to {high}')
        return value
    return parse


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
    sub.add_argument('--machine', default=making.machine.MACHINE,
                     metavar='TYPE', help='default: q35 without what clones '
                     'have no use for')
    sub.add_argument('--accel', default='tcg', help='default tcg')
    sub.add_argument('--policy', type=lambda t: int(t, 0), default=0x1,
                        help='SEV policy, default 0x1')
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
    point.add_argument('--until', metavar='REGEX',
                       help='seal when this appears on the serial screen')
    point.add_argument('--after', type=float, metavar='SECONDS',
                       help='seal that long after the start (default: when '
                       'the guest\'s sev-reseed says "ready")')
    sub.add_argument('--limit', type=float, default=300, metavar='SECONDS',
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
    commands = whole.add_subparsers(dest='command', required=True,
                                     metavar='COMMAND')

    def add(name, what):
        sub = commands.add_parser(name, help=what, description=what,
                                  parents=[common()])
        sub.set_defaults(act=globals()[f'do_{name}'])
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
    sub = add('pool', 'keep empty QEMU processes waiting for a template')
    sub.add_argument('name', help='of the template')
    sub.add_argument('--size', type=number(1, 1000), default=4,
                     help='how many wait, default 4')
    sub.add_argument('--jobs', type=number(1, 64), default=1,
                     help='started at a time')
    sub.add_argument('--status', action='store_true', help='of a pool that runs')
    sub.add_argument('--close', action='store_true', help='end it')
    add('list', 'templates and running clones')
    for name, what in (
            ('inspect', 'show what a template says of itself'),
            ('verify', 'check a template, the MAC of every packet included, '
             'without starting a guest')):
        sub = add(name, what)
        sub.add_argument('name', metavar='NAME|FILE',
                         help='of a template; with a "/" in it, a file')
        sub.add_argument('--ram', metavar='FILE', type=Path,
                         help='the memory file of a template sealed in place')
    sub = add('stop', 'end clones')
    sub.add_argument('name', help='of a template, or the id of a clone')
    sub = add('rm', 'remove templates')
    sub.add_argument('name', nargs='+', help='of templates')
    sub = add('bench', 'measure clones of a template')
    sub.add_argument('name', help='of the template')
    sub.add_argument('--runs', type=number(1, 10000), default=20,
                     help='clones of each kind, default 20')
    sub.add_argument('--alive', type=number(1, 1000), default=10,
                     help='clones side by side for the memory, default 10')
    return whole


# --- Subcommands -----------------------------------------------------------

def do_make(options, progress):
    spec = making.make(options.name, options, progress)
    size = ui.mib(spec['image']['bytes'])
    ui.put(options, {'name': options.name, **spec},
           [f'template   {options.name}, {size} in '
            f'{store.places.home() / options.name}'])


def show_run(options, made):
    rows = [['ID', 'PID', 'RESUME', 'DISTINCT', 'CONSOLE']]
    for clone, took in made:
        distinct = took.get('distinct')
        rows.append([clone.info['id'], clone.pid, ui.ms(took['resume']),
                     ui.ms(distinct) if distinct else '-',
                     clone.path('console')])
    ui.put(options, [{**c.info, 'folder': str(c.folder), 'seconds': t}
                     for c, t in made], ui.table(rows))
    sys.stdout.flush()


def from_pool(template, count, reseed):
    clones, took = [], []
    try:
        for _ in range(count):
            clones.append(pool.take(template.name))
            took.append(cloning.fill(clones[-1], template, reseed))
    except BaseException:
        process.stop_all(clones)
        raise
    return list(zip(clones, took))


def do_run(options, progress):
    template = store.open_template(options.name)
    reseed = None if options.no_reseed else cloning.has_helper(template)
    began = time.monotonic()
    if options.pool:
        made = from_pool(template, options.count, reseed)
    else:
        made = cloning.many(places.qemu(options.qemu), template, options.count,
                            options.jobs, reseed, progress)
    try:
        progress.done(f'{len(made)} clones of {template.name} in '
                      f'{time.monotonic() - began:.2f} s')
        show_run(options, made)
        if options.detach:
            return
        progress.done('Ctrl-C ends them')
        while any(clone.alive() for clone, _ in made):
            time.sleep(0.2)
    except KeyboardInterrupt:
        pass
    finally:
        if not options.detach:
            process.stop_all(clone for clone, _ in made)


def do_pool(options, progress):
    template = store.open_template(options.name)
    if options.status or options.close:
        said = pool.ask(template.name, {'close': 1} if options.close else {})
        ui.put(options, said, [f'{k}: {v}' for k, v in said.items()])
        return
    pool.run(places.qemu(options.qemu), template, options.size, options.jobs,
             lambda: progress.done(f'pool of {options.size} for '
                                   f'{template.name}; Ctrl-C ends it'))


def do_list(options, _progress):
    rows, data = [['TEMPLATE', 'SIZE', 'MEMORY', 'SEV', 'MADE', 'CLONES']], []
    alive = list(process.running())
    for t in store.templates():
        mine = [p for p in alive if p.info['template'] == t.name]
        sev = t.spec['sev']
        rows.append([t.name, ui.mib(t.spec['image']['bytes']),
                     f'{t.spec["memory_mib"]} MiB',
                     'no' if sev is None else f'{sev["policy"]:#x}',
                     time.strftime('%F %T', time.localtime(t.spec['created'])),
                     len(mine)])
        data.append({'name': t.name, **t.spec,
                     'clones': [{**p.info, 'folder': str(p.folder)}
                                for p in mine]})
    lines = ui.table(rows) if data else ['no templates in '
                                         f'{places.home()}; "sev-clone make '
                                         'NAME" makes one']
    ui.put(options, data, lines)


def do_inspect(options, _progress):
    if '/' in options.name:
        path = Path(options.name)
    else:
        template = store.open_template(options.name)
        if template.spec['sev'] is None:
            raise Trouble(f'"{options.name}" is of an ordinary guest')
        path = template.image
    told = verify.ask(places.qemu(options.qemu), path, options.ram)
    ui.put(options, told, verify.lines(told) + [told.get('wrong', 'whole')])


def do_verify(options, progress):
    binary = places.qemu(options.qemu)
    if '/' in options.name:
        said = verify.verify_file(binary, Path(options.name), options.ram,
                                  progress)
    else:
        said = verify.verify(binary, store.open_template(options.name),
                             progress)
    progress.clear()
    good = f'{options.name} is whole'
    if said['manifest'] and 'verified' in said['manifest']:
        good += f', {said["manifest"]["verified"]} packets verified'
    if 'sha256' in said:
        good += f', SHA-256 {said["sha256"]}'
    ui.put(options, said, said['wrong'] or [good])
    return 1 if said['wrong'] else 0


def do_stop(options, _progress):
    mine = [p for p in process.running()
            if options.name in (p.info['template'], p.info['id'])]
    if not mine:
        raise Trouble(f'no clone of "{options.name}" is running, and none has '
                      'that id')
    for clone in mine:
        clone.stop()
    ui.put(options, [p.info['id'] for p in mine], [f'{len(mine)} ended'])


def do_rm(options, _progress):
    for name in options.name:
        store.remove(name)
    ui.put(options, options.name, [f'{n} removed' for n in options.name])


def do_bench(options, progress):
    template = store.open_template(options.name)
    said = measuring.bench(places.qemu(options.qemu), template, options.runs,
                           options.alive, progress)
    ui.put(options, said, measuring.lines(said))


def interrupted(_number, _frame):
    """Once: what was begun is ended now, and no second signal stops that."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def end_like_interrupted():
    """By SIGTERM and a closed terminal too; not under nohup."""
    signal.signal(signal.SIGTERM, interrupted)
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, interrupted)


def main(words=None):
    options = parser().parse_args(words)
    end_like_interrupted()
    progress = ui.Progress(options.quiet or options.json)
    try:
        return options.act(options, progress) or 0
    except qmp.Refused as error:
        progress.clear()
        print(f'error: QEMU: {error}', file=sys.stderr)
    except Trouble as error:
        progress.clear()
        print(f'error: {error}', file=sys.stderr)
    except KeyboardInterrupt:
        progress.clear()
        print('interrupted', file=sys.stderr)
        return 130
    except OSError as error:
        progress.clear()
        print(f'error: {error}', file=sys.stderr)
    return 1
