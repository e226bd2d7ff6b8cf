# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules about finding one's way: names in documents, comments and lists are
names of files that exist, and every file is named where people look for it.
"""
import fnmatch
import hashlib
import os
import re
import subprocess
import sys

sys.path.append(os.path.join(os.path.dirname(__file__), "../docs"))
import blocks as marked  # noqa: E402

OURS = ("hw/psp/", "target/i386/sev/", "migration/sev/")
NAME = re.compile(r"(?<![\w/.*<-])((?:[\w-]+/)*[\w-]+\.(?:c\.inc|[ch]))(?![\w.])")
COMMENT = re.compile(r"/\*.*?\*/", re.S)


def findable(repo):
    """Every .c of the overlay is named in ARCHITECTURE.md or docs/devel."""
    told = repo.text("ARCHITECTURE.md") + "".join(
        repo.text(path) for path in repo.files
        if path.startswith("docs/devel/"))
    # `a.c`, `a.[ch]`, `{a,b}.c` and `a-*.c` all name files.
    told = told.replace(".[ch]", ".c")
    for braces, suffix in re.findall(r"([\w/-]*\{[\w,-]+\}[\w-]*)(\.c)\b", told):
        before, middle, after = re.match(r"(.*)\{(.*)\}(.*)", braces).groups()
        told += "".join(f" {before}{one}{after}{suffix}"
                        for one in middle.split(","))
    patterns = re.findall(r"[\w/*-]+\.c(?:\.inc)?", told)
    for path in repo.files:
        if path.startswith(OURS) and path.endswith((".c", ".c.inc")):
            name = path.rsplit("/", 1)[1]
            if not any(fnmatch.fnmatch(name, pattern.rsplit("/", 1)[-1])
                       for pattern in patterns):
                yield f"{path}: no document says what it is for"


def comments(repo):
    """A file that a comment of the overlay names exists."""
    ours = {path.rsplit("/", 1)[-1] for path in repo.files}
    upstream = set(repo.text("scripts/lint/upstream-files.list").split())
    for path, text in repo.sources(*OURS):
        for comment in COMMENT.findall(text):
            for name in NAME.findall(comment):
                last = name.rsplit("/", 1)[-1]
                if last not in ours and last not in upstream:
                    yield f"{path}: its comments name {name}, which is not there"


def documents(repo):
    """A file that ARCHITECTURE.md or docs/devel names exists."""
    ours = {path.rsplit("/", 1)[-1] for path in repo.files}
    upstream = set(repo.text("scripts/lint/upstream-files.list").split())
    for path in repo.files:
        if path != "ARCHITECTURE.md" and not path.startswith("docs/devel/"):
            continue
        if path == "docs/devel/rebase.md":      # names files of another QEMU
            continue
        for span in re.findall(r"`([^`\n]+)`", repo.text(path)):
            for name in NAME.findall(span.replace(".[ch]", ".c")):
                last = name.rsplit("/", 1)[-1]
                if last not in ours and last not in upstream:
                    yield f"{path}: names {name}, which is not there"


def sections(repo):
    """The sections of trace-events name the files that fire their events."""
    for path in repo.files:
        if not path.startswith(OURS) or not path.endswith("/trace-events"):
            continue
        folder = path.rsplit("/", 1)[0] + "/"
        files = []
        for line in repo.text(path).split("\n"):
            if line.startswith("# ") and re.search(r"\.c\b", line):
                files = re.findall(r"[\w./-]+\.c(?:\.inc)?", line)
                for name in files:
                    if folder + name not in repo.files:
                        yield f"{path}: section of {name}, which is not there"
            event = re.match(r"(\w+)\(", line)
            if event and not any(
                    f"trace_{event[1]}(" in (repo.text(folder + name) or "")
                    for name in files if folder + name in repo.files):
                yield f"{path}: {event[1]} is not fired by {', '.join(files)}"


def maintained(repo):
    """Every file of the repository is somebody's: MAINTAINERS."""
    patterns = re.findall(r"^F: (\S+)$", repo.text("MAINTAINERS"), re.M)
    for path in repo.files:
        if not any(path.startswith(pattern) if pattern.endswith("/") else
                   fnmatch.fnmatch(path, pattern) for pattern in patterns):
            yield f"{path}: no section of MAINTAINERS has it"


def pictures(repo):
    """A picture is drawn of the source beside it: docs/images/render.sh."""
    for path in repo.files:
        if path.endswith(".dot"):
            total = hashlib.sha256(repo.text(path).encode()).hexdigest()
            if total not in (repo.text(path[:-4] + ".svg") or ""):
                yield f"{path}: its .svg is of another source"


def commands(repo):
    """A command of a document is shell that parses, and is run or says why not."""
    for path in repo.files:
        if path != "README.md" and not (path.startswith("docs/") and
                                        path.endswith((".md", ".rst"))):
            continue
        text = repo.text(path)
        yield from marked.complaints(path, text)
        for block in marked.blocks(path, text):
            if block.language == "sh":
                done = subprocess.run(
                    ["bash", "-n"], input="\n".join(block.lines) + "\n",
                    capture_output=True, text=True)
                if done.returncode:
                    yield (f"{marked.where(block)}: "
                           f"{done.stderr.strip().splitlines()[0]}")


RULES = [findable, comments, documents, sections, maintained,
         pictures, commands]
