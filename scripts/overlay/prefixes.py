#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Does every prefix of the series compile?

usage: prefixes.py [--quick] [PATCH...]

For each patch the files of the base are brought to where the series is at that
patch, and what the patch touches is compiled, with QEMU's own words and without
output: a source file, the sources that include a header, the QAPI schema. The
overlay's own files are all there; those of a section are compiled with the last
patch of it, so that they need no hook of a later one. --quick looks at the last patch of each
section of the series only, without the overlay's files; with names, at those
patches.

Needs what 'make build' built: the list of its commands, and what it generated.
The tree is $BUILD/prefixes, links to the other one but for what is patched.
"""
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import series
import topics

TOP = os.path.join(series.BUILD, "prefixes")
TREE = os.path.join(TOP, "qemu")
GENERATED = os.path.join(TOP, "generated")
WHOLE = {"roms", "pc-bios", "subprojects", "debian", ".git"}     # never patched
JOBS = int(os.environ.get("JOBS", str(os.cpu_count())))
SOURCES_PER_HEADER = 3


def link_tree(patched):
    """Real folders, links to files: '..' and quoted includes stay inside."""
    shutil.rmtree(TOP, ignore_errors=True)
    whole = WHOLE - {path.split("/")[0] for path in patched}
    for folder, folders, files in os.walk(series.TREE, followlinks=True):
        below = os.path.relpath(folder, series.TREE)
        os.makedirs(os.path.join(TREE, below), exist_ok=True)
        if below == ".":
            for name in whole & set(folders):
                os.symlink(os.path.join(folder, name),
                           os.path.join(TREE, name))
            folders[:] = [name for name in folders if name not in whole]
        for name in files:
            if os.path.normpath(os.path.join(below, name)) not in patched:
                os.symlink(os.path.join(folder, name),
                           os.path.join(TREE, below, name))


class Build:
    """What is known of how the files are compiled."""

    def __init__(self):
        path = os.path.join(series.OBJ, "compile_commands.json")
        try:
            with open(path, encoding="utf-8") as file:
                entries = json.load(file)
        except OSError:
            series.die("nothing is built here; run 'make build' first.")
        self.commands, self.sources = {}, {}
        for entry in entries:
            whole = os.path.normpath(os.path.join(series.OBJ, entry["file"]))
            source = os.path.relpath(whole, series.TREE)
            self.commands.setdefault(source, entry["command"])
            self.sources[entry["output"]] = source
        self.users = self.read_users()

    def read_users(self):
        """The sources that include a file, by the file."""
        done = subprocess.run(["ninja", "-C", series.OBJ, "-t", "deps"],
                              capture_output=True, text=True, check=False)
        users, source = {}, None
        for line in done.stdout.splitlines():
            if line.startswith("    ") and source:
                path = os.path.normpath(os.path.join(series.OBJ, line.strip()))
                users.setdefault(os.path.relpath(path, series.TREE),
                                 []).append(source)
            elif ": #deps" in line:
                source = self.sources.get(line.partition(": #deps")[0])
        return users

    def to_compile(self, path, patched):
        """Sources that show whether @path is sound; patched ones first."""
        if path in self.commands:
            return [path]
        users = [user for user in self.users.get(path, [])
                 if user in self.commands]
        users = sorted(set(users), key=lambda user: (user not in patched, user))
        return users[:SOURCES_PER_HEADER]

    def compile(self, source):
        words = shlex.split(self.commands[source])
        words = words[:words.index("-MD")] + ["-fsyntax-only"]
        words = [word for word in words if word != "ccache"]
        words = [re.sub(r"\.\./qemu(?=/|$)", TREE, word)
                 if "../qemu" in word else word.replace(series.TREE, TREE)
                 for word in words]
        words[1:1] = ["-iquote", GENERATED]
        return subprocess.run([*words, os.path.join(TREE, source)],
                              cwd=series.OBJ, capture_output=True, text=True,
                              check=False)


def generate():
    """Everything that QAPI makes of the schema as it is now."""
    out = os.path.join(GENERATED, "qapi")
    os.makedirs(out, exist_ok=True)
    return subprocess.run(
        [os.path.join(series.OBJ, "pyvenv/bin/python3"),
         os.path.join(TREE, "scripts/qapi-gen.py"), "-o", out, "-b",
         os.path.join(TREE, "qapi/qapi-schema.json")],
        capture_output=True, text=True, check=False)


def problem(done, prefix=""):
    said = re.search(r"^.*\b(?:error|warning): .*$", done.stderr, re.M)
    words = (said.group(0) if said else done.stderr.strip()[-200:])
    return prefix + words.replace(TREE + "/", "")


def ours_by_patch():
    """The overlay's files that are due with a patch, by the patch."""
    due, files = {}, []
    for section in topics.load()[0]:
        files += [path for path in section.files
                  if not path.startswith("tests/")]
        if section.patches:
            due[section.patches[-1]], files = files, []
    return due


def chosen(arguments):
    names = {name for name in arguments if not name.startswith("-")}
    pairs = topics.series_sections()
    if names:
        return names
    if "--quick" in arguments:
        return set(dict(pairs).values())        # the last one of each
    return {name for _, name in pairs}


def main(arguments):
    names, wanted, failed = series.series(), chosen(arguments), 0
    patched = series.all_files(names)
    build = Build()
    due = {} if "--quick" in arguments else ours_by_patch()
    link_tree(set(patched))
    for path in patched:
        series.write(os.path.join(TREE, path), series.pristine(path))
    stale = True
    with ThreadPoolExecutor(JOBS) as pool:
        for name in names:
            files = series.files_of(series.split_patch(name)[1])
            done = subprocess.run(
                ["patch", "-s", "-p1", "-F0", "--no-backup-if-mismatch", "-d",
                 TREE, "-i", os.path.join(series.PATCHES, name)],
                capture_output=True, text=True, check=False)
            if done.returncode:
                series.die(f"patches/{name} does not apply.")
            stale = stale or any(path.endswith(".json") for path in files)
            if name not in wanted:
                continue
            problems = []
            if stale:
                made, stale = generate(), False
                if made.returncode:
                    problems.append(problem(made))
            sources = list(dict.fromkeys(
                source for path in files
                for source in build.to_compile(path, patched)))
            sources += [path for path in due.get(name, [])
                        if path in build.commands]
            problems += [problem(result) for result in
                         pool.map(build.compile, sources)
                         if result.returncode or result.stderr.strip()]
            failed += bool(problems)
            print(f"{'not ok' if problems else 'ok'} {name}: "
                  + ("; ".join(problems) if problems
                     else " ".join(sources) or "nothing to compile"),
                  flush=True)
    print(f"{len(wanted)} prefixes, {failed} do not compile")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
