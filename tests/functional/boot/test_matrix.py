# SPDX-License-Identifier: GPL-2.0-or-later
"""The core rows of the boot matrix; matrix.py has all of them."""

import rows
from registry import test


def register(row):
    @test(f'matrix: {"refused: " if row.refused else ""}{row.name()}')
    def boot(env):
        rows.run(env.lab, env.host('a'), env.name('row'), row)


for core in rows.ROWS:
    if core.core:
        register(core)
