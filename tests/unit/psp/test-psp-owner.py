#!/usr/bin/env python3
#
# Does sev-psp compute what another implementation of the owner's formulas
# does, and what published examples have?  That other one is Python's hashlib
# and hmac.  usage: test-psp-owner.py SEV-PSP
#
# SPDX-License-Identifier: GPL-2.0-or-later

import base64
import hashlib
import hmac
import json
import os
import struct
import subprocess
import sys
import tempfile

# Vector A3 of README.md in tests/data/psp: a launch of nothing
A3_TIK = "66320db73158a35a255d051758e95ed4"
A3_NONCE = "4fbe0bedbad6c86ae8f68971d103e554"
A3_DIGEST = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
A3_MEASURE = "6faab2daae389bcd3405a05d6cafe33c0414f7bedd0bae19ba5f38b7fd1664ea"


def b64(data):
    return base64.b64encode(data).decode()


class Owner:
    """The tool in a folder of its own, and the count of what it was asked."""

    def __init__(self, tool, folder):
        self.tool = tool
        self.folder = folder
        self.count = 0
        self.bad = 0

    def check(self, what, fine, why=""):
        self.count += 1
        self.bad += not fine
        print(f"{'ok' if fine else 'not ok'} {self.count} - {what}")
        if not fine and why:
            print("# " + str(why).strip().replace("\n", "\n# "))

    def file(self, name, data):
        path = os.path.join(self.folder, name)
        with open(path, "wb") as out:
            out.write(data)
        return path

    def run(self, *words):
        return subprocess.run([self.tool, "--json", *words], text=True,
                              capture_output=True, check=False)

    def says(self, what, *words):
        """What a command prints; it must succeed."""
        done = self.run(*words)
        self.check(what, done.returncode == 0, done.stderr)
        return json.loads(done.stdout or "{}")

    def refuses(self, what, code, text, *words):
        """The exit code, @text in the one line of the error, no answer."""
        done = self.run(*words)
        self.check(what, done.returncode == code and text in done.stderr and
                   done.stderr.count("\n") == 1 and not done.stdout,
                   f"{done.returncode}: {done.stdout}{done.stderr}")


# --- measure ----------------------------------------------------------------

def measurement(tik, api, policy, digest, nonce):
    """The 48 bytes of LAUNCH_MEASURE; @api: major, minor, build."""
    text = struct.pack("<4BI", 4, *api, policy) + digest + nonce
    return hmac.new(tik, text, hashlib.sha256).digest() + nonce


def measure_published(owner):
    tik = owner.file("a3.tik", bytes.fromhex(A3_TIK))
    want = bytes.fromhex(A3_MEASURE + A3_NONCE)
    words = ("measure", "--tik", tik, "--api-major", "0", "--api-minor", "18",
             "--build-id", "15", "--launch-digest")
    for name, digest in (("A3", A3_DIGEST), ("A3 in capitals",
                                             A3_DIGEST.upper())):
        got = owner.says(name, *words, digest, "--policy", "0",
                         "--nonce", b64(bytes.fromhex(A3_NONCE)))
        owner.check(f"{name}: the published measurement",
                    got.get("measurement") == b64(want), got)
        owner.check(f"{name}: its digest", got.get("digest") == A3_DIGEST, got)
    got = owner.says("A3 is checked", *words, A3_DIGEST, "--policy", "0",
                     "--measurement", b64(want))
    owner.check("A3 matches", got.get("match") is True, got)
    other = "f" + A3_DIGEST[1:]
    for what, digest, policy in (("digest", other, "0"),
                                 ("policy", A3_DIGEST, "1")):
        done = owner.run(*words, digest, "--policy", policy,
                         "--measurement", b64(want))
        owner.check(f"another {what} does not match", done.returncode == 3 and
                    json.loads(done.stdout)["match"] is False, done)


def measure_random(owner):
    for i in range(8):
        tik, nonce = os.urandom(16), os.urandom(16)
        digest, api, policy = os.urandom(32), os.urandom(3), os.urandom(4)
        policy = struct.unpack("<I", policy)[0]
        got = owner.says(f"random {i}", "measure", "--launch-digest",
                         digest.hex(), "--tik", owner.file("tik", tik),
                         "--api-major", str(api[0]),
                         "--api-minor", str(api[1]),
                         "--build-id", str(api[2]), "--policy", hex(policy),
                         "--nonce", b64(nonce))
        want = b64(measurement(tik, api, policy, digest, nonce))
        owner.check(f"random {i}: as hmac has it",
                    got.get("measurement") == want, (got, want))


def measure_digest_of_files(owner):
    """The digest that measure prints is the one that it takes."""
    code = owner.file("firmware", os.urandom(4096))
    words = ("measure", "--tik", owner.file("tik", os.urandom(16)),
             "--policy", "1", "--nonce", b64(os.urandom(16)))
    files = owner.says("with a firmware", *words, "--firmware", code)
    again = owner.says("with its digest", *words, "--launch-digest",
                       files.get("digest", ""))
    owner.check("the same", files and files == again, (files, again))


def measure_refused(owner):
    path = owner.file("some", bytes(16))
    rest = ("--policy", "1", "--tik", path, "--nonce", b64(bytes(16)))
    words = ("measure", "--launch-digest", A3_DIGEST, *rest)
    for option, value in (("firmware", path), ("kernel", path),
                          ("initrd", path), ("cmdline", "quiet"),
                          ("vmsa", path), ("vcpus", "2"), ("cpu", "EPYC"),
                          ("init2", None), ("lane", path),
                          ("cbitpos", "51")):
        owner.refuses(f"a digest and --{option}", 2,
                      f"--{option} cannot be given with it", *words,
                      f"--{option}", *([value] if value else []))
    owner.refuses("neither digest nor firmware", 2,
                  "--firmware or --launch-digest is missing",
                  "measure", *rest)
    for what, digest in (("empty", ""), ("short", A3_DIGEST[1:]),
                         ("long", A3_DIGEST + "0"),
                         ("SHA-384", A3_DIGEST + A3_DIGEST[:32]),
                         ("not hex", "g" + A3_DIGEST[1:]),
                         ("with a prefix", "0x" + A3_DIGEST[2:])):
        owner.refuses(f"a digest that is {what}", 2, f"--launch-digest"
                      f" '{digest}' is not 32 bytes in 64 hex digits",
                      "measure", "--launch-digest", digest, *rest)
    for name in ("api-major", "api-minor", "build-id"):
        for value in ("256", "-1"):
            owner.refuses(f"--{name} {value}", 2, f"--{name} {value} is not"
                          " in the range of 0 to 255", *words,
                          f"--{name}={value}")


def main(tool):
    with tempfile.TemporaryDirectory() as folder:
        owner = Owner(tool, folder)
        measure_published(owner)
        measure_random(owner)
        measure_digest_of_files(owner)
        measure_refused(owner)
    print(f"1..{owner.count}")
    return owner.bad != 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
