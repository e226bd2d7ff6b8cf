# SPDX-License-Identifier: GPL-2.0-or-later
"""The folders of the tests, in the order in which they run."""

import importlib
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
# The longest are the users': while they run, the other workers have something to do.
TESTS = ('users', 'boot', 'secret', 'es', 'migrate', 'lane', 'template', 'clone', 'kvm')


def enter():
    """Let modules of every folder import each other by name."""
    for name in ('matrix', *TESTS):
        if str(HERE / name) not in sys.path:
            sys.path.insert(1, str(HERE / name))


def load():
    """Import every test, so that each registers itself."""
    enter()
    for name in TESTS:
        for path in sorted((HERE / name).glob('test_*.py')):
            importlib.import_module(path.stem)
