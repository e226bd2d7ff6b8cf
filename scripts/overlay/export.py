#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The whole overlay as one upstream-style series, cut by patches/topics.

Every commit has a subject, a body and a sign-off, and builds. The mails are
in $BUILD/export and apply to the base with 'git am'; check-export.py does
that, and builds each.

usage: export.py
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap

import series
import topics

OUT = os.path.join(series.BUILD, "export")
QUIET = ["-c", "core.autocrlf=false", "-c", "commit.gpgsign=false",
         "-c", "gc.auto=0", "-c", "init.defaultBranch=export"]


def identity():
    """Who commits, and when: the same for the same commit of the overlay."""
    def ours(*words):
        return subprocess.run(["git", "-C", topics.ROOT, *words], text=True,
                              capture_output=True, check=False).stdout.strip()
    who = {}
    for role in ("AUTHOR", "COMMITTER"):
        who[f"GIT_{role}_NAME"] = ours("config", "user.name") or "sev-clone"
        who[f"GIT_{role}_EMAIL"] = ours("config", "user.email")
        who[f"GIT_{role}_DATE"] = ours("log", "-1", "--format=%cI")
    return who


class Repository:
    """A scratch git repository with the base's side of what is patched."""

    def __init__(self, top):
        self.top = top
        self.env = {**os.environ, **identity(), "GIT_CONFIG_NOSYSTEM": "1",
                    "GIT_CONFIG_GLOBAL": "/dev/null"}
        self.git("init", "-q", ".")
        for path in series.all_files(series.series()):
            series.write(os.path.join(top, path), series.pristine(path))
        self.commit("base", "--allow-empty")
        self.base = self.git("rev-parse", "HEAD").strip()

    def git(self, *words, text=None):
        done = subprocess.run(["git", *QUIET, *words], cwd=self.top, text=True,
                              env=self.env, input=text, capture_output=True,
                              check=False)
        if done.returncode:
            series.die(f"git {words[0]}: {done.stderr.strip()[:300]}")
        return done.stdout

    def commit(self, message, *words):
        self.git("add", "-A", ".")
        self.git("commit", "-q", "-s", "-F", "-", *words, text=message)

    def push(self, name):
        done = subprocess.run(
            ["patch", "-s", "-p1", "-F0", "--no-backup-if-mismatch", "-i",
             os.path.join(series.PATCHES, name)], cwd=self.top, text=True,
            capture_output=True, check=False)
        if done.returncode:
            series.die(f"patches/{name} does not apply; run 'make patch' first.")


def words_of(name):
    """A patch's subject without its number, and what its text says."""
    header = series.split_patch(name)[0]
    subject = re.search(r"^Subject: *(?:\d{4} +)?(.*)$", header, re.M).group(1)
    return subject, header.partition("\n\n")[2].strip("\n")


def wrapped(text, indent=""):
    """@text for a mail; lines that are indented or a list stay as they are."""
    done = []
    for block in re.split(r"\n{2,}", text):
        if re.search(r"^[ \t*-]", block, re.M):
            done.append(textwrap.indent(block, indent))
        else:
            done.append(textwrap.fill(" ".join(block.split()), 72,
                                      initial_indent=indent,
                                      subsequent_indent=indent,
                                      break_on_hyphens=False))
    return "\n\n".join(done)


def message(section):
    """Subject and body of a section's commit."""
    body = [wrapped(textwrap.dedent(section.text))] if section.text else []
    for name in section.patches:
        subject, text = words_of(name)
        body.append(f"* {subject}\n" + wrapped(text, "  "))
    return "\n\n".join([section.subject, *body]) + "\n"


def add_files(repository, section, present, known):
    """Copy what the section has; bring every meson.build to what is there."""
    for path in section.files:
        target = os.path.join(repository.top, path)
        if os.path.lexists(target):
            series.die(f"{path} is in the overlay and in the base.")
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copy(os.path.join(topics.ROOT, path), target)
    present.update(section.files)
    for path in present:
        if os.path.basename(path) == "meson.build":
            series.write(os.path.join(repository.top, path),
                         topics.Staged(path, present, known).result().encode())


def build(repository, sections):
    present, known = set(), set(topics.overlay_files())
    for section in sections:
        add_files(repository, section, present, known)
        for name in section.patches:
            repository.push(name)
            if section.each:
                subject, text = words_of(name)
                repository.commit(f"{subject}\n\n{wrapped(text)}\n")
        if not section.each:
            repository.commit(message(section))


def cover(sections, count):
    """The text of the mail that comes first."""
    lines = ["SEV guests: migration, templates, and emulation under TCG", "",
             wrapped(topics.text_of("patches/cover")), ""]
    at = 1
    for section in sections:
        subjects = [words_of(name)[0] for name in section.patches] \
            if section.each else [section.subject]
        for subject in subjects:
            lines.append(f"{at:>3}  {section.topic:<15} {subject}")
            at += 1
    lines += ["", f"The base is {base_name()}; {count} mails."]
    return "\n".join(lines) + "\n"


def base_name():
    with open(os.path.join(series.TREE, ".overlay-base"),
              encoding="utf-8") as file:
        return file.read().splitlines()[1]


def main():
    sections, problems = topics.load()
    if problems:
        series.die(problems[0] + ".")
    shutil.rmtree(OUT, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=series.BUILD, prefix="export-") as top:
        repository = Repository(top)
        build(repository, sections)
        count = int(repository.git("rev-list", "--count",
                                   repository.base + "..HEAD"))
        repository.git("config", "branch.export.description",
                       cover(sections, count))
        repository.git("format-patch", "-q", "--zero-commit", "--no-signature",
                       "--cover-letter", "--cover-from-description=subject",
                       "-o", OUT, repository.base)
    print(f"{count} mails and a cover letter in {OUT}, "
          f"to apply to {base_name()}")


if __name__ == "__main__":
    try:
        main()
    except OSError as problem:
        series.die(f"{problem.strerror} ({problem.filename}); free some space "
                   "or choose another disk with 'make BUILD=DIR ...'.")
