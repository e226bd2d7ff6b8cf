#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The overlay cut into topics: which commit of the export has what.

usage: topics.py          what each section of patches/topics has, as a table
       topics.py --check  fail when a file or a patch belongs to no section

patches/topics says how; this reads it, deals the files of the overlay and the
patches of the series out to its sections, and writes a folder's meson.build
as it is when only some of the folder's files are there.
"""
import configparser
import fnmatch
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BASES = ("", "include", "migration", "target/i386", "hw/psp")


class Section:
    """One commit of the export; with 'each', one per patch."""

    def __init__(self, name, fields):
        self.name = name
        self.topic = fields["topic"]
        self.each = fields.getboolean("each", False)
        self.subject = fields.get("subject", "")
        self.text = fields.get("text", "").strip("\n")
        self.globs = fields.get("files", "").split()
        self.files = []
        self.patches = []


def text_of(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def overlay_files():
    """The overlay's files that appear in the source tree, as git knows them."""
    roots = [line for line in text_of("scripts/overlay/links").splitlines()
             if line and not line.startswith("#")]
    done = subprocess.run(["git", "-C", ROOT, "ls-files", "-z", *roots],
                          capture_output=True, text=True, check=True)
    return [path for path in done.stdout.split("\0")
            if path and os.path.exists(os.path.join(ROOT, path))]


def series_sections():
    """Pairs of a section's name and a patch, in the order of the series."""
    section, pairs = None, []
    for line in text_of("patches/series").splitlines():
        heading = re.match(r"# \[(\S+)\]", line)
        if heading:
            section = heading.group(1)
        elif line.split("#")[0].strip():
            pairs.append((section, line.split("#")[0].strip()))
    return pairs


def matches(path, glob):
    if glob.endswith("/**"):
        return path.startswith(glob[:-2])
    return path.count("/") == glob.count("/") and fnmatch.fnmatch(path, glob)


def included(path, known):
    """Files of the overlay that @path includes."""
    if not path.endswith((".c", ".h", ".inc")):
        return
    for name in re.findall(r'^#include "([^"]+)"', text_of(path), re.M):
        for base in (os.path.dirname(path), *BASES):
            found = os.path.normpath(os.path.join(base, name))
            if found in known:
                yield found
                break


def with_headers(paths, known):
    """@paths and every header they need, the headers' own as well."""
    found, left = set(), list(paths)
    while left:
        path = left.pop()
        if path not in found:
            found.add(path)
            left += included(path, known)
    return found


def load():
    """The sections in order, each with its files and patches.

    Returns them and what belongs to none, as sentences.
    """
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(text_of("patches/topics"))
    sections = [Section(name, parser[name]) for name in parser.sections()]
    by_name = {section.name: section for section in sections}
    known, taken, problems = set(overlay_files()), set(), []
    for name, patch in series_sections():
        if name in by_name:
            by_name[name].patches.append(patch)
        else:
            problems.append(f"patches/series: {patch} is below [{name}], "
                            "which patches/topics does not have")
    order = [section.name for section in sections]
    found = [name for name, _ in series_sections() if name in by_name]
    if found != sorted(found, key=order.index):
        problems.append("patches/series: its sections are not in the order of "
                        "patches/topics")
    for section in sections:
        mine = {path for path in known - taken
                if any(matches(path, glob) for glob in section.globs)}
        section.files = sorted(with_headers(mine, known) - taken)
        taken.update(section.files)
        if not section.files and not section.patches:
            problems.append(f"patches/topics: [{section.name}] is empty")
        if not section.each and not section.subject:
            problems.append(f"patches/topics: [{section.name}] has no subject")
    for path in sorted(known - taken):
        problems.append(f"patches/topics: no section has {path}")
    return sections, problems


class Staged:
    """A meson.build, as far as the files that it names are there."""

    def __init__(self, path, present, known):
        self.folder = os.path.dirname(path)
        self.present = present
        self.known = known
        self.text = text_of(path)

    def missing(self, name):
        path = os.path.normpath(os.path.join(self.folder, name))
        return path in self.known and path not in self.present

    def names(self, listed):
        return re.findall(r"'([^']+)'", listed)

    def listed(self, match):
        """files(...) without those that are not there yet."""
        if not any(map(self.missing, self.names(match.group(0)))):
            return match.group(0)
        left = [n for n in self.names(match.group(0)) if not self.missing(n)]
        return "files(" + "".join(f"\n  '{n}'," for n in left) + \
            ("\n)" if left else ")")

    def either(self, match):
        """A list that is not complete: what stands in for it, always."""
        if not any(map(self.missing, self.names(match.group("yes")))):
            return match.group(0)
        return f"{match.group('set')}.add({match.group('no')})"

    def result(self):
        files = r"files\([^()]*\)"
        text = re.sub(rf"(?P<set>\w+)\.add\(when: '\w+', if_true: (?P<yes>{files}),"
                      rf"\s*if_false: (?P<no>{files})\)", self.either, self.text)
        return re.sub(files, self.listed, text)


def lines_of(path):
    with open(os.path.join(ROOT, path), "rb") as file:
        return file.read().count(b"\n")


def main(arguments):
    sections, problems = load()
    for problem in problems:
        print("error: " + problem, file=sys.stderr)
    if "--check" not in arguments:
        for section in sections:
            print(f"{section.topic:<16} {section.name:<18} "
                  f"{len(section.files):>4} files "
                  f"{sum(map(lines_of, section.files)):>6} lines "
                  f"{len(section.patches):>3} patches")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
