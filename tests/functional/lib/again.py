# SPDX-License-Identifier: GPL-2.0-or-later
"""A migration that begins right behind one that failed."""

from verdict import wait_until


def begin_migration(guest, uri):
    """A migration is "failed" a moment before its session is ended: try until it is."""
    def accepted():
        try:
            guest.cmd('migrate', uri=uri)
        except Exception as error:                  # pylint: disable=W0718
            if 'is not cleaned up yet: try again' not in str(error):
                raise
            return False
        return True
    wait_until('the last migration to be over', 30, accepted)
