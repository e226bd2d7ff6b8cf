#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Upstream's migration-test in full, on our QEMU and on the unpatched base.

usage: migration-full.py [--base BINARY] [--jobs N] [--filter REGEX] [--kvm]

One test program, two QEMUs; each test runs in a process of its own, so that
one that ends badly ends alone. What fails is run twice more: a busy machine
fails tests that measure time. One line per test with both results; exits 0
when they are the same everywhere. Needs 'make build' and, without
--base, tests/functional/build-base.sh. Logs are in $BUILD/logs/migration-full.
"""
import argparse
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from check import without_kvm

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("BUILD", ROOT / "build"))
OBJ = BUILD / "obj"
LOGS = BUILD / "logs" / "migration-full"
PROGRAM = "tests/qtest/migration-test"
LIMIT = 900             # seconds for one test, on a busy machine
TRIES = 3


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--base", type=Path, metavar="BINARY",
                        default=BUILD / "base/obj/qemu-system-x86_64")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--filter", default="", metavar="REGEX")
    parser.add_argument("--kvm", action="store_true",
                        help="let the tests use KVM, where there is one")
    return parser.parse_args()


def environment(binary):
    return dict(os.environ, QTEST_QEMU_BINARY=str(binary),
                QTEST_QEMU_IMG=str(OBJ / "qemu-img"),
                PYTHON=str(OBJ / "pyvenv/bin/python3"))


def listed(prefix, binary):
    done = subprocess.run([*prefix, PROGRAM, "-l", "--full"], cwd=OBJ,
                          env=environment(binary), capture_output=True,
                          text=True, timeout=LIMIT, check=True)
    return [line for line in done.stdout.splitlines() if line.startswith("/")]


def run_once(command, binary, log):
    """'ok', 'skip' or 'not ok'."""
    with open(log, "a", encoding="utf-8") as out, subprocess.Popen(
            command, cwd=OBJ, env=environment(binary), stdout=out,
            stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            start_new_session=True) as child:
        try:
            child.wait(LIMIT)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            out.write(f"killed after {LIMIT} seconds\n")
    text = Path(log).read_text("utf-8", "replace")
    if child.returncode:
        return "not ok"
    return "skip" if re.search(r"^ok .*# SKIP", text, re.M) else "ok"


def run_test(prefix, which, binary, test):
    """(verdict, tries): a test whose name begins another's runs alone."""
    log = LOGS / f"{which}{test.replace('/', '-')}.log"
    log.unlink(missing_ok=True)
    command = [*prefix, PROGRAM, "--tap", "-k", "--full", "-p", test]
    others = [f"{test}/"]
    for attempt in range(1, TRIES + 1):
        verdict = run_once([*command, "-s", *others], binary, log)
        if verdict != "not ok":
            break
    return verdict, attempt


def main():
    args = arguments()
    ours = OBJ / "qemu-system-x86_64"
    for needed in (ours, args.base):
        if not needed.exists():
            sys.exit(f"error: {needed} is missing; run 'make build' and "
                     "tests/functional/build-base.sh")
    subprocess.run(["ninja", "-C", OBJ, PROGRAM, "qemu-img"], check=True,
                   stdout=subprocess.DEVNULL)
    LOGS.mkdir(parents=True, exist_ok=True)
    prefix = [] if args.kvm else without_kvm()
    sides = {"ours": ours.resolve(), "base": args.base.resolve()}
    names = {which: listed(prefix, binary) for which, binary in sides.items()}
    tests = [name for name in names["base"] if re.search(args.filter, name)]
    began, counts = time.monotonic(), {}
    different = 0
    if names["ours"] != names["base"]:
        print("not ok: the lists of tests differ:",
              sorted(set(names["ours"]) ^ set(names["base"])))
        different += 1
    with ThreadPoolExecutor(args.jobs) as pool:
        running = [(test, {which: pool.submit(run_test, prefix, which, binary,
                                              test)
                           for which, binary in sides.items()})
                   for test in tests]
        for test, sides_of in running:
            result = {which: r.result() for which, r in sides_of.items()}
            (us, tries), (base, base_tries) = result["ours"], result["base"]
            counts[us] = counts.get(us, 0) + 1
            good = us == base
            different += not good
            again = [f"{which} at try {n}" for which, n in
                     (("ours", tries), ("base", base_tries)) if n > 1]
            print(f"{'ok' if good else 'not ok'} {test}: ours {us}, base {base}"
                  + (f" ({', '.join(again)})" if again else ""), flush=True)
    print(f"{len(tests)} tests, on ours: "
          + ", ".join(f"{n} {what}" for what, n in sorted(counts.items()))
          + f"; {different} differ from the base;"
          f" {time.monotonic() - began:.0f} s, logs in {LOGS}")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
