#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Apply patches/series to the source tree, and fold edits back into it.

usage: series.py apply          make the tree match the series
       series.py fold PATCH     put your edits in the tree into PATCH
                                (F="path..." takes only those files' edits)
       series.py refresh        rewrite every patch against the base, no fuzz
       series.py diff           show edits of the tree not folded yet
       series.py check-clean    fail when there are any

The whole series is computed beside the tree, from pristine copies of the
files it touches; a file of the tree is then replaced only when its content
changes. So nothing is ever half applied, editing one patch rewrites just the
files it changes, and every other file keeps its time stamp. Edits you make in
the tree stay there until you fold them; only a patch that changes the very
file you edited is refused.

  $BUILD/qemu          the tree
  $BUILD/untouched     a second tree, unpacked when it is needed
  $BUILD/pristine/     the base's own copy of each file a patch has touched
  $BUILD/applied/      what the series last made of those files
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.environ["ROOT"] if "ROOT" in os.environ else os.path.dirname(
    os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("BUILD", os.path.join(ROOT, "build"))
PATCHES = os.path.join(ROOT, "patches")
TREE = os.path.join(BUILD, "qemu")
PRISTINE = os.path.join(BUILD, "pristine")
APPLIED = os.path.join(BUILD, "applied")
OBJ = os.path.join(BUILD, "obj")


def die(sentence):
    sys.exit("error: " + sentence)


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def write(path, data):
    """Replace path by rename, keeping its mode; None removes it."""
    if data is None:
        if os.path.lexists(path):
            os.unlink(path)
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".new", "wb") as file:
        file.write(data)
    if os.path.exists(path):
        shutil.copymode(path, path + ".new")
    os.rename(path + ".new", path)


def series(check=True):
    """Patch names in order, checked against the folder."""
    names = []
    with open(os.path.join(PATCHES, "series"), encoding="utf-8") as file:
        for line in file:
            name = line.split("#")[0].strip()
            if name:
                names.append(name)
    for name in names:
        if check and not os.path.exists(os.path.join(PATCHES, name)):
            die(f"patches/series names {name}, which does not exist; "
                "add the file or take the line out.")
    return names


def split_patch(name):
    """The header text and the diff of a patch."""
    text = read(os.path.join(PATCHES, name)).decode()
    match = re.search(r"^(diff --git |Index: |--- )", text, re.M)
    if not match:
        return text, ""
    return text[:match.start()], text[match.start():]


def files_of(diff):
    """Paths a diff touches, without their a/ and b/."""
    found = re.findall(r"^\+\+\+ (?:[^/\s]+)/(\S+)", diff, re.M)
    return list(dict.fromkeys(found))


def all_files(names):
    files = []
    for name in names:
        files += files_of(split_patch(name)[1])
    return list(dict.fromkeys(files))


def walk(top):
    for folder, _, files in os.walk(top):
        for file in files:
            yield os.path.relpath(os.path.join(folder, file), top)


def unpacked_at():
    return os.stat(os.path.join(TREE, ".overlay-base")).st_mtime_ns


def pristine(path):
    """The base's content of path, saved the first time it is asked for."""
    saved = os.path.join(PRISTINE, path)
    data = read(saved)
    if data is None:
        source = os.path.join(TREE, path)
        if not os.path.exists(source):
            return None
        if os.stat(source).st_mtime_ns > unpacked_at():
            source = os.path.join(base_tree(), path)
        data = read(source)
        write(saved, data)
    return data


def base_tree():
    """The untouched tree; for a file that was edited before it was patched."""
    fetch = os.path.join(ROOT, "scripts", "overlay", "fetch.sh")
    if subprocess.run([fetch, "--base"]).returncode:
        sys.exit(1)
    return os.path.join(BUILD, "untouched")


def edits():
    """Files whose tree content is not what the series made of the base."""
    known = set(walk(APPLIED))
    found = {path for path in known
             if read(os.path.join(APPLIED, path)) !=
             read(os.path.join(TREE, path))}
    newer = subprocess.run(
        ["find", TREE, "-type", "f", "-newer",
         os.path.join(TREE, ".overlay-base"), "-not", "-name", "*.pyc",
         "-printf", "%P\\n"], capture_output=True, text=True)
    touched = set(newer.stdout.split("\n")) - known
    if touched - {""}:
        listed = read(os.path.join(TREE, ".overlay-files")) or b""
        for path in touched & set(listed.decode().split("\n")) - {""}:
            if pristine(path) != read(os.path.join(TREE, path)):
                found.add(path)
    return sorted(found)


class Scratch:
    """A folder that holds the files of the series at one point of it."""

    def __init__(self, files):
        self.top = tempfile.mkdtemp(prefix="series-", dir=BUILD)
        for path in files:
            data = pristine(path)
            if data is None:
                die(f"{path} is patched but is not in the base; "
                    "new files belong in the overlay, not in a patch.")
            write(os.path.join(self.top, path), data)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.top)

    def get(self, path):
        return read(os.path.join(self.top, path))

    def put(self, path, data):
        write(os.path.join(self.top, path), data)

    def push(self, name):
        done = subprocess.run(
            ["patch", "-p1", "-F0", "--batch", "--forward",
             "--no-backup-if-mismatch", "-r", "-", "-d", self.top,
             "-i", os.path.join(PATCHES, name)],
            capture_output=True, text=True)
        if done.returncode:
            said = " ".join((done.stdout + done.stderr).split())
            where = re.search(r"Hunk #\d+ (?:FAILED|ignored) at \d+", said)
            die(f"patches/{name} does not apply to "
                f"{' '.join(files_of(split_patch(name)[1])) or 'anything'} "
                f"({where.group(0) if where else said[:160]}); edit the patch "
                "until it applies without fuzz, then run the same command "
                "again (the tree was left as it was).")


def refuse_edits(paths):
    die(f"{' '.join(paths)} was edited in the tree; put the edit into a "
        "patch with 'make refresh P=NUMBER-name.patch', or drop it with "
        "'make patch DROP=1'.")


def check_clean():
    changed = edits()
    if changed:
        refuse_edits(changed)


def apply():
    names = series()
    files = all_files(names)
    drop = os.environ.get("DROP") == "1"
    edited = set(edits())
    results = {}
    with Scratch(files) as scratch:
        for name in names:
            scratch.push(name)
        for path in sorted(set(files) | set(walk(APPLIED)) | edited):
            results[path] = scratch.get(path) if path in files \
                else pristine(path)
    blocked = [] if drop else [
        path for path in edited if path in results
        and results[path] != last_applied(path)
        and results[path] != read(os.path.join(TREE, path))]
    if blocked:
        refuse_edits(blocked)
    changed = 0
    for path, data in results.items():
        target = os.path.join(TREE, path)
        if path in edited and not drop and data == last_applied(path):
            continue
        if read(target) != data:
            write(target, data)
            changed += 1
        write_if_new(os.path.join(APPLIED, path),
                     data if path in files else None)
    if changed:
        print(f"  {'patch':<10} {len(names)} patches, "
              f"{changed} files changed")


def last_applied(path):
    data = read(os.path.join(APPLIED, path))
    return pristine(path) if data is None else data


def write_if_new(path, data):
    if read(path) != data:
        write(path, data)


def unified(path, before, after):
    """git's diff without index lines; two lines of context churn less."""
    with tempfile.TemporaryDirectory() as top:
        for side, data in (("a", before), ("b", after)):
            write(os.path.join(top, side, path), data or b"")
        done = subprocess.run(
            ["git", "diff", "--no-index", "--no-color", "--no-ext-diff",
             "--no-prefix", "--diff-algorithm=myers", "-U2",
             "a/" + path, "b/" + path], cwd=top, capture_output=True,
            env=dict(os.environ, GIT_CONFIG_GLOBAL="/dev/null"), check=False)
    text = done.stdout.decode("utf-8", "surrogateescape")
    start = text.find("--- a/")
    return text[start:] if start >= 0 else ""


def save_patch(name, header, diffs):
    path = os.path.join(PATCHES, name)
    text = (header + "".join(diffs)).encode("utf-8", "surrogateescape")
    if read(path) != text:
        write(path, text)
        print(f"  {'refresh':<10} patches/{name}")


def merge3(mine, base, other, name, path):
    """other's changes since base, on top of mine."""
    with tempfile.TemporaryDirectory() as top:
        paths = []
        for key, data in (("m", mine), ("b", base), ("o", other)):
            paths.append(os.path.join(top, key))
            write(paths[-1], data)
        done = subprocess.run(["diff3", "-m", *paths], capture_output=True)
        if done.returncode:
            die(f"your edit of {path} overlaps lines of another patch than "
                f"{name}; fold it into that one.")
        return done.stdout


def add_to_series(name):
    """Insert name behind the nearest number of its band; it may be moved to
    another section of patches/topics, inside which numbers are sorted."""
    path = os.path.join(PATCHES, "series")
    lines = read(path).decode().splitlines(True)
    band = [line.strip() for line in lines if line.startswith(name[:2])]
    if not band:
        die(f"{name} has no number of a band in patches/series.")
    before = max((other for other in band if other < name), default=None)
    at = lines.index((before or min(band)) + "\n") + (before is not None)
    lines.insert(at, name + "\n")
    write(path, "".join(lines).encode())


HEADER = """Subject: {title}
From: {author}
Date: {date}
Forwarded: not-needed
Hook: CALL from FUNCTION()
Why-not-overlay: REASON

WHAT THE HOOK DOES WHEN SEV IS OFF (NOTHING), AND WHEN ON.

"""


def new_header(name):
    def git(*words):
        return subprocess.run(["git", "-C", ROOT, *words], text=True,
                              capture_output=True).stdout.strip()
    author = f"{git('config', 'user.name')} <{git('config', 'user.email')}>"
    date = subprocess.run(["date", "-u", "-R"], capture_output=True,
                          text=True).stdout.strip()
    return HEADER.format(title=name[:-len(".patch")].replace("-", " "),
                         author=author, date=date)


def rewrite(fold_into=None):
    """Rewrite the series; edits of the tree go into fold_into."""
    names = series()
    edited = edits() if fold_into else []
    chosen = os.environ.get("F", "").split()
    if chosen:
        edited = [path for path in edited if path in chosen]
    if fold_into and not re.match(r"\d{4}-.*\.patch$", fold_into):
        die(f"{fold_into} is no patch name; use NUMBER-words.patch.")
    if fold_into and not edited:
        die("nothing in the tree differs from the series; edit a file under "
            f"{TREE} first.")
    header = None
    if fold_into and fold_into not in names:
        add_to_series(fold_into)
        names = series(check=False)
        header = new_header(fold_into)
    files = list(dict.fromkeys(
        all_files([n for n in names if n != fold_into or header is None])
        + edited))
    result = []
    with Scratch(files) as scratch:
        for name in names:
            before = {path: scratch.get(path) for path in files}
            if not (name == fold_into and header):
                scratch.push(name)
            if name == fold_into:
                for path in edited:
                    scratch.put(path, merge3(
                        scratch.get(path), last_applied(path),
                        read(os.path.join(TREE, path)), name, path))
            diffs = [unified(path, before[path], scratch.get(path))
                     for path in files if before[path] != scratch.get(path)]
            head = header if name == fold_into and header \
                else split_patch(name)[0]
            result.append((name, head, diffs))
        for path in edited:
            write(os.path.join(APPLIED, path), read(os.path.join(TREE, path)))
    for name, head, diffs in result:
        if fold_into in (None, name):
            save_patch(name, head, diffs)


def main(command, *arguments):
    os.makedirs(APPLIED, exist_ok=True)
    if command == "apply":
        apply()
    elif command == "fold":
        rewrite(os.path.basename(arguments[0]))
        apply()
    elif command == "refresh":
        check_clean()
        rewrite()
        apply()
    elif command == "check-clean":
        check_clean()
    elif command == "diff":
        for path in edits():
            print(unified(path, last_applied(path),
                          read(os.path.join(TREE, path))), end="")
    else:
        die(f"series.py has no command '{command}'.")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except BrokenPipeError:
        pass
    except OSError as problem:
        die(f"{problem.strerror} ({problem.filename}); free some space or "
            "choose another disk with 'make BUILD=DIR ...'.")
