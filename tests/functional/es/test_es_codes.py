# SPDX-License-Identifier: GPL-2.0-or-later
"""SEV-ES: every exit code that Linux' own header names is accounted for.

Which codes there are is read from asm/svm.h (Debian's linux-libc-dev), so a code
that is new there fails here until somebody has looked at it. What KVM answers to
each was read in svm/sev.c (sev_es_validate_vmgexit()) and svm.c of Linux' master in
2026. The guest asks for each (ES_SWEEP in ../guest/es.S).
"""

import os
import re
import subprocess

import test_es
from registry import test
from test_es import ANSWERS, MISSING, RAISES, lines, numbers, small
from verdict import Failed, Skip, check

HEADER = 'asm/svm.h'

# Raises #VC, or is only a request: its names in test_es.py, the request first.
ANSWERED = {
    'EXIT_READ_DR7': ('dr7-read', 'read-dr7'),
    'EXIT_WRITE_DR7': ('dr7-no-rax', 'write-dr7'),
    'EXIT_RDTSC': ('rdtsc', None), 'EXIT_RDTSCP': ('rdtscp', None),
    'EXIT_RDPMC': ('rdpmc', 'rdpmc'), 'EXIT_CPUID': ('cpuid', 'cpuid'),
    'EXIT_INVD': ('invd', 'invd'), 'EXIT_WBINVD': ('wbinvd', 'wbinvd'),
    'EXIT_IOIO': ('in', 'in'), 'EXIT_MSR': ('msr-read', 'rdmsr'),
    'EXIT_VMMCALL': ('vmmcall', 'vmmcall'),
    'EXIT_MONITOR': ('monitor-nothing', 'monitor'), 'EXIT_MWAIT': ('mwait', 'mwait'),
    'VMGEXIT_MMIO_READ': ('mmio-read', None),
    'VMGEXIT_MMIO_WRITE': ('mmio-write', None),
    'VMGEXIT_NMI_COMPLETE': ('nmi-complete', None),
    'VMGEXIT_AP_JUMP_TABLE': ('jump-table-set', None),
    'VMGEXIT_HV_FEATURES': ('features', None)}

# The sweep leaves these out: they hold the vCPU, or end the guest.
APART = {'VMGEXIT_AP_HLT_LOOP': test_es.other_vcpu,
         'VMGEXIT_TERM_REQUEST': test_es.ends,
         'VMGEXIT_UNSUPPORTED_EVENT': test_es.ends}

# KVM knows them, and says to who is no SEV-SNP guest that something is missing.
SNP = {'VMGEXIT_PSC', 'VMGEXIT_GUEST_REQUEST', 'VMGEXIT_EXT_GUEST_REQUEST',
       'VMGEXIT_AP_CREATION'}

# Raises #VC, which the guest handles by itself or as MMIO: no request has it.
RAISED_ONLY = {'EXIT_NPF': 'mmio-read'}

# KVM answers that there is no such event. Of these some are automatic exits, some
# are not intercepted, and some belong to a hypervisor in the guest.
UNKNOWN = {
    *(f'EXIT_{way}_CR{n}' for way in ('READ', 'WRITE') for n in (0, 2, 3, 4, 8)),
    *(f'EXIT_{way}_DR{n}' for way in ('READ', 'WRITE') for n in range(7)),
    *(f'EXIT_{name}' for name in '''
      EXCP_BASE LAST_EXCP INTR NMI SMI INIT VINTR CR0_SEL_WRITE IDTR_READ GDTR_READ
      LDTR_READ TR_READ IDTR_WRITE GDTR_WRITE LDTR_WRITE TR_WRITE PUSHF POPF RSM
      IRET SWINT PAUSE HLT INVLPG INVLPGA TASK_SWITCH FERR_FREEZE SHUTDOWN VMRUN
      VMLOAD VMSAVE STGI CLGI SKINIT ICEBP MWAIT_COND XSETBV RDPRU EFER_WRITE_TRAP
      INVPCID BUS_LOCK IDLE_HLT AVIC_INCOMPLETE_IPI AVIC_UNACCELERATED_ACCESS
      VMGEXIT SW'''.split()),
    *(f'EXIT_CR{n}_WRITE_TRAP' for n in range(16)),
    'VMGEXIT_SNP_RUN_VMPL', 'VMGEXIT_SAVIC'}

# Names of that kind that are an argument, or a piece of one
ARGUMENTS = {'VMGEXIT_SET_AP_JUMP_TABLE', 'VMGEXIT_GET_AP_JUMP_TABLE',
             'VMGEXIT_AP_CREATE_ON_INIT', 'VMGEXIT_AP_CREATE', 'VMGEXIT_AP_DESTROY',
             'VMGEXIT_SAVIC_REGISTER_GPA', 'VMGEXIT_SAVIC_UNREGISTER_GPA',
             'VMGEXIT_SAVIC_SELF_GPA', 'EXIT_ERR'}

# A request that has everything but sense: SW_EXITINFO1 and 2 of its answer
SWEPT = {'EXIT_RDPMC': ANSWERS['rdpmc'], 'EXIT_IOIO': None,
         'VMGEXIT_AP_JUMP_TABLE': (0, 0)}


def codes():
    """{name without SVM_: code} of the header that this machine's compiler sees."""
    done = subprocess.run(['cc', '-E', '-dM', '-x', 'c', '-include', HEADER, os.devnull],
                          capture_output=True, text=True, check=False)
    if done.returncode:
        raise Skip(f'no {HEADER} (package linux-libc-dev)')
    return read(done.stdout)


def read(text):
    found = {name: int(code, 0) for name, code in re.findall(
        r'^#define SVM_((?:VMG)?EXIT_\w+) +\(?(-?(?:0x)?[0-9a-f]+)(?:u?ll?)?\)?\s*$',
        text, re.M)}
    named = set(re.findall(r'^#define SVM_((?:VMG)?EXIT_\w+) ', text, re.M))
    unread = named - set(found) - ARGUMENTS - {'EXIT_REASONS'}
    check(not unread, f'cannot read {unread}')
    return found


def unaccounted(found):
    return set(found) - {*ANSWERED, *APART, *SNP, *RAISED_ONLY, *UNKNOWN, *ARGUMENTS}


@test('es: each exit code of Linux\' header is answered as by KVM')
def answered(env):
    found = codes()
    check(len(found) > 100, f'{HEADER} has only {len(found)} codes')
    check(not unaccounted(found), f'{HEADER} has codes that are in no table: '
          f'{unaccounted(found)}')
    with small(env, kind='es-sweep', limit=240) as guest:
        check(guest.text().endswith('BYE\n'), f'it ended at {guest.text()[-80:]}')
        said = {code: answer for code, *answer in
                (numbers(line.split()) for line in lines(guest, 'CODE'))}
    for name, code in found.items():
        if name in ANSWERED:
            wanted = SWEPT.get(name, (0, 0))
            check(code in said and wanted in (None, tuple(said[code])),
                  f'{name}: {said.get(code)}, not {wanted}')
        elif name in SNP:
            check(said.get(code) == [2, MISSING], f'{name}: {said.get(code)}')
        elif name in UNKNOWN or name in RAISED_ONLY:
            check(code not in said, f'{name}: {said.get(code)}')
    known = {found[name] for name in found if name in {*ANSWERED, *SNP}}
    check(set(said) <= known, f'answered, and in no header: '
          f'{[hex(code) for code in set(said) - known]}')


@test('es: what raises #VC is a code of Linux\' header, with a test')
def raised(_env):
    found = codes()
    by_code = {code: name for name, code in found.items()}
    base = found['EXIT_EXCP_BASE']
    for name, code in RAISES.items():
        if 0 < code < 0x10000 and code not in (base + 1, base + 17):
            check(by_code.get(code) in {*ANSWERED, *RAISED_ONLY},
                  f'{name} raises {code:#x}, {by_code.get(code)}')
    for name, (request, instruction) in ANSWERED.items():
        check(request in ANSWERS, f'no request {request}')
        check(not instruction or name not in found or
              RAISES[instruction] == found[name], f'{instruction} is not {name}')


@test('es: a code that nobody has looked at is noticed')
def noticed(_env):
    said = unaccounted(read('#define SVM_EXIT_NEW_THING 0x0ff\n'
                            '#define SVM_VMGEXIT_NEWER 0x80000020ull\n'
                            '#define SVM_EXIT_CPUID 0x072\n'))
    check(said == {'EXIT_NEW_THING', 'VMGEXIT_NEWER'}, f'noticed {said}')
    try:
        read('#define SVM_EXIT_STRANGE (1 << 3)\n')
    except Failed:
        return
    raise Failed('a code that cannot be read is not noticed')
