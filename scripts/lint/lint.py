#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The house rules that a machine can check, each one a sentence.

usage: lint.py [--list] [RULE...]

Prints one line per rule, 'ok' or 'not ok', then each place and what is wanted
there. Looks at what git tracks and what it would add.
"""
import ast
import os
import re
import shutil
import subprocess
import sys

import doors

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LISTS = os.path.join(ROOT, "scripts", "lint")
RULES = []

SOURCE = (".c", ".h", ".inc", ".py", ".sh")
OURS = ("hw/psp/", "target/i386/sev/", "migration/sev/")


def rule(function):
    RULES.append(function)
    return function


class Repo:
    """File names and their text, read once."""

    def __init__(self):
        listed = subprocess.run(
            ["git", "-C", ROOT, "ls-files", "-co", "--exclude-standard"],
            capture_output=True, text=True)
        self.files = sorted(
            path for path in set(listed.stdout.split("\n"))
            if path and os.path.isfile(os.path.join(ROOT, path)))
        self.cache = {}

    def text(self, path):
        """The text of a file, or None when it is not text."""
        if path not in self.cache:
            with open(os.path.join(ROOT, path), "rb") as file:
                data = file.read()
            try:
                text = None if b"\0" in data else data.decode()
            except UnicodeDecodeError:
                text = None
            self.cache[path] = text
        return self.cache[path]

    def sources(self, *folders):
        for path in self.files:
            if folders and not path.startswith(folders):
                continue
            text = self.text(path)
            if text is None or path.startswith(("tests/data/", "patches/")):
                continue
            if path.endswith(SOURCE) or text.startswith("#!"):
                yield path, text

    def grep(self, pattern, *folders, files=None):
        """Places where pattern is found in sources."""
        regex = re.compile(pattern)
        for path, text in files or self.sources(*folders):
            if regex.search(text):
                for number, line in enumerate(text.split("\n"), 1):
                    if regex.search(line):
                        yield path, number, line


def counted(name):
    """A list file: path and how often the thing is allowed there."""
    allowed = {}
    with open(os.path.join(LISTS, name), encoding="utf-8") as file:
        for line in file:
            words = line.split("#")[0].split()
            if len(words) == 2:
                allowed[words[0]] = int(words[1])
    return allowed


@rule
def spdx(repo):
    """Every source file names its licence in an SPDX line at the top."""
    for path, text in repo.sources():
        head = text.splitlines(True)[:40]
        if len(head) > 5 and "SPDX-License-Identifier:" not in "".join(head):
            yield f"{path}: add an SPDX-License-Identifier line"


@rule
def whitespace(repo):
    """No tabs (but in makefiles), no trailing space, a newline at the end."""
    for path, text in repo.sources():
        if not path.endswith(("Makefile", "debian/rules")):
            for _, number, _ in repo.grep(r"\t", files=[(path, text)]):
                yield f"{path}:{number}: a tab; use spaces"
        for _, number, _ in repo.grep(r"[ \t]$", files=[(path, text)]):
            yield f"{path}:{number}: trailing space"
        if text and not text.endswith("\n"):
            yield f"{path}: no newline at the end"


@rule
def width(repo):
    """Lines of C are at most 90 columns; 80 is the aim."""
    for path, text in repo.sources():
        if path.endswith((".c", ".h", ".inc")):
            for number, line in enumerate(text.split("\n"), 1):
                if len(line) > 90:
                    yield f"{path}:{number}: {len(line)} columns"


@rule
def length(repo):
    """A file of more than 400 lines is asked whether it is one thing."""
    for path, text in repo.sources():
        lines = text.count("\n")
        if lines > 400 and not path.startswith("tests/"):
            yield f"warning: {path} has {lines} lines; is it one thing?"


@rule
def size(repo):
    """No file is larger than 256 KiB; big data is made, not kept."""
    for path in repo.files:
        kib = os.path.getsize(os.path.join(ROOT, path)) // 1024
        if kib > 256:
            yield f"{path}: {kib} KiB"


@rule
def boundaries(repo):
    """The chip includes nothing of QEMU, migration nothing of the chip."""
    qemu = (r'#include "(qemu|qapi|qom|exec|hw|system|migration|crypto|target'
            r'|accel|block|io|trace|monitor)/')
    for path, number, line in repo.grep(qemu, "hw/psp/"):
        if path.endswith((".c", ".h", ".inc")):
            yield f"{path}:{number}: the chip may not include {line[9:]}"
    for path, number, line in repo.grep(
            r'#include [<"](hw/psp/|psp[-.]|nettle/|gcrypt|gnutls/)',
            "migration/sev/"):
        yield f"{path}:{number}: migration may not include {line[9:]}"
    for path, number, line in repo.grep(
            r"#include <(nettle/|gnutls/|gcrypt)", "hw/", "target/", "migration/"):
        if not re.match(r"hw/psp/crypto-\w+\.c$", path):
            yield (f"{path}:{number}: only hw/psp/crypto-*.c may include "
                   f"{line[9:]}")


@rule
def compare(repo):
    """Secrets are compared in constant time; memcmp is counted."""
    allowed = counted("memcmp.list")
    found = {}
    for path, _, _ in repo.grep(r"\b(memcmp|bcmp|strcmp)\s*\(.*", *OURS):
        found[path] = found.get(path, 0) + 1
    for path, count in found.items():
        if count > allowed.get(path, 0):
            yield (f"{path}: {count} comparisons, {allowed.get(path, 0)} "
                   "agreed; use the constant-time one, or count it in "
                   "scripts/lint/memcmp.list when nothing there is secret")


@rule
def traces(repo):
    """No trace event prints a key, a seed or another secret."""
    secret = re.compile(r"(^|_)(keys?|tek|tik|vek|kek|kik|seed|secret"
                        r"|plain|plaintext)(_|$)")
    for path in repo.files:
        if not path.endswith("trace-events") or not repo.text(path):
            continue
        for number, line in enumerate(repo.text(path).split("\n"), 1):
            match = re.match(r"(\w+)\((.*?)\)", line)
            if not match:
                continue
            for argument in match.group(2).split(","):
                name = re.findall(r"\w+", argument)[-1:]
                if name and secret.search(name[0]):
                    yield f"{path}:{number}: {match.group(1)} prints '{name[0]}'"


@rule
def paths(repo):
    """No path of somebody's machine is written down."""
    for path in repo.files:
        text = repo.text(path)
        if text is None:
            continue
        for number, line in enumerate(text.split("\n"), 1):
            if re.search(r"(?<!\w\x22)(?<![\w.$}/])/(home|root|work|Users)/\w", line):
                yield f"{path}:{number}: {line.strip()[:60]}"


@rule
def hosts(repo):
    """No package archive is named; the machine's own is used."""
    names = (r"(?i)\b((deb|ftp\.?\w*|security|snapshot|archive|cdn-fastly)"
             r"\.(debian|ubuntu)\.\w|pypi\.\w|pythonhosted\.|npmjs\.\w"
             r"|crates\.io)")
    for path in repo.files:
        text = repo.text(path)
        if text is None:
            continue
        for number, line in enumerate(text.split("\n"), 1):
            if re.search(names, line):
                yield f"{path}:{number}: {line.strip()[:60]}"


@rule
def words(repo):
    """Functions say what they do: never do_, handle_ or process_."""
    pattern = r"^(static )?[\w *]+\b(\w+_)?(do|handle|process)_\w+\("
    for path, number, line in repo.grep(pattern, *OURS):
        if path.endswith((".c", ".h")):
            yield f"{path}:{number}: {line.strip()[:60]}"


def error_texts(text):
    """(line, function, literals) of each error that is set."""
    call = re.compile(r'(error_setg\w*|error_prepend|error_append_hint)\s*\('
                      r'((?:[^()"]|"(?:\\.|[^"\\])*"|\([^()]*\))*)\)')
    for found in call.finditer(text):
        said = re.sub(r'"\s*"', "", found[2])
        literals = re.findall(r'"((?:\\.|[^"\\])*)"', said)
        if literals:
            yield (text[:found.start()].count("\n") + 1, found[1], literals)


@rule
def errors(repo):
    """An error is one phrase with a prefix: docs/devel/sev-migration.rst."""
    for path, text in repo.sources("target/i386/sev/", "migration/sev/"):
        for number, function, said in error_texts(text):
            wrong = None
            if function == "error_append_hint":
                wrong = not said[-1].endswith("\\n") and "no newline at its end"
            elif function == "error_prepend":
                wrong = (not any(part.endswith(": ") for part in said) and
                         "it does not end in ': '")
            elif re.match(r"[A-Z][a-z]", said[0]):
                wrong = "no prefix"
            elif re.search(r"[.?!](\\n)?$", said[0]):
                wrong = "more than a phrase"
            if not wrong and function != "error_append_hint" and any(
                    re.search(r"[.?!] +[A-Z]", part) for part in said):
                wrong = "more than one sentence"
            if wrong:
                yield f"{path}:{number}: {wrong}: {said[0][:50]}"


@rule
def shell(repo):
    """Shell scripts parse, and shellcheck finds no errors or warnings."""
    scripts = [path for path, text in repo.sources()
               if re.match(r"#!.*\b(ba)?sh\b", text)]
    for path in scripts:
        full = os.path.join(ROOT, path)
        done = subprocess.run(["bash", "-n", full], capture_output=True,
                              text=True)
        if done.returncode:
            yield f"{path}: {done.stderr.strip().splitlines()[0]}"
    if scripts and shutil.which("shellcheck"):
        done = subprocess.run(
            ["shellcheck", "-S", "warning", "-f", "gcc", "-e", "SC1091,SC2187",
             *scripts], cwd=ROOT, capture_output=True, text=True)
        yield from done.stdout.splitlines()


@rule
def python(repo):
    """Python files parse."""
    for path, text in repo.sources():
        if path.endswith(".py") or re.match(r"#!.*python", text):
            try:
                ast.parse(text, path)
            except SyntaxError as problem:
                yield f"{path}:{problem.lineno}: {problem.msg}"


FORWARDED = r"^Forwarded: (not-needed$|https://)"
FORWARDED_FIX = r"^Forwarded: (https://|(no|not-needed) \(.+\)$)"
FIELDS = ("Subject", "From", "Forwarded", "Hook", "Why-not-overlay")


@rule
def patches(repo):
    """Every patch is in the series, numbered, explained and free of noise."""
    listed = [line.split("#")[0].strip()
              for line in (repo.text("patches/series") or "").split("\n")]
    listed = [name for name in listed if name]
    present = [path[len("patches/"):] for path in repo.files
               if path.startswith("patches/") and path.endswith(".patch")]
    for name in set(present) - set(listed):
        yield f"patches/{name}: not in patches/series"
    for name in listed:
        text = repo.text("patches/" + name)
        if text is None:
            yield f"patches/series: {name} does not exist"
            continue
        if not re.match(r"0[1-7]\d\d-[a-z0-9.-]+\.patch$", name):
            yield f"patches/{name}: name it NUMBER-words.patch, inside a band"
        head = re.split(r"^(?:diff --git |Index: |--- )", text, 1, re.M)[0]
        for field in FIELDS:
            value = re.search(rf"^{field}: *(\S.*)$", head, re.M)
            if not value:
                yield f"patches/{name}: no '{field}:' field"
            elif re.search(r"\b(REASON|FUNCTION\(\)|CALL)\b", value.group(1)):
                yield f"patches/{name}: fill in '{field}:'"
        if not re.search(r"^From: .+ <\S+@\S+>$", head, re.M):
            yield f"patches/{name}: 'From:' is a name and an <address>"
        if not re.search(FORWARDED_FIX if name.startswith("07") else
                         FORWARDED, head, re.M):
            yield (f"patches/{name}: 'Forwarded:' is not-needed or a URL; of a "
                   "fix a URL, or no or not-needed with a (reason)")
        if re.search(r"\b0[1-7]\d\d\b", head.partition("\n\n")[2]):
            yield (f"patches/{name}: its text names a patch by number, which "
                   "the export does not have; say what it does")
        if re.search(r"^(index [0-9a-f]+\.\.|(---|\+\+\+) \S+\t)", text, re.M):
            yield f"patches/{name}: index lines or time stamps; 'make refresh'"


@rule
def topics(repo):
    """Every file and every patch has its place in the export."""
    del repo
    done = subprocess.run(
        [sys.executable, os.path.join(ROOT, "scripts/overlay/topics.py"),
         "--check"], capture_output=True, text=True)
    yield from (line.removeprefix("error: ")
                for line in done.stderr.splitlines())


@rule
def hooks(repo):
    """One hook per patch, and the total within patches/BUDGET."""
    del repo
    done = subprocess.run(
        [sys.executable, os.path.join(ROOT, "scripts/overlay/hooks-report.py"),
         "--quiet"], capture_output=True, text=True)
    yield from (line.removeprefix("error: ")
                for line in done.stderr.splitlines())


RULES += doors.RULES


def main(arguments):
    rules = [r for r in RULES if not arguments or r.__name__ in arguments]
    if arguments == ["--list"]:
        for each in RULES:
            print(f"{each.__name__:<12} {each.__doc__}")
        return 0
    repo, failed = Repo(), 0
    for each in rules:
        found = list(each(repo))
        errors = [text for text in found if not text.startswith("warning: ")]
        failed += bool(errors)
        print(f"{'not ok' if errors else 'ok'} lint {each.__name__}: "
              f"{each.__doc__}")
        for text in found[:20]:
            print("    " + text)
        if len(found) > 20:
            print(f"    and {len(found) - 20} more")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
