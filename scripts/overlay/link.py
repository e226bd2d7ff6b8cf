#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Link this repository's files into the source tree.

scripts/overlay/links lists the folders; links whose file is gone are removed.
"""
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("BUILD", os.path.join(ROOT, "build"))
TREE = os.path.join(BUILD, "qemu")
MADE = os.path.join(BUILD, "links")
SKIPPED = ("__pycache__", "build")


def ours(target):
    """True for a link that an overlay made, this one or a moved one."""
    return os.path.islink(target)


def wanted(path):
    """Yield what of path has to be linked, relative to the roots."""
    name = os.path.basename(path)
    if name.startswith(".") or name in SKIPPED or name.endswith("~"):
        return
    source, target = os.path.join(ROOT, path), os.path.join(TREE, path)
    if not os.path.lexists(target) or ours(target):
        yield path
    elif os.path.isdir(source) and os.path.isdir(target):
        for entry in sorted(os.listdir(source)):
            yield from wanted(os.path.join(path, entry))
    else:
        sys.exit(f"error: {path} exists in the base too; give the overlay's "
                 "own another name.")


def roots():
    with open(os.path.join(ROOT, "scripts/overlay/links"), encoding="utf-8") as file:
        for line in file:
            path = line.split("#")[0].strip()
            if path and os.path.isdir(os.path.join(ROOT, path)):
                yield path


def main():
    links = [path for root in roots() for path in wanted(root)]
    changed = 0
    for path in links:
        source, target = os.path.join(ROOT, path), os.path.join(TREE, path)
        if not os.path.islink(target) or os.readlink(target) != source:
            if os.path.islink(target):
                os.unlink(target)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            os.symlink(source, target)
            changed += 1
    before = []
    if os.path.exists(MADE):
        with open(MADE, encoding="utf-8") as file:
            before = file.read().split("\n")
    for path in set(filter(None, before)) - set(links):
        if ours(os.path.join(TREE, path)):
            os.unlink(os.path.join(TREE, path))
            changed += 1
    with open(MADE + ".new", "w", encoding="utf-8") as file:
        file.write("\n".join(links) + "\n")
    os.rename(MADE + ".new", MADE)
    if changed:
        print(f"  {'link':<10} {len(links)} paths of the overlay")


if __name__ == "__main__":
    try:
        main()
    except OSError as problem:
        sys.exit(f"error: {problem.strerror} ({problem.filename}); free some "
                 "space or choose another disk with 'make BUILD=DIR ...'.")
