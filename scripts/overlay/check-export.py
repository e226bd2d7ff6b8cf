#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Is the export fit to be sent?

usage: check-export.py style      every mail passes the base's checkpatch.pl,
                                  has a body and a sign-off
       check-export.py build      each commit is applied to the pristine base
                                  with 'git am', and builds without a warning
                                  about a file of ours

       check-export.py quick      as 'build', but only our files and those that
                                  a patch touches are compiled, and in place of
                                  linking each name of ours that one of them
                                  uses must be defined by one of them

patches/checkpatch-accepted has what checkpatch may say, with reasons. 'build'
goes on where it stopped when the export is still the same: the commits are in
$BUILD/check-export/qemu. A file of ours that is there and not built yet is
compiled by itself, with the flags of its folder's stub.
"""
import fnmatch
import glob
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import export
import series
import topics

TOP = os.path.join(series.BUILD, "check-export")
TREE = os.path.join(TOP, "qemu")
OBJ = os.path.join(TOP, "obj")
JOBS = os.environ.get("JOBS", str(os.cpu_count()))
TARGETS = ["qemu-system-x86_64", "hw/psp/libpsp.a"]


def mails():
    found = sorted(glob.glob(os.path.join(export.OUT, "[0-9]*.patch")))[1:]
    if not found:
        series.die("there is no export; run 'make export' first.")
    return found


# --- style --------------------------------------------------------------------

def accepted():
    pairs = []
    for line in topics.text_of("patches/checkpatch-accepted").splitlines():
        if line and not line.startswith("#"):
            pairs.append(line.split(" ", 1))
    return pairs


def complaints(mail):
    """What checkpatch says of a mail: pairs of a file and a message."""
    script = os.path.join(series.TREE, "scripts", "checkpatch.pl")
    done = subprocess.run(["perl", script, "--no-tree", mail], text=True,
                          capture_output=True, errors="replace", check=False)
    for block in done.stdout.split("\n\n"):
        said = re.search(r"^(?:ERROR|WARNING): (.*)", block, re.M)
        if said:
            where = re.search(r"new file '([^']+)'", said.group(1)) or \
                re.search(r"FILE: ([^:\s]+)", block)
            yield where.group(1) if where else "", said.group(1)


def style():
    rules, used, bad = accepted(), set(), 0
    with ThreadPoolExecutor(int(JOBS)) as pool:
        results = list(pool.map(lambda mail: list(complaints(mail)), mails()))
    for mail, said in zip(mails(), results):
        name = os.path.basename(mail)
        for path, words in said:
            fits = [index for index, (files, regex) in enumerate(rules)
                    if fnmatch.fnmatch(path, files) and re.search(regex, words)]
            used.update(fits)
            if not fits:
                print(f"not ok {name}: {path}: {words}")
                bad += 1
        with open(mail, encoding="utf-8", errors="replace") as file:
            body = file.read().partition("\n\n")[2].partition("\n---\n")[0]
        if "Signed-off-by: " not in body or not body.partition("\nSigned-off-by: ")[0].strip():
            print(f"not ok {name}: no body or no sign-off")
            bad += 1
    for index, (files, regex) in enumerate(rules):
        if index not in used:
            print(f"note: patches/checkpatch-accepted: nothing needs "
                  f"'{files} {regex}'")
    print(f"{'not ok' if bad else 'ok'} {len(results)} mails, "
          f"{sum(map(len, results))} remarks of checkpatch, "
          f"{bad} not accepted")
    return bad


# --- build --------------------------------------------------------------------

def git(*words, check=True):
    done = subprocess.run(
        ["git", *export.QUIET, *words], cwd=TREE, text=True,
        capture_output=True, check=False,
        env={**os.environ, **export.identity(), "GIT_CONFIG_NOSYSTEM": "1",
             "GIT_CONFIG_GLOBAL": "/dev/null"})
    if check and done.returncode:
        series.die(f"git {words[0]}: {(done.stdout + done.stderr)[:400]}")
    return done


def logged(name, command, cwd):
    os.makedirs(os.path.join(TOP, "logs"), exist_ok=True)
    log = os.path.join(TOP, "logs", name + ".log")
    env = {**os.environ, "CCACHE_BASEDIR": TOP, "CCACHE_NOHASHDIR": "1"}
    site = os.path.join(series.BUILD, "meson/usr/lib/python3/dist-packages")
    if os.path.isdir(site):
        env["PYTHONPATH"] = site
    with open(log, "w", encoding="utf-8") as out:
        done = subprocess.run(command, cwd=cwd, stdout=out, env=env,
                              stderr=subprocess.STDOUT, check=False,
                              stdin=subprocess.DEVNULL)
    with open(log, encoding="utf-8", errors="replace") as file:
        return done.returncode == 0, file.read()


def prepare():
    """A git repository of the pristine base, configured as 'make build' is."""
    key = hashlib.sha256()
    for mail in mails():
        with open(mail, "rb") as file:
            key.update(file.read())
    state = os.path.join(TOP, "export")
    if not os.path.exists(os.path.join(TREE, ".git")):
        shutil.rmtree(TREE, ignore_errors=True)
        shutil.copytree(series.base_tree(), TREE, symlinks=True)
        git("init", "-q", ".")
        git("add", "-A", "-f", ".")
        git("commit", "-q", "-m", "base")
        git("tag", "base")
    if series.read(state) != key.hexdigest().encode():
        git("am", "--abort", check=False)
        git("reset", "-q", "--hard", same_part())
        series.write(state, key.hexdigest().encode())
    # Meson's last file: a configure that was interrupted lacks it.
    if not os.path.exists(os.path.join(OBJ, "compile_commands.json")):
        with open(os.path.join(series.OBJ, ".overlay-configured"),
                  encoding="utf-8") as file:
            words = file.read().splitlines()[:-1]
        os.makedirs(OBJ, exist_ok=True)
        if not logged("configure", ["../qemu/configure", *words], OBJ)[0]:
            series.die(f"configure failed; {TOP}/logs/configure.log")


def same_part():
    """The last commit that is there already and is as the export has it."""
    there = git("rev-list", "--reverse", "base..HEAD").stdout.split()
    last = "base"
    for commit, mail in zip(there, mails()):
        with open(mail, encoding="utf-8", errors="surrogateescape") as file:
            wanted = file.read()
        have = git("format-patch", "--stdout", "-1", "--no-signature",
                   "--zero-commit", commit).stdout
        if diff_of(have) != diff_of(wanted):
            break
        last = commit
    return last


def diff_of(mail):
    return re.sub(r"^index .*$", "", mail.partition("\n---\n")[2], flags=re.M)


def warnings(said):
    """Lines of a build that blame a file of ours."""
    known = topics.overlay_files()
    return [line for line in said.splitlines()
            if re.search(r": (warning|error):", line)
            and any(path in line for path in known)]


def not_built(database):
    """Files of ours with code that are there and that no target has."""
    built = {os.path.normpath(os.path.join(OBJ, entry["file"]))
             for entry in database}
    for path in topics.overlay_files():
        whole = os.path.join(TREE, path)
        if path.endswith(".c") and os.path.exists(whole) and \
                path.startswith(("migration/", "target/", "accel/")) and \
                whole not in built:
            yield path


def alone(database, path):
    """Compile @path as the stub of its part is, to nothing."""
    stub = "migration/sev/stub.c" if path.startswith("migration/") \
        else "target/i386/sev/tcg/stub.c"
    whole = os.path.join(TREE, stub)
    for entry in database:
        if os.path.normpath(os.path.join(OBJ, entry["file"])) == whole:
            words = shlex.split(entry["command"])
            words = words[:words.index("-o")] + words[words.index("-o") + 2:]
            words = [os.path.join("../qemu", path)
                     if word.endswith(stub) else word for word in words
                     if word != "ccache"]
            return subprocess.run([*words[:-1], "-fsyntax-only", words[-1]],
                                  cwd=OBJ, text=True, capture_output=True,
                                  check=False)
    return None


def objects(database):
    """What is compiled from files of ours, and from files that are patched."""
    wanted = set(topics.overlay_files()) | set(series.all_files(series.series()))
    for entry in database:
        source = os.path.normpath(os.path.join(OBJ, entry["file"]))
        generated = re.search(r"(?:commands|types|visit|marshal)-sev-overlay",
                              entry["file"])
        if os.path.relpath(source, TREE) in wanted or generated:
            yield entry["output"]


def unlinked(database):
    """Names of ours that these objects use and that none defines."""
    defined, used = set(), {}
    # A static library may lack what nobody asks it for yet.
    chip = all(os.path.exists(os.path.join(TREE, path))
               for path in topics.overlay_files() if path.startswith("hw/psp/"))
    for output in objects(database):
        if output.startswith("tests/") or \
                output.startswith("hw/psp/") and not chip:
            continue
        done = subprocess.run(["nm", "-f", "posix", os.path.join(OBJ, output)],
                              capture_output=True, text=True, check=False)
        for line in done.stdout.splitlines():
            name, kind = line.split()[:2]
            if kind == "U":
                used[name] = output
            else:
                defined.add(name)
    return [f"{name} is used by {output} and not defined"
            for name, output in sorted(used.items()) if name not in defined
            and re.match(r"(qmp_|q?)(x_)?(query_)?(sev|psp)_|helper_sev_"
                         r"|confidential_guest_rw", name)]


def compile_commands():
    with open(os.path.join(OBJ, "compile_commands.json"),
              encoding="utf-8") as file:
        return json.load(file)


def build_one(name, quick):
    """Build what is checked out; a list of what is wrong."""
    worked, said = logged(name, ["nice", "ninja", "-C", OBJ, "-j", JOBS,
                                 "build.ninja"], OBJ)
    if worked:
        _, listing = logged("targets", ["ninja", "-t", "targets", "all"], OBJ)
        targets = [target for target in TARGETS
                   if f"\n{target}:" in "\n" + listing]
        if quick:
            targets = list(objects(compile_commands()))
        else:
            targets += re.findall(
                r"^(tests/(?:unit|qtest)/sev/[\w-]+): \w*_LINKER", listing, re.M)
        worked, said = logged(name, ["nice", "ninja", "-C", OBJ, "-j", JOBS,
                                     *targets], OBJ)
    problems = warnings(said)
    if not worked:
        problems.append((re.search(r"^.*(?:error:|undefined reference|"
                                   r"multiple definition|ERROR:).*$", said, re.M)
                         or re.search(r"^.*$", said)).group(0))
        return problems
    database = compile_commands()
    if quick:
        problems += unlinked(database)
    left = list(not_built(database))
    with ThreadPoolExecutor(int(JOBS)) as pool:
        for done in pool.map(lambda path: alone(database, path), left):
            if done and (done.returncode or done.stderr.strip()):
                problems += [line for line in done.stderr.splitlines()
                             if re.search(r": (warning|error|fatal error):", line)][:3]
    return problems


def build(quick=False):
    prepare()
    done = len(git("rev-list", "base..HEAD").stdout.split())
    state = os.path.join(TOP, "compiled" if quick else "built")
    tested = series.read(state) or b""
    if done and git("rev-parse", "HEAD").stdout.strip().encode() != tested:
        done -= 1
        git("reset", "-q", "--hard", "HEAD~1")
    every = mails()
    for mail in every[done:]:
        began, name = time.monotonic(), os.path.basename(mail)
        if git("am", "-q", "--keep-cr", mail, check=False).returncode:
            git("am", "--abort", check=False)
            print(f"not ok {name}: 'git am' refuses it")
            return 1
        problems = build_one(name.removesuffix(".patch"), quick)
        if problems:
            print(f"not ok {name}: " + "\n       ".join(problems[:5]))
            return 1
        series.write(state, git("rev-parse", "HEAD").stdout.strip().encode())
        print(f"ok {name} ({time.monotonic() - began:.0f} s)", flush=True)
    return end(len(every), quick)


def end(count, quick):
    """The last commit is the tree that 'make build' builds."""
    for path in series.all_files(series.series()) + topics.overlay_files():
        mine = series.read(os.path.join(TREE, path))
        theirs = series.read(os.path.join(topics.ROOT, path)) \
            if os.path.exists(os.path.join(topics.ROOT, path)) and \
            path in topics.overlay_files() else \
            series.read(os.path.join(series.APPLIED, path))
        if mine != theirs:
            print(f"not ok {path} is not what the overlay has")
            return 1
    print(f"ok {count} commits, each applied with 'git am' and "
          + ("compiled" if quick else "built"))
    return 0


if __name__ == "__main__":
    if sys.argv[1:] not in (["style"], ["quick"], ["build"]):
        sys.exit(__doc__)
    sys.exit(1 if (style() if sys.argv[1] == "style"
                   else build(sys.argv[1] == "quick")) else 0)
