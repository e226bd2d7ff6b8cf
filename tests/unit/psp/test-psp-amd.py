#!/usr/bin/env python3
#
# Does sev-psp accept AMD's roots, of every generation, and nothing beside them?
# usage: test-psp-amd.py SEV-PSP
#
# AMD's certificates are not ours to hand on: PSP_AMD_ROOTS names a folder with AMD's
# ask_ark_GENERATION.cert (as "sev-psp chain show" says where to fetch them), or with
# GENERATION-ask.cert and GENERATION-ark.cert.  Without it there is nothing to try.
#
# SPDX-License-Identifier: GPL-2.0-or-later

import hashlib
import os
import subprocess
import sys
import tempfile

# SHA-256 of ASK and of ARK, and the length of each
GENERATIONS = {
    "naples": ("c6f30cf923f526c3bcd5c8c221db51e0db65911782f046de17a6603131cdfd7f",
               "dedabca561e1dece8cc00b7bda864cf5f20b95017864408cfe18eaee0dce24b9",
               832),
    "rome": ("7754a69407d25540fe3a695be6b02c58a53bffd12594f5c30793d6cb62875706",
             "865977b268c16d5b27772b00aaefb4e737ba9499e818ed8e9f65b0cecefbc529",
             1600),
    "milan": ("c7c73765561c58003a3d09adb2c76993027dd3a1ec4e9be876024c035e015cec",
              "1246469862b78a7a8625579b0378d1f8e975eb8b82a1623b579d7968a5969888",
              1600),
    "genoa": ("c30307e4f594fb6c51fd753ab758eb78ad4bb70d9e4d96690e51c0621901031d",
              "8f4e3fd36589c23f1fe0c8338465bac7e2e066d97fc92f228bbee4fd356fb674",
              1600),
    "turin": ("2ee285477f0d5eb94a69029197f4cf58ca82d8e1b9a276da1ac45b0db3f4be56",
              "f6405e5096a6eee1eb7d5df75c49f9b9f7c8357a31c7fff150149d68588a7bf7",
              1600),
}
SIGNED = {832: 64 + 512, 1600: 64 + 1024}       # the signature is behind

# Links, as sev-psp verify names them
FORM, ROOT = "ASK and ARK well formed", "ARK trusted here"
SELF, ASK, CEK = ("ARK signed by itself", "ASK signed by the ARK",
                  "CEK signed by the ASK")

count = failed = 0


def report(name, why):
    global count, failed
    count += 1
    failed += bool(why)
    print(f"{'not ok' if why else 'ok'} {count} {name}{': ' if why else ''}{why or ''}")


def read(folder, generation):
    """(ASK, ARK), or None when the folder has none of this generation."""
    length = GENERATIONS[generation][2]
    pair = os.path.join(folder, f"ask_ark_{generation}.cert")
    if os.path.exists(pair):
        data = open(pair, "rb").read()
        return data[:length], data[length:]
    paths = [os.path.join(folder, f"{generation}-{part}.cert") for part in ("ask", "ark")]
    if all(map(os.path.exists, paths)):
        return tuple(open(path, "rb").read() for path in paths)
    return None


class Tool:
    """sev-psp with an identity of its own, whose chain gets AMD's certificates."""

    def __init__(self, program, folder):
        self.program, self.folder = program, folder
        self.run("identity", "create")
        self.run("export", "--out", folder)

    def run(self, *words):
        done = subprocess.run([self.program, "--dir", f"{self.folder}/psp", *words],
                              capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    def links(self, ask, ark):
        """{link: "yes" or "no"} of a chain with this ASK and ARK."""
        with open(f"{self.folder}/amd.cert", "wb") as file:
            file.write(ask + ark)
        said = self.run("verify", self.folder)
        return dict(line.split(": ", 1) for line in said.splitlines()
                    if ": " in line), said


def wrong(links, said, wanted):
    """None, or what is said instead of @wanted ({link: word})."""
    found = {link: links.get(link) for link in wanted}
    return None if found == wanted else f"{found}, not {wanted}: {said.strip()[-200:]}"


def turned(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]


def try_generation(tool, name, ask, ark, others):
    want_ask, want_ark, length = GENERATIONS[name]
    report(f"{name}: the files are AMD's", None if (
        hashlib.sha256(ask).hexdigest(), hashlib.sha256(ark).hexdigest(),
        len(ark)) == (want_ask, want_ark, length) else "other fingerprints")
    good = {ROOT: "yes", SELF: "yes", ASK: "yes", CEK: "no", "verified": "no"}
    report(f"{name}: root and ASK are accepted, a CEK of another root is not",
           wrong(*tool.links(ask, ark), good))
    report(f"{name}: an ASK with a bit turned is refused",
           wrong(*tool.links(turned(ask, SIGNED[length] - 9), ark), {ASK: "no"}))
    report(f"{name}: an ASK whose signature has a bit turned is refused",
           wrong(*tool.links(turned(ask, length - 9), ark), {ASK: "no", ROOT: "yes"}))
    report(f"{name}: an ARK with a bit turned is no root",
           wrong(*tool.links(ask, turned(ark, length - 9)), {ROOT: "no", SELF: "no"}))
    for other, (_, other_ark) in others.items():
        if len(other_ark) == length:
            report(f"{name}: its ASK is not {other}'s",
                   wrong(*tool.links(ask, other_ark), {ROOT: "yes", ASK: "no"}))



def main():
    folder = os.environ.get("PSP_AMD_ROOTS")
    if not folder:
        print("1..0 # SKIP PSP_AMD_ROOTS names no folder with AMD's certificates")
        return 0
    found = {name: pair for name in GENERATIONS if (pair := read(folder, name))}
    for name in GENERATIONS:
        if name not in found:
            print(f"# {folder} has no certificates of {name}")
    with tempfile.TemporaryDirectory() as scratch:
        tool = Tool(sys.argv[1], scratch)
        for name, (ask, ark) in found.items():
            try_generation(tool, name, ask, ark, {
                other: pair for other, pair in found.items() if other != name})
            report(f"{name}: half of a file is refused", wrong(
                *tool.links(ask[:-1], ark), {FORM: "no", "verified": "no"}))
    print(f"1..{count}")
    return 1 if failed or not found else 0


if __name__ == "__main__":
    sys.exit(main())
