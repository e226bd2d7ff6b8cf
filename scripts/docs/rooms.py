#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The folders of the overlay's C and the #includes between them, at any commit.

usage: rooms.py [--arrows] [COMMIT]...          (default: HEAD)

A row is a folder: its .c files, its headers, how many #include lines of its files
name a header of another folder of ours, and how many folders those are.  With
--arrows each pair of folders follows.  Tests and tools are not counted.
"""
import argparse
import posixpath
import re
import subprocess
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OURS = ('hw/psp/', 'target/i386/sev/', 'migration/sev/', 'accel/', 'lane/',
        'include/')
INCLUDE = re.compile(r'^[^:]+:([^:]+):\s*#\s*include\s+["<]([^">]+)[">]')


def git(*words):
    done = subprocess.run(['git', '-C', ROOT, *words], capture_output=True,
                          text=True, check=False)
    if done.returncode > 1:             # 1: git grep found nothing
        raise SystemExit(done.stderr.strip())
    return done.stdout.splitlines()


def part(folder):
    """The part that a folder belongs to: one of OURS."""
    return next(one for one in OURS if (folder + '/').startswith(one)).rstrip('/')


def header(name, source, files):
    """The file of ours that @source means by @name, or None."""
    beside = posixpath.normpath(posixpath.join(posixpath.dirname(source), name))
    if beside in files:
        return beside
    found = [path for path in files if path == name or
             path.endswith('/' + name)]
    return min(found, key=len) if found else None


def rooms(commit):
    """(files by folder, headers by folder, {(from, to): lines}) at @commit."""
    listed = [path for path in git('ls-tree', '-r', '--name-only', commit)
              if path.startswith(OURS) and re.search(r'\.(c|h|c\.inc|S)$', path)]
    files = set(listed)
    folder = posixpath.dirname
    sources = Counter(folder(path) for path in listed if not path.endswith('.h'))
    headers = Counter(folder(path) for path in listed if path.endswith('.h'))
    arrows = Counter()
    for line in git('grep', '-E', r'^\s*#\s*include', commit, '--', *files):
        found = INCLUDE.match(line)
        if not found:                   # a macro that names the file
            continue
        source, name = found.groups()
        there = header(name, source, files)
        if there and folder(there) != folder(source):
            arrows[folder(source), folder(there)] += 1
    return sources, headers, arrows


def table(commit, with_arrows):
    sources, headers, arrows = rooms(commit)
    title = git('log', '-1', '--format=%h %s', commit)[0]
    print(f'{title}\n\n{"folder":<32} {".c":>4} {".h":>4} {"lines":>6} {"arrows":>7}')
    for name in sorted(set(sources) | set(headers)):
        out = {pair: count for pair, count in arrows.items() if pair[0] == name}
        print(f'{name:<32} {sources[name]:>4} {headers[name]:>4} '
              f'{sum(out.values()):>6} {len(out):>7}')
    print(f'{"all":<32} {sum(sources.values()):>4} {sum(headers.values()):>4} '
          f'{sum(arrows.values()):>6} {len(arrows):>7}\n')
    parts = Counter()
    for (one, other), count in arrows.items():
        if part(one) != part(other):
            parts[part(one), part(other)] += count
    print('between parts: ' + ', '.join(
        f'{one} -> {other} {count}' for (one, other), count in
        sorted(parts.items())))
    both = sorted(pair for pair in arrows if pair[::-1] in arrows and
                  pair[0] < pair[1])
    print(f'pairs with arrows both ways: {len(both)}')
    for one, other in both:
        print(f'  {one} <-> {other}: {arrows[one, other]}, {arrows[other, one]}')
    if with_arrows:
        for (one, other), count in sorted(arrows.items()):
            print(f'{count:>4}  {one} -> {other}')
    print()


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument('--arrows', action='store_true')
    parser.add_argument('commits', nargs='*', default=['HEAD'])
    args = parser.parse_args()
    for commit in args.commits:
        table(commit, args.arrows)


if __name__ == '__main__':
    main()
