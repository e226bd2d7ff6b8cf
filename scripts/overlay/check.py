#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Run the tests and count them.

usage: check.py SUITE[:NAME]...       lint series lib unit qtest functional

With NAME, of lib, unit or qtest only the program of that name.

One line per test program with what its own tests said; the reasons of skips;
last, alone on its line: 'N passed, N failed' and ', N skipped' when there are.
Needs what 'make build' built. Logs are in $BUILD/logs/check.
"""
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("BUILD", os.path.join(ROOT, "build"))
OBJ = os.path.join(BUILD, "obj")
LOGS = os.path.join(BUILD, "logs", "check")
HOME = os.path.join(LOGS, f"home-{os.getpid()}")
SHARES = 3              # of migration-test, at a time
WORKERS = 4             # with functional tests at a time; each has 2 GiB of guests
WAITING = 1             # more of them than JOBS: a test waits a third of its time
SLOWER = 3              # than the machine upstream's time limits are for
OVERLAY = os.path.join(ROOT, "scripts", "overlay")

sys.path.insert(1, os.path.join(ROOT, "tests", "functional", "lib"))
import ownhome                          # noqa: E402

# Upstream's tests that our hooks could break, beside all of our own: the
# migration of ordinary guests above all (migration-test and cdrom-test: see
# below), then boot, CPU models, QMP. (Not bios-tables-test: its golden tables
# go with one version of SeaBIOS.)
UPSTREAM_QTESTS = """
    boot-order-test pxe-test
    cpu-plug-test test-x86-cpuid-compat device-introspect-test q35-test
    machine-none-test qmp-test qmp-cmd-test readconfig-test numa-test
    vmgenid-test fw_cfg-test
""".split()
ESP = ("/am53c974", "/dc390")     # cdrom-test's controllers with that chip
UPSTREAM_UNIT = ["test-vmstate", "test-interval-tree", "test-crypto-xts",
                 "test-crypto-cipher", "check-qom-proplist"]


class Count:
    """What was counted so far, and why some of it was skipped."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.reasons = {}

    def tap(self, lines, worked, why=""):
        """Count the TAP lines of one program; its exit code when it has none."""
        before = (self.passed, self.failed, self.skipped)
        for line in lines:
            skip = re.match(r"(?:ok|1\.\.0).*# *SKIP\S* *(.*)", line, re.I) or \
                re.match(r"1\.\.0()$", line)
            functional = re.match(r"skip \((.*)\) \S", line)
            if skip or functional:
                self.skip((skip or functional).group(1) or "had nothing to do")
            elif re.match(r"ok\b", line):
                self.passed += 1
            elif re.match(r"not ok\b", line):
                self.failed += 1
        passed, failed, skipped = (now - then for now, then in zip(
            (self.passed, self.failed, self.skipped), before))
        if worked and not passed + failed + skipped:
            self.passed, passed = self.passed + 1, 1
        if not worked and not failed:
            self.failed, failed = self.failed + 1, 1
            why = why or "ended badly"
        return passed, failed, skipped, why

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        for reason, times in other.reasons.items():
            self.reasons[reason] = self.reasons.get(reason, 0) + times

    def skip(self, reason):
        self.skipped += 1
        reason = reason.strip() or "no reason given"
        self.reasons[reason] = self.reasons.get(reason, 0) + 1


def report(suite, name, counted, seconds, log=None):
    passed, failed, skipped, why = counted
    text = f"{passed} passed, {failed} failed"
    if skipped:
        text += f", {skipped} skipped"
    print(f"{'not ok' if failed else 'ok':<6} {suite} {name}: {text}"
          f" ({seconds:.0f} s)" + (f" [{why}]" if why and failed else ""))
    if failed and log:
        print(f"       {log}")
    sys.stdout.flush()


def compiler_cache():
    """Where ccache works, and not in the home that a suite has."""
    if not shutil.which("ccache"):
        return {}
    said = subprocess.run(["ccache", "-k", "cache_dir"], capture_output=True,
                          text=True, check=False).stdout.strip()
    try:
        os.makedirs(said, exist_ok=True)
        usable = os.access(said, os.W_OK)
    except OSError:
        usable = False
    return {"CCACHE_DIR": said if usable else os.path.join(BUILD, "ccache")}


def environment(**more):
    """What a suite runs with: a home of its own, no identity of the caller's."""
    return {**os.environ, **compiler_cache(), **ownhome.environment(HOME),
            **more}


def run_program(count, suite, name, command, shown=r"not ok|    ", **how):
    """A program of ours that prints 'ok', 'not ok' and 'skip' lines."""
    began, lines = time.monotonic(), []
    log = os.path.join(LOGS, f"{suite}-{name}.log")
    with open(log, "w", encoding="utf-8") as out, \
            subprocess.Popen(command, stdout=subprocess.PIPE, text=True,
                             stderr=subprocess.STDOUT, errors="replace",
                             stdin=subprocess.DEVNULL, **how) as child:
        for line in child.stdout:
            out.write(line)
            lines.append(line.rstrip("\n"))
            if re.match(shown, line):
                print("  " + line, end="", flush=True)
    report(suite, name, count.tap(lines, child.returncode == 0),
           time.monotonic() - began, log)


def without_kvm():
    """A prefix that hides /dev/kvm: what KVM can do differs from machine to
    machine (nested ones fail firmware tests), and what we change is TCG."""
    hide = ["unshare", "--mount", "sh", "-c",
            'mount --bind /dev/null /dev/kvm && exec "$@"', "sh"]
    if os.path.exists("/dev/kvm") and os.environ.get("KVM") != "1" \
            and subprocess.run(hide + ["true"], check=False,
                               capture_output=True).returncode == 0:
        return hide
    if os.access("/dev/kvm", os.R_OK | os.W_OK):
        print("note: /dev/kvm cannot be hidden here; a nested KVM can fail "
              "the tests that run firmware")
    return []


def slowness():
    """How much longer than upstream thinks a program may take."""
    return SLOWER * max(1, round(os.getloadavg()[0] / os.cpu_count()))


def run_meson(count, suite, meson, build, names, prefix=()):
    """Test programs of a meson build, each counted from its own output."""
    if not names:
        count.skip(f"{suite}: there are no such tests yet")
        return
    jobs = os.environ.get("JOBS", str(os.cpu_count()))
    log = os.path.join(LOGS, f"{suite}.log")
    results = os.path.join(build, "meson-logs", f"check-{suite}.json")
    if os.path.exists(results):
        os.unlink(results)
    with open(log, "w", encoding="utf-8") as out:
        done = subprocess.run(
            [*prefix, meson, "test", "-C", build, "--logbase", "check-" + suite,
             "--num-processes", jobs, "-t", str(slowness()), "-q", *names],
            env=environment(), stdout=out, stderr=subprocess.STDOUT, check=False,
            stdin=subprocess.DEVNULL)
    seen = []
    if os.path.exists(results):
        with open(results, encoding="utf-8") as file:
            seen = [json.loads(line) for line in file if line.strip()]
    for test in seen:
        text = test.get("stdout", "") + test.get("stderr", "")
        name = test["name"].split(" / ")[-1].split(":")[-1].strip()
        own = os.path.join(LOGS, f"{suite}-{name.replace('/', '-')}.log")
        with open(own, "w", encoding="utf-8") as out:
            out.write(text)
        report(suite, name, count.tap(
            test.get("stdout", "").splitlines(),
            test["result"] in ("OK", "SKIP", "EXPECTEDFAIL"),
            test["result"].lower()), test["duration"], own)
    if not seen:
        report(suite, "programs", count.tap([], False, "did not run"), 0, log)
    elif done.returncode and not count.failed:
        report(suite, "programs", count.tap([], False), 0, log)


def introspect(meson, build):
    """Every test of a meson build, as meson tells it."""
    done = subprocess.run([meson, "introspect", "--tests", build],
                          capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def suite_lint(count, _only):
    run_program(count, "lint", "rules",
                [os.path.join(ROOT, "scripts/lint/lint.py")])


def suite_series(count, _only):
    run_program(count, "series", "prefixes",
                [os.path.join(OVERLAY, "prefixes.py"), "--quick"])


def suite_lib(count, only):
    if not os.path.exists(os.path.join(ROOT, "meson.build")):
        count.skip("lib: there is no meson.build yet")
        return
    if subprocess.run([os.path.join(OVERLAY, "lib-build.sh")],
                      check=False).returncode:
        report("lib", "set-up", count.tap([], False), 0)
        return
    build = os.path.join(BUILD, "lib")
    meson = os.path.join(build, "meson")
    run_meson(count, "lib", meson, build,
              [test["name"] for test in introspect(meson, build)
               if only in ("", test["name"])])


def suite_unit(count, only):
    meson = os.path.join(OBJ, "pyvenv/bin/meson")
    run_meson(count, "unit", meson, OBJ,
              [test["name"] for test in introspect(meson, OBJ)
               if only in ("", test["name"]) and
               (test["name"].startswith(("sev-", "psp-"))
                or test["name"] in UPSTREAM_UNIT)])


def tests_of(command, env):
    """The paths of a GLib test program's tests."""
    done = subprocess.run([*command, "-l"], cwd=OBJ, env=env, check=False,
                          capture_output=True, text=True)
    return [line for line in done.stdout.splitlines() if line.startswith("/")]


def shares_of(command, env):
    """Arguments that divide migration-test: a test waits more than it works."""
    tests = tests_of(command, env)
    return [[word for test in tests[n::SHARES] for word in ("-p", test)]
            for n in range(SHARES)] if len(tests) >= SHARES else [[]]


def esp_boots():
    """Whether this SeaBIOS finds a disk at an ESP controller of QEMU 10.0.

    1.16.2, which Debian 12 has, waits for ever; cdrom-test gives it 600 s.
    """
    for path in glob.glob(os.path.join(OBJ, "qemu-bundle", "**/bios-256k.bin"),
                          recursive=True):
        with open(path, "rb") as file:
            found = re.search(rb"(\d+)\.(\d+)\.(\d+)-debian", file.read())
        return not found or tuple(map(int, found.groups())) > (1, 16, 2)
    return True


def run_cdrom(count, test, prefix):
    """cdrom-test, without the controllers that this firmware hangs at."""
    command, env = [*prefix, *test["cmd"]], environment(**test["env"])
    subprocess.run(["ninja", "-C", OBJ, "tests/qtest/cdrom-test"],
                   stdout=subprocess.DEVNULL, check=False, env=environment())
    tests, words = tests_of(command, env), []
    if tests and not esp_boots():
        left = [test for test in tests if test.endswith(ESP)]
        words = [word for test in tests if test not in left
                 for word in ("-p", test)]
        for name in left:
            count.skip(f"{name}: this SeaBIOS is older than 1.16.3 and hangs")
    run_program(count, "qtest", "cdrom-test", command + words, shown="not ok",
                env=env, cwd=OBJ)


def suite_qtest(count, only):
    meson = os.path.join(OBJ, "pyvenv/bin/meson")
    names, prefix = [], without_kvm()
    for test in introspect(meson, OBJ):
        base = test["name"].removeprefix("qtest-x86_64/")
        if base == "migration-test":
            migration = test
        elif base == "cdrom-test":
            cdrom = test
        elif base != test["name"] and (base in UPSTREAM_QTESTS
                                       or base.startswith(("sev-", "psp-"))):
            names.append(test["name"])
    if only:
        run_meson(count, "qtest", meson, OBJ, [f"qtest-x86_64/{only}"],
                  prefix=prefix)
        return
    # The long one beside the others. Its smoke set, as upstream's CI runs it
    # where there is no KVM; FULL=1 runs all of it (40 minutes under TCG).
    subprocess.run(["ninja", "-C", OBJ, "tests/qtest/migration-test"],
                   stdout=subprocess.DEVNULL, check=False, env=environment())
    command = [*prefix, *(word for word in migration["cmd"]
                          if word != "--full" or os.environ.get("FULL") == "1")]
    env = environment(**migration["env"])
    shares = shares_of(command, env)
    later = [Count() for _ in shares]
    with ThreadPoolExecutor(len(shares)) as pool:
        beside = [pool.submit(run_program, own, "qtest", f"migration-test-{n}",
                              command + share, shown="not ok", env=env, cwd=OBJ)
                  for n, (own, share) in enumerate(zip(later, shares), 1)]
        run_meson(count, "qtest", meson, OBJ, names, prefix=prefix)
        run_cdrom(count, cdrom, prefix)
        for share in beside:
            share.result()
    for own in later:
        count.add(own)


def suite_functional(count, _only):
    jobs = min(int(os.environ.get("JOBS", os.cpu_count())) + WAITING, WORKERS)
    run_program(count, "functional", "guests",
                [sys.executable, os.path.join(ROOT, "tests/functional/run.py"),
                 "--build", BUILD, "--jobs", str(jobs)], shown="")


SUITES = {"lint": suite_lint, "series": suite_series, "lib": suite_lib,
          "unit": suite_unit, "qtest": suite_qtest, "functional": suite_functional}


def main(arguments):
    os.makedirs(LOGS, exist_ok=True)
    count, began = Count(), time.monotonic()
    try:
        with ThreadPoolExecutor(1) as pool:
            own, beside = Count(), []
            for argument in arguments:
                name, _, only = argument.partition(":")
                if name == "series":        # one processor's work, and nobody waits
                    beside.append(pool.submit(SUITES[name], own, only))
                else:
                    SUITES[name](count, only)
            for suite in beside:
                suite.result()
        count.add(own)
    finally:
        shutil.rmtree(HOME, ignore_errors=True)
    for reason, times in sorted(count.reasons.items()):
        print(f"skipped {times}: {reason}")
    print(f"took {time.monotonic() - began:.0f} s, logs in {LOGS}")
    print(f"{count.passed} passed, {count.failed} failed"
          + (f", {count.skipped} skipped" if count.skipped else ""))
    return 1 if count.failed or not count.passed else 0


if __name__ == "__main__":
    if not sys.argv[1:] or {word.partition(":")[0]
                            for word in sys.argv[1:]} - set(SUITES):
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1:]))
