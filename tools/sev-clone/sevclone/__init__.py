# SPDX-License-Identifier: GPL-2.0-or-later
"""Templates and clones of SEV guests, for people: the parts of sev-clone."""


class Trouble(Exception):
    """What went wrong and what to do about it, in one sentence."""
