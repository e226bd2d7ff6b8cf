# SPDX-License-Identifier: GPL-2.0-or-later
"""What the guest declared (KVM_HC_MAP_GPA_RANGE) against what it did.

Under KVM the declarations are all there is; under TCG both are known.
"""

from registry import test
from verdict import TICK_LIMIT, check, wait_until

# Debian's OVMF declares nothing: its own DMA buffers and the like stay mapped
# shared without a word.  65 pages were seen; a lost hypercall costs thousands.
FIRMWARE_PAGES = 200


def page_map(guest):
    return guest.cmd('x-query-sev-page-map')


def compare(guest):
    """The two sources agree, but for what firmware does not declare."""
    def agree():
        # A page may be on its way from one side to the other.
        found = page_map(guest)
        return None if found['private-undeclared'] else found
    found = wait_until('a map without contradictions', TICK_LIMIT, agree)
    check(found['exact'] and found['ranges'] > 0, f'the map says {found}')
    check(found['declared-shared'] >= 2048,
          f'the bounce buffer of 8 MiB is not declared: {found}')
    check(found['shared-undeclared'] <= FIRMWARE_PAGES,
          f'too much is shared without a declaration: {found}')
    check(found['seen-private'] > found['pages'] // 10,
          f'hardly anything was accessed privately: {found}')


@test('page map: the declared map and the exact state agree')
def sources_agree(env):
    with env.booted() as guest:
        compare(guest)
        guest.cmd('stop')
        try:
            found = page_map(guest)
            check(not found['private-undeclared'],
                  f'stopped, with a contradiction: {found}')
        finally:
            guest.cmd('cont')


@test('page map: a reboot forgets what was declared')
def reboot_forgets(env):
    guest = env.start('pagemap', boot={'reboot_at': 20, 'tick': 100})
    try:
        guest.wait_text(r'^TICK 1 ')
        before = page_map(guest)
        check(before['declared-shared'] >= 2048, f'the map says {before}')
        wait_until('a reset', TICK_LIMIT,
                   lambda: page_map(guest)['declared-shared'] == 0)
        guest.wait_text(r'^TICK 1 ', times=2)
        after = page_map(guest)
        check(after['declared-shared'] >= 2048 and
              not after['private-undeclared'], f'the map says {after}')
    finally:
        guest.close()


@test('page map: an ordinary guest has none', sev=False)
def no_map(env):
    guest = env.lab.guest('pagemap-none', sev=False).start()
    try:
        error = guest.vm.qmp('x-query-sev-page-map')['error']['desc']
        check('has no page map' in error, f'the error says "{error}"')
    finally:
        guest.close()
