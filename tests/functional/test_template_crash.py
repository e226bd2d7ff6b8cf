# SPDX-License-Identifier: GPL-2.0-or-later
"""Is a template whole?  After QEMU died while making it, and when asked."""

import contextlib
import shutil
import subprocess

import guest
from image import Image, flip
from registry import test
from shape import Shape
from test_template_image import template
from test_template_tamper import refused
from verdict import Failed, check, wait_until

STALLS = ('session-write:1', 'send-update-data:1', 'send-update-data:100',
          'send-update-data:300')
DEATHS = ('save-complete', 'state-write', 'end-write', 'device-state')


def fault(origin, text):
    origin.cmd('qom-set', path='/objects/sev0', property='x-fault', value=text)


def copy(path, to):
    """What a kill at this moment would leave."""
    subprocess.run(['cp', '--sparse=always', str(path), str(to)], check=True)


def fired(origin, times):
    wait_until(f'{times} faults of {origin.name}', 60,
               lambda: origin.log().count('x-fault') >= times)


def dies(origin, uri, point):
    fault(origin, f'{point}:die' if ':' in point else f'{point}:1:die')
    with contextlib.suppress(Exception):        # the answer may not come
        origin.cmd('migrate', uri=uri)
    wait_until(f'{origin.name} to die', 60, lambda: not origin.vm.is_running())


@test('template: killed at any moment of making one')
def killed(env):
    path, part = env.lab.large('made.image'), env.lab.large('part.image')
    origin = env.boot('made')
    with contextlib.closing(origin):
        origin.cmd('stop')
        origin.capability('sev-template')
        fault(origin, STALLS[0] + ':stall')
        origin.cmd('migrate', uri=f'file:{path}')
        for i, following in enumerate((*STALLS[1:], 'end-write:1'), 1):
            fired(origin, i)
            copy(path, part)
            fault(origin, following + (':stall' if following in STALLS
                                       else ':die'))
            refused(env, f'file:{part}', r'')
        wait_until('the end', 60, lambda: not origin.vm.is_running())
    refused(env, f'file:{path}', r'')


@test('template: killed when it is almost ready', slow=True)
def killed_late(env):
    path = env.lab.large('late.image')
    for point in DEATHS:
        origin = env.boot('late')
        with contextlib.closing(origin):
            origin.cmd('stop')
            origin.capability('sev-template')
            dies(origin, f'file:{path}', point)
        refused(env, f'file:{path}', r'')


@test('template: killed while sealing in place')
def killed_in_place(env):
    folder = env.lab.folder / 'killed'
    folder.mkdir()
    try:
        origin = env.boot('placed', ram_file=False,
                          shape=Shape(backend=f'shared:{folder / "memory"}'))
        with contextlib.closing(origin):
            origin.cmd('stop')
            origin.capability('x-ignore-shared')
            dies(origin, f'exec:cat>{folder / "state"}',
                 'send-update-data:200')
        check(kata_clone_refused(env, folder), 'half a template was loaded')
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def kata_clone_refused(env, folder):
    clone = env.start('cut', incoming='defer', ram_file=False,
                      shape=Shape(backend=f'private:{folder / "memory"}'))
    with contextlib.closing(clone):
        clone.capability('x-ignore-shared')
        clone.cmd('migrate-incoming', uri=f'exec:cat {folder / "state"}',
                  exit_on_error=False)
        return clone.wait_migration()['status'] == 'failed'


# --- query-sev-template --------------------------------------------------------

def query(env, host='a', **arguments):
    """Ask a QEMU without a guest."""
    vm = guest.machine(env.lab, 'query', env.host(host))
    vm.add_args('-machine', 'none', '-accel', 'tcg')
    guest.launch(vm)
    try:
        return vm.cmd('query-sev-template', arguments)
    finally:
        vm.shutdown(hard=True)


@test('template: looked into and verified without a guest')
def queried(env):
    with template(env, 'asked') as (path, _sealed_at):
        image = Image(path)
        private = image.private_pages()
        said = query(env, path=str(path), verify=True)
        check(said['whole'] and said['here'] and said['layout'] == 'mapped',
              f'{said}')
        check(said['verified'] == said['private-pages'] > len(private) - 1,
              f'{said}')
        check('cpu' in said and said['vcpus'] == 1, f'{said}')
        said = query(env, 'b', path=str(path))
        check(said['whole'] and not said['here'], f'{said}')
        place = image.page_at(private[-1]) + 4000
        flip(path, place)
        check(query(env, path=str(path))['whole'], 'no MAC was asked for')
        said = query(env, path=str(path), verify=True)
        check(not said['whole'] and f'{private[-1]:#x} fails its MAC'
              in said['wrong'], f'{said}')
        flip(path, place)
        with open(path, 'r+b') as f:
            f.truncate(path.stat().st_size // 2)
        said = query(env, path=str(path))
        check(not said['whole'] and 'cut short' in said['wrong'], f'{said}')
        path.write_bytes(b'no template at all' * 1000)
        try:
            query(env, path=str(path))
        except Exception as error:              # QEMU's own class
            check('no template' in str(error), str(error))
        else:
            raise Failed('any file is a template')
