#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The message of a commit: what CONTRIBUTING.md asks of it.

usage: message.py FILE          as git's commit-msg hook calls it
       message.py --range A..B  the commits of a range, merges left out
"""
import re
import subprocess
import sys

SUBJECT = re.compile(r"[\w./{}, -]+: \S")
WIDTH = 80


def faults(message):
    """What is wrong with it, one sentence each."""
    lines = [line for line in message.split("\n") if not line.startswith("#")]
    subject = lines[0] if lines else ""
    body = [line for line in lines[1:]
            if line.strip() and not re.match(r"[A-Z][\w-]+: ", line)]
    if subject.startswith("Merge "):
        return
    if not SUBJECT.match(subject):
        yield "the subject begins with the part that is changed and a colon"
    if len(subject) > WIDTH:
        yield f"the subject has {len(subject)} columns, {WIDTH} is the most"
    if not body:
        yield "there is no body; it says why"
    if not re.search(r"^Signed-off-by: .+ <.+>$", message, re.M):
        yield "it is not signed off (git commit -s)"


def messages(arguments):
    if arguments[0] != "--range":
        with open(arguments[0], encoding="utf-8") as file:
            yield "the message", file.read()
        return
    listed = subprocess.run(
        ["git", "log", "--no-merges", "--format=%h%x01%B%x00", arguments[1]],
        capture_output=True, text=True, check=True).stdout
    for entry in filter(str.strip, listed.split("\0")):
        name, _, text = entry.strip("\n").partition("\1")
        yield name, text


def main(arguments):
    bad = 0
    for name, text in messages(arguments):
        for fault in faults(text):
            print(f"{name}: {fault}")
            bad = 1
    return bad


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1:]))
