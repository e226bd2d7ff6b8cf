# SPDX-License-Identifier: GPL-2.0-or-later
"""The short form of "make check-stress"."""

from registry import test
from stress import Stress

SECONDS = 10                # and a quarter of that after kexec


@test('stress: load, kexec, load; the rules of the cache hold', sev=False)
def short(env):
    stress = Stress(env.lab, env.host('a'), env.name('stress'), SECONDS)
    stress.run(changes=('kexec',))
