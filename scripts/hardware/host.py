# SPDX-License-Identifier: GPL-2.0-or-later
"""The processor, the kernel, its module and its log.

Everything is read below a root, "/" but for tests, and nothing is changed.
"""

import contextlib
import os
import re
import struct
import subprocess
from pathlib import Path
from typing import NamedTuple

from . import ioctls
from .ledger import UNKNOWN

LEAF_SEV = 0x8000001f
SEV, ES, SNP, COHERENT = 1 << 1, 1 << 3, 1 << 4, 1 << 10
FEATURES = ((1 << 0, 'SME'), (SEV, 'SEV'), (ES, 'SEV-ES'), (SNP, 'SEV-SNP'),
            (COHERENT, 'SME_COHERENT'))
BIOS = ('switch SMEE (memory encryption) on in the BIOS, and give SEV its ASIDs '
        'there')

# (what the log says, what it means, what to do); Linux' ccp and kvm_amd
COMPLAINTS = [
    (r'SEV: memory encryption not enabled by BIOS',
     'memory encryption is off in the BIOS', BIOS),
    (r'kvm_amd: SEV unusable \(ASIDs',
     'all ASIDs are given to SEV-ES and SEV-SNP',
     'lower "minimum SEV non-ES ASID" in the BIOS'),
    (r'SEV(-SNP)?: failed to INIT', 'the firmware refused INIT',
     'update the BIOS; the error\'s number is in the kernel\'s log'),
    (r'psp: unable to access the device|sev initialization failed|'
     r'psp initialization failed',
     'the driver of the secure processor (ccp) did not start',
     'update the BIOS; the lines with "ccp" in the kernel\'s log say more'),
]


class Sev(NamedTuple):
    """CPUID 0x8000001F; zeros where nobody tells."""
    eax: int = 0
    ebx: int = 0
    ecx: int = 0
    edx: int = 0

    @property
    def cbitpos(self):
        return self.ebx & 0x3f

    @property
    def asids(self):
        """How many guests with plain SEV: those below EDX are for SEV-ES."""
        return self.ecx - self.edx + 1 if self.edx else self.ecx

    def words(self):
        return ', '.join(word for bit, word in FEATURES if self.eax & bit)


def read(path):
    """The text of a small file, or '' when it cannot be read."""
    with contextlib.suppress(OSError):
        return path.read_text('utf-8', 'replace').strip()
    return ''


# --- The processor ---------------------------------------------------------


def cpuinfo(root):
    """The first processor, {name: value}"""
    first = read(root / 'proc/cpuinfo').partition('\n\n')[0]
    lines = (line.partition(':') for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in lines}


def generation(info):
    """EPYC's names for family and model, or ''"""
    try:
        family, model = int(info['cpu family']), int(info['model'])
    except (KeyError, ValueError):
        return ''
    known = [(0x17, 0x00, 0x0f, 'Naples'), (0x17, 0x30, 0x3f, 'Rome'),
             (0x19, 0x00, 0x0f, 'Milan'), (0x19, 0x10, 0x1f, 'Genoa'),
             (0x19, 0xa0, 0xaf, 'Bergamo'), (0x1a, 0x00, 0x1f, 'Turin')]
    return next((name for fam, low, high, name in known
                 if family == fam and low <= model <= high), '')


def leaf_of_cpu(root):
    """The leaf as the processor has it, or None; for root, with module cpuid."""
    with contextlib.suppress(OSError, struct.error):
        fd = os.open(root / 'dev/cpu/0/cpuid', os.O_RDONLY)
        try:
            highest, = struct.unpack_from('<I', os.pread(fd, 16, 0x80000000))
            return Sev(*struct.unpack('<4I', os.pread(fd, 16, LEAF_SEV))) \
                if highest >= LEAF_SEV else Sev()
        finally:
            os.close(fd)
    return None


def leaf_of_kvm():
    """The leaf as KVM gives it on, or None. Ordinary users may ask."""
    with contextlib.suppress(OSError):
        with ioctls.Kvm() as kvm:
            return Sev(*kvm.supported_cpuid().get(LEAF_SEV, (0, 0, 0, 0)))
    return None


def probe_cpu(ledger, root, kvm_leaf):
    """@kvm_leaf: what leaf_of_kvm() said. Returns the leaf to work with."""
    info, own = cpuinfo(root), leaf_of_cpu(root)
    flags = info.get('flags', '').split()
    name = generation(info)
    model = info.get('model name', 'unknown processor')
    where = f'{model}, family {info.get("cpu family", "?")}, model ' \
            f'{info.get("model", "?")}' + (f' ({name})' if name else '')
    ledger.facts.update(cpu=model, family=info.get('cpu family', ''),
                        model=info.get('model', ''), generation=name,
                        microcode=info.get('microcode', ''))
    leaf = next((leaf for leaf in (kvm_leaf, own) if leaf and leaf.eax & SEV),
                own or kvm_leaf or Sev())
    values = {reg: f'{value:#x}' for reg, value in leaf._asdict().items()}
    values['flags'] = ' '.join(f for f in ('sme', 'sev', 'sev_es', 'sev_snp')
                               if f in flags)
    if leaf.eax & SEV or 'sev' in flags:
        seen = f'{where}; {leaf.words() or values["flags"]}'
        if leaf.eax & SEV:
            seen += f'; C-bit {leaf.cbitpos}; ASIDs: {leaf.asids} for SEV of ' \
                    f'{leaf.ecx}' if leaf.ecx else f'; C-bit {leaf.cbitpos}'
        ledger.check('cpu', True, seen, **values)
    else:
        ledger.check('cpu', False, f'{where}; without SEV', 'use an EPYC, or, '
                     f'on one, {BIOS}', **values)
    return leaf


def probe_coherent(ledger, leaf):
    if not leaf.eax & SEV:
        ledger.say('coherent', UNKNOWN, 'no CPUID 0x8000001F with SEV was read')
        return
    coherent = bool(leaf.eax & COHERENT)
    ledger.check('coherent', coherent, f'CPUID 0x8000001F EAX is {leaf.eax:#x}',
                 'nothing to do: pages that were never written cost a packet '
                 'each here, as before Milan', coherent=coherent)


# --- The kernel ------------------------------------------------------------


def release():
    """Version and flavour; what a company appended may name it."""
    found = re.match(r'[0-9.]+([-+.](\d+|rc\d+|amd64|x86_64|generic|cloud|pve|'
                     r'default|lts|azure|gcp|aws|(deb|el|fc|bpo|amzn)\w+))*',
                     os.uname().release)
    return found.group() if found else '?'


def probe_module(ledger, root, kvm_leaf):
    ledger.facts['kernel'] = release()
    folder = root / 'sys/module/kvm_amd/parameters'
    values = {name: read(folder / name) for name in ('sev', 'sev_es', 'sev_snp')}
    said = ', '.join(f'{k}={v}' for k, v in values.items() if v)
    said = f'Linux {release()}; {said or "no parameters of kvm_amd"}'
    on = values['sev'] in ('Y', '1')
    if on:
        ledger.check('kvm-amd', True, said, **values)
    elif values['sev']:
        ledger.check('kvm-amd', False, said, 'load kvm_amd with sev=1; when '
                     f'it stays off, {BIOS}', **values)
    elif kvm_leaf and kvm_leaf.eax & SEV:
        # Built in, or a folder that containers do not see.
        ledger.check('kvm-amd', True, f'{said}, but KVM offers SEV', **values)
    else:
        ledger.check('kvm-amd', False, said, 'load kvm_amd with sev=1; the '
                     'kernel needs CONFIG_KVM_AMD_SEV', **values)


def read_log():
    """The kernel's log, or None when this user may not read it."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(['dmesg'], capture_output=True, timeout=10,
                              check=True)
        return done.stdout.decode('utf-8', 'replace')
    return None


def probe_log(ledger, text):
    """@text: of the log, which itself goes nowhere."""
    if text is None:
        ledger.say('log', UNKNOWN, 'this user may not read it',
                   'run "dmesg | grep -iE \'sev|ccp\'" as root when something '
                   'else fails')
        return
    found = [(what, remedy) for pattern, what, remedy in COMPLAINTS
             if re.search(pattern, text)]
    lines = len(re.findall(r'SEV', text))
    ledger.check('log', not found, '; '.join(what for what, _ in found) or
                 f'{lines} lines have SEV in them, none complains',
                 '; '.join(dict.fromkeys(remedy for _, remedy in found)),
                 lines=lines)


def probe(ledger, root=Path('/')):
    """All rows of this file; the leaf that QEMU will find."""
    kvm_leaf = leaf_of_kvm()
    leaf = probe_cpu(ledger, root, kvm_leaf)
    probe_coherent(ledger, leaf)
    probe_module(ledger, root, kvm_leaf)
    return leaf
