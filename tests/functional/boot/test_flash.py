# SPDX-License-Identifier: GPL-2.0-or-later
"""Flash that is written while the guest migrates."""

import contextlib
import sys

from registry import test
from verdict import MIGRATE_LIMIT, check, wait_until

SIZE = 0x10000                          # of either flash; its sectors have 4096
VARIABLES = (1 << 32) - 2 * SIZE        # where the second one lies
PROGRAM, READ = 0x40, 0xff              # commands of the chip


class Board(contextlib.ExitStack):
    """A machine without a processor that runs, but with flash, by qtest."""

    def __init__(self, env, name, incoming=False):
        super().__init__()
        sys.path.append(str(env.lab.build / 'qemu/python'))
        # pylint: disable=import-error,import-outside-toplevel
        from qemu.machine.qtest import QEMUQtestMachine
        args = ['-machine', 'q35', '-m', '4', '-display', 'none', '-nodefaults']
        for unit in range(2):
            file = env.folder / f'{name}-{unit}.flash'
            file.write_bytes(b'\xff' * SIZE)
            args += ['-drive', f'if=pflash,unit={unit},format=raw,file={file}']
        if incoming:
            args += ['-incoming', 'defer']
        self.vm = QEMUQtestMachine(str(env.lab.binary), args=args)
        self.vm.launch()
        self.callback(self.vm.shutdown, hard=True)

    def program(self, offset, byte):
        for value in PROGRAM, byte, READ:
            self.vm.qtest(f'writeb {VARIABLES + offset:#x} {value:#x}')

    def byte(self, offset):
        said = self.vm.qtest(f'readb {VARIABLES + offset:#x}')
        return int(said.split()[1], 16)


@test('migrate: what is written to flash after the first pass arrives', sev=False)
def written(env):
    with Board(env, 'flash') as source, Board(env, 'flash-to', True) as target:
        source.program(16, 0x11)
        path = f'{env.short_folder()}/flash.sock'
        target.vm.cmd('migrate-incoming', uri=f'unix:{path}')
        source.vm.cmd('migrate-set-capabilities', capabilities=[
            {'capability': 'pause-before-switchover', 'state': True}])
        source.vm.cmd('migrate', uri=f'unix:{path}')
        wait_until('the end of the passes', MIGRATE_LIMIT, lambda: source.vm.cmd(
            'query-migrate')['status'] == 'pre-switchover')
        source.program(0x2010, 0x5a)
        source.vm.cmd('migrate-continue', state='pre-switchover')
        wait_until('the end', MIGRATE_LIMIT, lambda: target.vm.cmd(
            'query-migrate').get('status') == 'completed')
        check(target.byte(16) == 0x11, 'what was written before')
        check(target.byte(0x2010) == 0x5a,
              f'{target.byte(0x2010):#x} in the place of 0x5a')
