# SPDX-License-Identifier: GPL-2.0-or-later
"""query-sev-template: what a template is, and whether it is whole."""

import guest
from image import Image, flip
from registry import test
from test_template_image import template
from test_template_tamper import shared_pages
from verdict import Failed, check


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
        for page in shared_pages(path, image):
            flip(path, page)
            said = query(env, path=str(path), verify=True)
            check(not said['whole'] and 'SHARED' in said['wrong'], f'{said}')
            flip(path, page)
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
