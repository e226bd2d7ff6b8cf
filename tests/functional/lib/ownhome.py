# SPDX-License-Identifier: GPL-2.0-or-later
"""A home of their own for programs that are tested.

QEMU makes a platform's identity when there is none, and sev-clone ends what
others left: neither may happen to the user who runs tests, and what that user
or the machine has must not decide how a test ends.
"""

from pathlib import Path

FOLDERS = {'XDG_STATE_HOME': 'state', 'XDG_DATA_HOME': 'data',
           'XDG_CONFIG_HOME': 'config', 'XDG_CACHE_HOME': 'cache',
           'XDG_RUNTIME_DIR': 'run'}


def environment(folder):
    """The variables of a home in @folder, which is made."""
    home = Path(folder).resolve() / 'home'
    for name in FOLDERS.values():
        (home / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    return {'HOME': str(home), 'SEV_PSP_DIR': str(home / 'psp'),
            'SEV_PSP_CONFIG_DIR': str(home / 'etc'),
            'SEV_CLONE_HOME': str(home / 'data/sev-clone'),
            'SEV_CLONE_RUN': str(home / 'run/sev-clone'),
            **{variable: str(home / name)
               for variable, name in FOLDERS.items()}}
