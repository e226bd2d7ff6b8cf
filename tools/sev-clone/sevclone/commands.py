# SPDX-License-Identifier: GPL-2.0-or-later
"""The subcommands of sev-clone: what each does, and what it prints."""

import contextlib
import sys
import time
from pathlib import Path

from sevclone import (Trouble, begun, cloning, domain, making, measuring, places,
                      pool, process, qmp, store, ui, verify)

SCREEN_LIMIT = 5        # seconds that a monitor may take to answer


def is_file(name):
    """Whether "inspect" and "verify" are asked about a file."""
    return isinstance(name, str) and '/' in name


def sweep(options, progress):
    """Tidy up behind commands that were killed; of which templates it was."""
    if is_file(getattr(options, 'name', None)):
        return set()                    # neither home nor clones matter
    ended, left = process.sweep(), store.sweep()
    if ended:
        progress.done(f'{len(ended)} QEMU ended that a killed sev-clone left')
    if left:
        progress.done('removed what a killed "make" left of '
                      + ', '.join(sorted(set(left))))
    return {p.info['template'] for p in ended} | set(left)


def do_make(options, progress):
    spec = making.make(options.name, options, progress)
    size = ui.mib(spec['image']['bytes'])
    ui.put(options, {'name': options.name, **spec},
           [f'template   {options.name}, {size} in '
            f'{places.home_path() / options.name}'])


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


def do_xml(options, _progress):
    template = store.open_template(options.template)
    text = domain.xml(template, options.name)
    ui.put(options, {'name': options.name, 'xml': text}, [text])


def do_resume(options, progress):
    took = domain.resume(options.connect, options.name)
    progress.done(f'{options.name} runs, and has re-seeded after '
                  f'{took:.2f} s')
    ui.put(options, {'name': options.name, 'seconds': took}, [])


def from_pool(template, count, reseed):
    made = []
    for _ in range(count):
        clone = pool.take(template.name)
        made.append((clone, cloning.fill(clone, template, reseed)))
    return made


def do_run(options, progress):
    """What is not let go at the end is ended by whoever called us."""
    template = store.open_template(options.name)
    reseed = None if options.no_reseed else cloning.has_helper(template)
    began = time.monotonic()
    if options.pool:
        made = from_pool(template, options.count, reseed)
    else:
        made = cloning.many(places.qemu(options.qemu), template, options.count,
                            options.jobs, reseed, progress)
    progress.done(f'{len(made)} clones of {template.name} in '
                  f'{time.monotonic() - began:.2f} s')
    show_run(options, made)
    if options.detach:
        begun.let_go_all(clone for clone, _ in made)
        return
    progress.done('Ctrl-C ends them')
    with contextlib.suppress(KeyboardInterrupt):
        while any(clone.alive() for clone, _ in made):
            time.sleep(0.2)


def do_pool(options, progress):
    if options.status or options.close:
        said = pool.ask(store.check_name(options.name),
                        {'close': 1} if options.close else {})
        ui.put(options, said, [f'{k}: {v}' for k, v in said.items()])
        return
    template = store.open_template(options.name)
    pool.run(places.qemu(options.qemu), template, options.size, options.jobs,
             lambda: progress.done(f'pool of {options.size} for '
                                   f'{template.name}; Ctrl-C ends it'))


def tenants(name, alive):
    """(clones, waiting processes) of a template."""
    mine = [p for p in alive if p.info['template'] == name]
    return ([p for p in mine if p.is_clone()],
            [p for p in mine if p.info.get('state') == process.WAITING])


def listed(template, clones, waiting):
    """A row of "list": the template's spec, and what runs."""
    sev = template.spec['sev']
    row = [template.name, ui.mib(template.spec['image']['bytes']),
           f'{template.spec["memory_mib"]} MiB',
           'no' if sev is None else f'{sev["policy"]:#x}',
           time.strftime('%F %T', time.localtime(template.spec['created']))]
    return row + [len(template.wraps), len(clones), len(waiting)]


def do_list(options, _progress):
    rows, data = [['TEMPLATE', 'SIZE', 'MEMORY', 'SEV', 'MADE', 'WRAPS',
                   'CLONES', 'WAITING']], []
    alive = list(process.running())
    there = {t.name: t for t in store.templates()}
    for name in sorted({*there, *(p.info['template'] for p in alive)}):
        clones, waiting = tenants(name, alive)
        if name in there:
            rows.append(listed(there[name], clones, waiting))
        elif clones or waiting:
            rows.append([name, '-', '-', '-', 'gone', '-', len(clones),
                         len(waiting)])
        else:                           # it is being made
            continue
        data.append({'name': name, 'gone': name not in there,
                     **(there[name].spec if name in there else {}),
                     'clones': [{**p.info, 'folder': str(p.folder)}
                                for p in clones],
                     'waiting': [{**p.info, 'folder': str(p.folder)}
                                 for p in waiting]})
    lines = ui.table(rows) if data else ['no templates in '
                                         f'{places.home_path()}; "sev-clone make '
                                         'NAME" makes one']
    ui.put(options, data, lines)


def no_wrap(options):
    if options.wrap:
        raise Trouble(f'--wrap is for a file, and {options.name} is a template: '
                      f'"wrap {options.name} --add {options.wrap}" takes it over')


def do_inspect(options, _progress):
    path, template, kept = options.name, None, []
    if is_file(options.name):
        path = Path(options.name)
    else:
        no_wrap(options)
        template = store.open_template(options.name)
        if template.spec['sev'] is None:
            raise Trouble(f'"{options.name}" is of an ordinary guest')
        path, kept = template.image, template.wraps
    told = verify.ask(places.qemu(options.qemu), path, options.ram,
                      wrap=options.wrap, template=template)
    ui.put(options, {**told, 'wraps': kept},
           [*verify.lines(told), *(f'wrap for     {wrap["platform"]}'
                                   for wrap in kept),
            told.get('wrong', 'whole')])


def do_verify(options, progress):
    binary = places.qemu(options.qemu)
    if is_file(options.name):
        said = verify.verify_file(binary, Path(options.name), options.ram,
                                  options.wrap, progress)
    else:
        no_wrap(options)
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


def why_not(found):
    """What else runs that "stop" leaves alone, as the end of a sentence."""
    said = [f'; process {p.pid} makes the template, and Ctrl-C in its '
            'sev-clone ends it' for p in found
            if p.info.get('state') == process.MAKING]
    waiting = [p for p in found if p.info.get('state') == process.WAITING]
    if waiting:
        said.append(f'; {len(waiting)} wait in the pool, which "sev-clone '
                    f'pool {waiting[0].info["template"]} --close" ends')
    return ''.join(said)


def do_screen(options, _progress):
    found = [p for p in process.running() if p.is_clone() and
             options.name in (p.info['template'], p.id)]
    if len(found) != 1:
        raise Trouble(f'{len(found) or "no"} clones of "{options.name}" are '
                      'running, and none has that id; "sev-clone list --json" '
                      'shows ids')
    try:
        text = found[0].screen(SCREEN_LIMIT)
    except qmp.Silent:
        raise Trouble(f'the monitor of {found[0].id} does not answer; another '
                      'program uses it') from None
    ui.put(options, {'id': found[0].id, 'screen': text}, text.splitlines())


def do_stop(options, _progress):
    found = [p for p in process.running()
             if options.name in (p.info['template'], p.info['id'])]
    mine = [p for p in found if p.is_clone()]
    if not mine and options.name not in options.swept:
        raise Trouble(f'no clone of "{options.name}" is running, and none has '
                      'that id' + why_not(found))
    for clone in mine:
        clone.stop()
    ui.put(options, [p.info['id'] for p in mine], [f'{len(mine)} ended'])


def check_free(name):
    """Whoever runs a clone finds its template in "list"."""
    clones, _ = tenants(name, process.running())
    if clones:
        raise Trouble(f'"{name}" has clones that run ({len(clones)}): '
                      f'"sev-clone stop {name}" ends them, --force removes '
                      'the template and lets them run on')


def do_rm(options, progress):
    for name in options.name:
        if name not in options.swept:
            store.check_there(name)
        if not options.force:
            check_free(name)
    for name in options.name:
        if pool.close(name):
            progress.done(f'pool of {name} closed')
        store.remove(name)
    ui.put(options, options.name, [f'{n} removed' for n in options.name])


def do_bench(options, progress):
    template = store.open_template(options.name)
    said = measuring.bench(places.qemu(options.qemu), template, options.runs,
                           options.alive, progress)
    ui.put(options, said, measuring.lines(said))
