#!/usr/bin/env python3
#
# Does sev-psp compute what another implementation of the owner's formulas
# does, and what published examples have?  That other one is Python's hashlib
# and hmac, and OpenSSL's AES.  usage: test-psp-owner.py SEV-PSP
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
import uuid

# Vector A3 of README.md in tests/data/psp: a launch of nothing
A3_TIK = "66320db73158a35a255d051758e95ed4"
A3_NONCE = "4fbe0bedbad6c86ae8f68971d103e554"
A3_DIGEST = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
A3_MEASURE = "6faab2daae389bcd3405a05d6cafe33c0414f7bedd0bae19ba5f38b7fd1664ea"

# Vector A4: a passphrase as sevctl's test seals it
A4_TIK = "c6d5a9956133050912b24bbe5c372686"
A4_TEK = "52a869b79ab9c13bb6a92b0561619cb3"
A4_IV = "ac5474ed4dd32c7d989ec523d92559ec"
A4_MEASURE = "4cb780efad3b959427b4b8d1635fe2fac6ed75267eef9cf1a73e0fc7d873a412"
A4_DATA = ("d14ddee4f717bf4516f87e2d48114a39d0987ca135fa3dfc05cd9fb8ed7a9988"
           "b223eb16c7b20d7e7fa58188f9e862f5db2ca29c36be9557c20b00ffdb0e5c3c")
A4_MAC = "bc152cde610e17f0aef557334a2d4fca42c22c4312e3b5b85a3d47b0aac857e5"

SECRETS = "1e74f542-71dd-4d66-963e-ef4287ff173b"
DISK = "736869e5-84f0-4973-92ec-06879ce3da0b"       # a disk's passphrase
OTHER = "11223344-5566-7788-99aa-bbccddeeff00"


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


# --- secret -----------------------------------------------------------------

def table(entries):
    """The table that OVMF hands to the guest, as it is sealed."""
    body = b"".join(uuid.UUID(guid).bytes_le + struct.pack("<I", 20 + len(data))
                    + data for guid, data in entries)
    head = uuid.UUID(SECRETS).bytes_le + struct.pack("<I", 20 + len(body))
    return head + body + bytes(-len(head + body) % 16)


def ctr(key, iv, data):
    return subprocess.run(["openssl", "enc", "-aes-128-ctr", "-K", key.hex(),
                           "-iv", iv.hex()], input=data, check=True,
                          stdout=subprocess.PIPE).stdout


def secret_mac(tik, iv, data, measure):
    text = struct.pack("<BI16sII", 1, 0, iv, len(data), len(data))
    return hmac.new(tik, text + data + measure, hashlib.sha256).digest()


class Launch:
    """A launched guest's keys and measurement, as files and options."""

    def __init__(self, owner, tek, tik, measure):
        self.tek, self.tik, self.measure = tek, tik, measure
        self.words = ("secret", "--tek", owner.file("tek", tek),
                      "--tik", owner.file("tik", tik),
                      "--measurement", b64(measure + os.urandom(16)))


def packet(got):
    """Flags, IV, MAC and data of what the tool has sealed."""
    header = base64.b64decode(got.get("packet-header", ""))
    return (*struct.unpack("<I16s32s", header.ljust(52, b"\0")),
            base64.b64decode(got.get("secret", "")))


def secret_entries(owner):
    launch = Launch(owner, os.urandom(16), os.urandom(16), os.urandom(32))
    one = owner.file("one", b"a passphrase")
    odd = owner.file("a=b:c", b"")
    two = owner.file("two", os.urandom(1000))
    entries = [(DISK, b"a passphrase"), (OTHER, b""),
               (DISK.replace("7", "9"), open(two, "rb").read())]
    for marks in ("===", ":::", "=:=", ":=:"):
        words = [f"{guid}{mark}{path}" for (guid, _), mark, path in
                 zip(entries, marks, (one, odd, two))]
        got = owner.says(f"entries with {marks}", *launch.words, *words)
        flags, iv, mac, data = packet(got)
        owner.check(f"{marks}: the table", ctr(launch.tek, iv, data) ==
                    table(entries), got)
        owner.check(f"{marks}: the MAC", flags == 0 and
                    mac == secret_mac(launch.tik, iv, data, launch.measure))
    got = owner.says("a GUID in capitals", *launch.words,
                     f"{DISK.upper()}:{one}")
    owner.check("is the same GUID", ctr(launch.tek, *packet(got)[1::2]) ==
                table(entries[:1]))


def secret_published(owner):
    launch = Launch(owner, *map(bytes.fromhex, (A4_TEK, A4_TIK, A4_MEASURE)))
    path = owner.file("luks", b"MY-LUKS-PASSPHRASE")
    for iv in (A4_IV, A4_IV.upper()):
        got = owner.says(f"A4 with IV {iv}", *launch.words, "--iv", iv,
                         f"{DISK}:{path}")
        owner.check("A4: the published header", got.get("packet-header") ==
                    b64(bytes.fromhex("00000000" + A4_IV + A4_MAC)), got)
        owner.check("A4: the published data", got.get("secret") ==
                    b64(bytes.fromhex(A4_DATA)), got)


def secret_iv(owner):
    """The counter of an IV that is all ones wraps; without --iv it is new."""
    launch = Launch(owner, os.urandom(16), os.urandom(16), os.urandom(32))
    data = os.urandom(300)
    entry = f"{DISK}={owner.file('data', data)}"
    for want in (b"\xff" * 16, bytes(16), os.urandom(16)):
        got = owner.says(f"IV {want.hex()}", *launch.words, "--iv", want.hex(),
                         entry)
        flags, iv, mac, sealed = packet(got)
        owner.check("the packet", (flags, iv) == (0, want) and
                    sealed == ctr(launch.tek, want, table([(DISK, data)])) and
                    mac == secret_mac(launch.tik, iv, sealed, launch.measure))
    ivs = {packet(owner.says(f"random {i}", *launch.words, entry))[1]
           for i in range(4)}
    owner.check("no IV comes twice", len(ivs) == 4, ivs)
    for what, iv in (("empty", ""), ("short", A4_IV[2:]), ("odd", A4_IV[1:]),
                     ("long", A4_IV + "00"), ("not hex", "-" + A4_IV[1:])):
        owner.refuses(f"an IV that is {what}", 2,
                      f"--iv '{iv}' is not 16 bytes in 32 hex digits",
                      *launch.words, f"--iv={iv}", entry)


def secret_refused(owner):
    launch = Launch(owner, bytes(16), bytes(16), bytes(32))
    some = owner.file("some", b"x")
    big = owner.file("big", bytes(16384 - 20 - 20))
    owner.says("as much as fits", *launch.words, f"{DISK}:{big}")
    for what, code, text, words in (
            ("no entry", 2, "GUID=FILE or GUID:FILE", ()),
            ("no mark", 2, f"'{DISK}' is not GUID=FILE or GUID:FILE", (DISK,)),
            ("no GUID", 2, "'' is not a GUID", (f":{some}",)),
            ("a short GUID", 2, f"'{DISK[1:]}' is not a GUID",
             (f"{DISK[1:]}:{some}",)),
            ("no file", 1, "No such file", (f"{DISK}:{some}-else",)),
            ("nothing for a file", 1, "", (f"{DISK}:",)),
            ("one byte too many", 1, "more than 16384 bytes",
             (f"{OTHER}:{some}", f"{DISK}:{big}"))):
        owner.refuses(what, code, text, *launch.words, *words)


def main(tool):
    with tempfile.TemporaryDirectory() as folder:
        owner = Owner(tool, folder)
        measure_published(owner)
        measure_random(owner)
        measure_digest_of_files(owner)
        measure_refused(owner)
        secret_entries(owner)
        secret_published(owner)
        secret_iv(owner)
        secret_refused(owner)
    print(f"1..{owner.count}")
    return owner.bad != 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
