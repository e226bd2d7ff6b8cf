#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Print the Debian archives this machine is configured for, one file each.

usage: archive.py OUTDIR SUITE...

Reads apt's own source entries (both forms) and writes, for every archive that
serves a plain Debian suite, OUTDIR/N.sources: the same archive, the same
trust, but with the given suites and with source packages. Nothing on the
system is changed, and no archive is named here.
"""
import glob
import os
import re
import subprocess
import sys

OPTION_FIELDS = {
    "arch": "Architectures", "signed-by": "Signed-By", "trusted": "Trusted",
    "check-valid-until": "Check-Valid-Until", "check-date": "Check-Date",
    "by-hash": "By-Hash", "allow-insecure": "Allow-Insecure",
    "allow-weak": "Allow-Weak",
}
KEPT = set(OPTION_FIELDS.values())
RELEASES = {"bullseye", "bookworm", "trixie", "forky", "duke", "sid",
            "oldoldstable", "oldstable", "stable", "testing", "unstable"}


def apt_paths():
    shell = subprocess.run(
        ["apt-config", "shell", "L", "Dir::Etc::sourcelist/f",
         "P", "Dir::Etc::sourceparts/d"], capture_output=True, text=True)
    found = dict(re.findall(r"^(\w)='(.*)'$", shell.stdout, re.M))
    parts = found.get("P", "/etc/apt/sources.list.d/")
    return ([found.get("L", "/etc/apt/sources.list")]
            + sorted(glob.glob(os.path.join(parts, "*.list")))
            + sorted(glob.glob(os.path.join(parts, "*.sources"))))


def read_list(text):
    """One-line entries: deb [options] URI SUITE COMPONENT..."""
    for line in text.splitlines():
        match = re.match(r"\s*deb(?:-src)?\s+(?:\[(.*?)\]\s+)?(\S+)\s+(\S+)\s*([^#]*)",
                         line)
        if not match:
            continue
        options, uri, suite, components = match.groups()
        entry = {"URIs": uri, "Suites": suite, "Components": components}
        for option in (options or "").split():
            key, _, value = option.partition("=")
            field = OPTION_FIELDS.get(key.lower().rstrip("+-"))
            if field:
                entry[field] = value.replace(",", " ")
        yield entry


def read_deb822(text):
    """Stanzas of fields; a value may continue on indented lines."""
    for stanza in re.split(r"\n\s*\n", text):
        entry, field = {}, None
        for line in stanza.splitlines():
            if line.startswith("#"):
                continue
            if line[:1] in (" ", "\t") and field:
                entry[field] += "\n" + line
            elif ":" in line:
                field, _, value = line.partition(":")
                field = {"uris": "URIs"}.get(field.strip().lower(),
                                             field.strip().title())
                entry[field] = value.strip()
        if entry.get("Enabled", "yes").lower() not in ("no", "false", "0"):
            yield entry


def entries():
    for path in apt_paths():
        try:
            with open(path, encoding="utf-8", errors="replace") as source:
                text = source.read()
        except OSError:
            continue
        reader = read_deb822 if path.endswith(".sources") else read_list
        yield from reader(text)


def main(outdir, suites):
    written = set()
    for entry in entries():
        if "main" not in entry.get("Components", "").split():
            continue
        if not RELEASES & set(entry.get("Suites", "").split()):
            continue
        for uri in entry.get("URIs", "").split():
            if uri in written or uri.startswith("cdrom:"):
                continue
            written.add(uri)
            path = os.path.join(outdir, f"{len(written)}.sources")
            with open(path, "w", encoding="utf-8") as out:
                for suite in suites:
                    out.write(f"Types: deb deb-src\nURIs: {uri}\n"
                              f"Suites: {suite}\nComponents: main\n")
                    for field in sorted(KEPT & set(entry)):
                        out.write(f"{field}: {entry[field]}\n")
                    out.write("\n")
            print(path)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
