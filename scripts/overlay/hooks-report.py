#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What the series does to the base: patch, file, function, lines.

Fails when a patch has more than one hook (one upstream file, one function,
ten added lines) and no 'Budget:' field that says why; when a patch adds a
file; or when the series has grown beyond patches/BUDGET. That file holds the
totals last agreed on; who raises them says so in patches/HISTORY.

usage: hooks-report.py [--quiet] [--raise]
"""
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PATCHES = os.path.join(ROOT, "patches")
LINES = 10


def names():
    with open(os.path.join(PATCHES, "series"), encoding="utf-8") as file:
        return [line.split("#")[0].strip() for line in file
                if line.split("#")[0].strip()]


class Patch:
    def __init__(self, name):
        self.name = name
        with open(os.path.join(PATCHES, name), encoding="utf-8") as file:
            text = file.read()
        start = re.search(r"^(diff --git |Index: |--- )", text, re.M)
        self.header = text[:start.start()] if start else text
        diff = text[start.start():] if start else ""
        self.files = re.findall(r"^\+\+\+ [^/\s]+/(\S+)", diff, re.M)
        self.new = len(re.findall(r"^--- /dev/null", diff, re.M))
        body = [line for line in diff.splitlines()
                if not line.startswith(("+++", "---"))]
        self.added = sum(line.startswith("+") for line in body)
        self.removed = sum(line.startswith("-") for line in body)
        functions = re.findall(r"^@@ .*? @@ ?(.*)$", diff, re.M)
        self.functions = list(dict.fromkeys(f for f in functions if f))

    def field(self, name):
        match = re.search(rf"^{name}: *(.+)$", self.header, re.M)
        return match.group(1) if match else ""

    def hook(self):
        """What rings: the Hook field, or the function around the hunk."""
        function = re.search(r"(\w+)\s*\(", self.functions[0]) \
            if self.functions else None
        return self.field("Hook") or (function.group(1) + "()"
                                      if function else "-")

    def problems(self):
        if self.new:
            yield (f"{self.name} adds a file; new files live in the overlay, "
                   "patches only ring doorbells.")
        if self.field("Budget"):
            return
        if len(self.files) > 1:
            yield (f"{self.name} touches {len(self.files)} upstream files; "
                   "one hook per patch, split it or say why in 'Budget:'.")
        if self.added > LINES:
            yield (f"{self.name} adds {self.added} lines, the budget of a "
                   f"hook is {LINES}; move logic into the overlay or say why "
                   "in 'Budget:'.")


def agreed():
    try:
        with open(os.path.join(PATCHES, "BUDGET"), encoding="utf-8") as file:
            return dict((key, int(value)) for key, value in
                        re.findall(r"^(\w+) (\d+)$", file.read(), re.M))
    except FileNotFoundError:
        return {}


HISTORY = "patches/HISTORY"


def history_tells():
    """True when HISTORY differs where BUDGET does: in the work tree, or in
    the last commit that touched the budget."""
    def git(*words):
        return subprocess.run(["git", "-C", ROOT, *words],
                              capture_output=True, text=True).stdout
    if git("status", "--porcelain", "--", "patches/BUDGET"):
        return bool(git("status", "--porcelain", "--", HISTORY))
    last = git("log", "-1", "--format=%H", "--", "patches/BUDGET").strip()
    return not last or HISTORY in git("show", "--name-only",
                                        "--format=", last).split("\n")


def table(patches):
    rows = [("patch", "file", "hook", "+", "-")]
    for patch in patches:
        rows.append((patch.name.removesuffix(".patch")[:34],
                     " ".join(patch.files), patch.hook()[:44],
                     str(patch.added), str(patch.removed)))
    width = [max(len(row[i]) for row in rows) for i in range(5)]
    for row in rows:
        print("  ".join(cell.rjust(width[i]) if i > 2 else cell.ljust(width[i])
                        for i, cell in enumerate(row)).rstrip())


def main(arguments):
    patches = [Patch(name) for name in names()]
    files = {file for patch in patches for file in patch.files}
    total = {"patches": len(patches), "files": len(files),
             "added": sum(patch.added for patch in patches),
             "removed": sum(patch.removed for patch in patches)}
    if "--quiet" not in arguments:
        table(patches)
        print()
    budget = agreed()
    print(", ".join(f"{count} {what}" for what, count in total.items())
          + "" .join(f" (agreed: {budget['added']} added)"
                     for _ in [0] if "added" in budget))
    problems = [text for patch in patches for text in patch.problems()]
    grown = [key for key in ("patches", "added")
             if total[key] > budget.get(key, 0)]
    if "--raise" in arguments:
        with open(os.path.join(PATCHES, "BUDGET"), "w", encoding="utf-8") as file:
            file.write("# Totals of patches/series last agreed on; "
                       "patches/HISTORY says what for.\n")
            file.writelines(f"{k} {v}\n" for k, v in total.items())
    elif grown:
        problems.append(f"the series has grown beyond patches/BUDGET "
                        f"({', '.join(grown)}); shrink it, or run "
                        "'make hooks-report RAISE=1' and add a line to "
                        "patches/HISTORY that says what the new hooks are for.")
    if not grown and not history_tells():
        problems.append("patches/BUDGET was raised without a line in "
                        "patches/HISTORY; add one that says what for.")
    for problem in problems:
        print("error: " + problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
