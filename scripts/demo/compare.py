# SPDX-License-Identifier: GPL-2.0-or-later
"""Compare the RAM files of guests that hold the same memory."""

import mmap
import zlib

PAGE = 4096


def looks_random(page):
    """Ciphertext does not compress; nearly everything else does."""
    return len(zlib.compress(page, 1)) > PAGE


def ciphertext(paths):
    """Page by page, where every file has content.

    different:   pages that no two files have in common
    same_plain:  pages some two files share that are no ciphertext (shared
                 pages, as a device sees them)
    same_random: pages some two files share that look like ciphertext
    """
    files = [open(path, 'rb') for path in paths]
    views = [mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) for f in files]
    result = dict(different=0, same_plain=0, same_random=0)
    empty = bytes(PAGE)
    for offset in range(0, len(views[0]), PAGE):
        pages = [view[offset:offset + PAGE] for view in views]
        if empty in pages:
            continue
        if len(set(pages)) == len(pages):
            result['different'] += 1
        elif looks_random(pages[0]):
            result['same_random'] += 1
        else:
            result['same_plain'] += 1
    for view, f in zip(views, files):
        view.close()
        f.close()
    return result
