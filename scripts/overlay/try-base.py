#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Which patches of the series apply to another QEMU, and which do not?

usage: try-base.py [--write FILE] --suite SUITE       of the Debian archive
       try-base.py [--write FILE] DIR|TARBALL|DSC

Each patch is tried without fuzz, then with fuzz, then hunk by hunk; what does
not apply is left out and the rest goes on. Of a hunk that is refused the lines
that are no longer there are named. Nothing is built, and the overlay's own
files are only looked at for names that the other QEMU has too. With --write a
table is put into FILE between the two lines that mark its place.

The newest version of the suite that the archive still delivers is taken: an
index may name one that is not there any more, or not yet.
"""
import os
import re
import shutil
import subprocess
import sys

import series
import topics

TOP = os.path.join(series.BUILD, "try")
BEGIN = "<!-- made by 'make try-base WRITE=1' -->"
END = "<!-- end -->"


def apt(suite, *words, cwd=None):
    return subprocess.run(
        [os.path.join(topics.ROOT, "scripts/overlay/apt.sh"), suite, *words],
        capture_output=True, text=True, check=False, cwd=cwd)


def newer_first(versions):
    """Debian's order of versions, by dpkg."""
    done = []
    for version in dict.fromkeys(versions):
        at = 0
        while at < len(done) and subprocess.run(
                ["dpkg", "--compare-versions", version, "lt", done[at]],
                check=False).returncode == 0:
            at += 1
        done.insert(at, version)
    return done


def fetch(suite):
    """The .dsc of the newest version there is, and which were not there."""
    shown = apt(suite, "showsrc", "--only-source", "qemu")
    versions = newer_first(re.findall(r"^Version: (\S+)", shown.stdout, re.M))
    if not versions:
        series.die(f"the archive has no source of qemu in {suite} "
                   f"({shown.stderr.strip()[:160]}).")
    folder, absent = os.path.join(TOP, "dl"), []
    os.makedirs(folder, exist_ok=True)
    for version in versions:
        dsc = os.path.join(folder, f"qemu_{version.partition(':')[2]}.dsc")
        if os.path.exists(dsc + ".whole") or apt(
                suite, "source", "--download-only", "--only-source",
                f"qemu={version}", cwd=folder).returncode == 0:
            series.write(dsc + ".whole", b"")
            return dsc, version, absent
        absent.append(version)
    series.die(f"none of {' '.join(versions)} could be downloaded.")


def unpack(source):
    tree = os.path.join(TOP, "qemu")
    shutil.rmtree(tree, ignore_errors=True)
    if os.path.isdir(source):
        return source
    if source.endswith(".dsc"):
        command = ["dpkg-source", "--no-check", "-x", source, tree]
    else:
        os.makedirs(tree)
        command = ["tar", "-xf", source, "-C", tree, "--strip-components=1"]
    os.makedirs(TOP, exist_ok=True)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        series.die(f"cannot unpack {source}: {done.stderr.strip()[-200:]}")
    return tree


def push(folder, name, fuzz):
    return subprocess.run(
        ["patch", "-p1", f"-F{fuzz}", "--batch", "--forward",
         "--no-backup-if-mismatch", "-r", "-", "-d", folder, "-i",
         os.path.join(series.PATCHES, name)], capture_output=True, text=True,
        check=False)


def hunks(name):
    """Of every hunk: its file, its number in it, and its lines."""
    path, number, lines = None, 0, None
    for line in series.split_patch(name)[1].splitlines():
        if line.startswith("+++ "):
            path, number, lines = line.split("/", 1)[1], 0, None
        elif line.startswith("@@"):
            number, lines = number + 1, []
            yield path, number, lines
        elif lines is not None and not line.startswith("---"):
            lines.append(line)


def moved_to(tree, path, lines):
    """Files of @path's kind that have the longest line of a hunk now."""
    told = sorted((line[1:].strip() for line in lines if line[:1] in (" ", "-")),
                  key=lambda line: (line.startswith("#"), -len(line)))
    kinds = [".c", ".h"] if path.endswith((".c", ".h")) \
        else [os.path.splitext(path)[1]]
    for line in told[:3]:
        word = re.search(r"[\w']*\w{3}[\w'() -]*", line)
        done = subprocess.run(
            ["grep", "-rlF", *(f"--include=*{kind}" for kind in kinds),
             "--exclude-dir=tests", word.group(0).removeprefix("cpu_"), tree],
            capture_output=True, text=True, check=False) if word else None
        if done and 0 < done.stdout.count("\n") < 4:
            return " ".join(f"`{os.path.relpath(file, tree)}`"
                            for file in sorted(done.stdout.split()))
    return ""


def changed(tree, name, refused):
    """What upstream changed where a hunk is refused, in words."""
    for path, number, lines in list(hunks(name)):
        if (path, number) not in refused:
            continue
        text = series.read(os.path.join(tree, path))
        if text is None:
            now = moved_to(tree, path, lines)
            yield f"`{path}` is not there" + (
                f", a line of it is in {now}" if now else "")
            continue
        there = set(map(str.strip, text.decode(errors="replace").split("\n")))
        gone = [line[1:].strip() for line in lines
                if line[:1] in (" ", "-") and len(line.strip()) > 2
                and line[1:].strip() not in there]
        yield f"`{path}`: " + (
            "no longer there: " + ", ".join(f"`{g[:70]}`" for g in gone[:3])
            if gone else "the same lines, in another order or with others "
                         "between them")


def attempt(scratch, tree, name):
    """'applies', 'fuzz' or 'conflict', and why; the scratch tree goes on."""
    files = series.files_of(series.split_patch(name)[1])
    before = {path: series.read(os.path.join(scratch, path)) for path in files}
    for fuzz, word in ((0, "applies"), (2, "fuzz")):
        done = push(scratch, name, fuzz)
        if done.returncode == 0:
            moved = re.findall(r"offset (-?\d+)", done.stdout)
            return word, f"moved by up to {max(map(abs, map(int, moved)))} lines" \
                if moved else ""
        refused, path = set(), None
        for line in done.stdout.splitlines():
            path = line.split()[-1] if line.startswith("patching file") else path
            hunk = re.match(r"Hunk #(\d+) (?:FAILED|ignored)", line)
            if hunk:
                refused.add((path, int(hunk.group(1))))
        for path, data in before.items():
            series.write(os.path.join(scratch, path), data)
    refused |= {(path, number) for path, number, _ in hunks(name)
                if before.get(path) is None}
    return "conflict", "; ".join(dict.fromkeys(changed(tree, name, refused)))


def try_all(tree):
    """Rows of the table, in the order of the series."""
    scratch = os.path.join(TOP, "scratch")
    shutil.rmtree(scratch, ignore_errors=True)
    for path in series.all_files(series.series()):
        data = series.read(os.path.join(tree, path))
        if data is not None:
            series.write(os.path.join(scratch, path), data)
    os.makedirs(scratch, exist_ok=True)
    return [(name, *attempt(scratch, tree, name)) for name in series.series()]


def report(rows, what, absent, taken):
    count = {word: sum(row[1] == word for row in rows)
             for word in ("applies", "fuzz", "conflict")}
    lines = [f"Tried on {what}: of {len(rows)} patches {count['applies']} "
             f"apply, {count['fuzz']} with fuzz, {count['conflict']} do not."]
    if absent:
        lines.append("The archive's index names " + ", ".join(absent) +
                     " as well, which it did not deliver.")
    if taken:
        lines.append("Files that both have: " + ", ".join(taken) + ".")
    lines += ["", "| patch | | where |", "|---|---|---|"]
    lines += [f"| {name[:4]} {name[5:-6]} | {word} | {why.replace('|', chr(92) + '|')} |"
              for name, word, why in rows if word != "applies"]
    return "\n".join(lines) + "\n"


def put(path, text):
    whole = os.path.join(topics.ROOT, path)
    old = series.read(whole).decode()
    before, after = old.partition(BEGIN)[0], old.partition(END)[2]
    series.write(whole, f"{before}{BEGIN}\n{text}{END}{after}".encode())


def main(arguments):
    write = None
    if arguments[:1] == ["--write"]:
        write, arguments = arguments[1], arguments[2:]
    absent = []
    if arguments[:1] == ["--suite"] and len(arguments) == 2:
        source, version, absent = fetch(arguments[1])
        what = f"Debian {version}"
    elif len(arguments) == 1:
        source, what = arguments[0], os.path.basename(arguments[0].rstrip("/"))
    else:
        sys.exit(__doc__)
    tree = unpack(source)
    version = (series.read(os.path.join(tree, "VERSION")) or b"?").decode().strip()
    taken = [path for path in topics.overlay_files()
             if os.path.exists(os.path.join(tree, path))]
    text = report(try_all(tree), f"QEMU {version} ({what})", absent, taken)
    print(text, end="")
    if write:
        put(write, text)


if __name__ == "__main__":
    main(sys.argv[1:])
