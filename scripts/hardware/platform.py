# SPDX-License-Identifier: GPL-2.0-or-later
"""The platform: its firmware, its certificates, what KVM makes of it.

Asks only. /dev/sev is opened for reading: on a platform that nobody has
initialised yet Linux then refuses what would need it. The first guest
initialises it, whoever starts it.
"""

import errno
import hashlib
import json
import os
import shutil
import struct
import subprocess
from pathlib import Path
from typing import NamedTuple

from . import ioctls
from .ledger import FAIL, UNKNOWN

CERT_LEN, CHAIN_LEN = 2084, 3 * 2084
AMD_LENS = {ask + ark for ask in (832, 1600) for ark in (576, 832, 1600)}
ID_LEN = 64                         # of one socket
SEND_API = (0, 17)
STATES = {0: 'not initialised', 1: 'initialised', 2: 'in use'}
OWNED, ES = 1 << 0, 1 << 8
USAGE_ASK, USAGE_CEK = 0x0013, 0x1004
SIGNATURES = (0x414, 0x61c)         # of an SEV certificate: usage is first

CHAIN_NAME = 'chain.cert'
CHAIN_HOW = ('"sev-psp --hardware chain show" says which two files AMD has for '
             'this chip; "sev-psp --hardware chain import" makes the chain of '
             'them')


class Status(NamedTuple):
    """PLATFORM_STATUS"""
    api: tuple
    build: int
    state: int
    flags: int
    guests: int

    def words(self):
        return (f'API {self.api[0]}.{self.api[1]} build {self.build}, '
                f'{STATES.get(self.state, self.state)}, owned by '
                f'{"another" if self.flags & OWNED else "itself"}, '
                f'{self.guests} guests')


class Certs(NamedTuple):
    """A platform's certificates; @amd is empty as a chip exports them."""
    pdh: bytes
    plat: bytes
    amd: bytes = b''


# --- Firmware --------------------------------------------------------------


def status(device):
    """(Answer, Status or None)"""
    layout = 'BBBIBI'
    answer, (major, minor, state, flags, build, guests) = device.issue(
        ioctls.PLATFORM_STATUS, layout, *[0] * 6)
    return answer, (Status((major, minor), build, state, flags, guests)
                    if answer.done else None)


def probe_firmware(ledger):
    """The row "firmware"; its Status or None"""
    try:
        with ioctls.Device() as device:
            answer, now = status(device)
    except OSError as error:
        ledger.say('firmware', UNKNOWN, f'/dev/sev: {error.strerror}',
                   'see dev-sev')
        return None
    if not now:
        ledger.say('firmware', FAIL, f'PLATFORM_STATUS: {answer.words()}',
                   'look at "ccp" in the kernel\'s log')
        return None
    ledger.check('firmware', now.api >= SEND_API, now.words(),
                 'update the BIOS: migration needs API '
                 f'{SEND_API[0]}.{SEND_API[1]}',
                 api=f'{now.api[0]}.{now.api[1]}', build=now.build,
                 state=now.state, flags=f'{now.flags:#x}', guests=now.guests)
    return now


def export(device):
    """(Answer, Certs or None, the two lengths)"""
    layout = 'QIQI'
    answer, after = device.issue(ioctls.PDH_CERT_EXPORT, layout, 0, 0, 0, 0)
    lengths = after[1], after[3]
    if not answer.is_length():
        return answer, None, lengths
    pdh, plat = ioctls.Memory(4), ioctls.Memory(4)
    try:
        if max(lengths) > pdh.size:
            return answer, None, lengths
        answer, _ = device.issue(ioctls.PDH_CERT_EXPORT, layout, pdh.addr,
                                 lengths[0], plat.addr, lengths[1])
        return answer, (Certs(pdh.map[:lengths[0]], plat.map[:lengths[1]])
                        if answer.done else None), lengths
    finally:
        pdh.close()
        plat.close()


def chip_id():
    """Hex digits of the first socket's id, or None"""
    room = ioctls.Memory(1)
    try:
        with ioctls.Device() as device:
            answer, (_, length) = device.issue(ioctls.GET_ID2, 'QI', room.addr,
                                               8 * ID_LEN)
        return room.map[:min(length, ID_LEN)].hex() if answer.done else None
    finally:
        room.close()


# --- Certificates ----------------------------------------------------------


def usage(cert):
    return struct.unpack_from('<I', cert, 8)[0]


def is_signed(cek):
    """Does it name AMD's ASK as a signer?"""
    return any(struct.unpack_from('<I', cek, at)[0] == USAGE_ASK
               for at in SIGNATURES)


def key_of(cert):
    """The part with the public key, which no signature changes"""
    return cert[16:SIGNATURES[0]]


def fingerprint(certs):
    """To compare with, not to show: it names the platform."""
    return hashlib.sha256(certs.pdh).digest()


def chain_path(given):
    """The file that QEMU looks for, or the one that was named"""
    folder = os.environ.get('SEV_PSP_CONFIG_DIR', '/etc/sev-psp')
    return Path(given) if given else Path(folder) / CHAIN_NAME


def read_chain(path):
    """(Certs, '') of a file of PDH, PEK, OCA, CEK, ASK, ARK; or (None, why)"""
    try:
        data = path.read_bytes()
    except OSError as error:
        return None, error.strerror
    head, amd = CERT_LEN + CHAIN_LEN, data[CERT_LEN + CHAIN_LEN:]
    if len(amd) not in AMD_LENS:
        return None, f'{len(data)} bytes are no PDH, PEK, OCA, CEK, ASK and ARK'
    return Certs(data[:CERT_LEN], data[CERT_LEN:head], amd), ''


def complete(exported, path):
    """(the whole chain of this chip or None, what is missing)

    What the chip exports now wins over the file: it may have a new PDH.
    """
    own_cek = exported.plat[2 * CERT_LEN:]
    named, why = read_chain(path)
    if not named:
        part = 'ASK and ARK are missing' if is_signed(own_cek) else \
            'AMD\'s signature of the CEK, ASK and ARK are missing'
        return None, f'{part} ({path}: {why})'
    cek = named.plat[2 * CERT_LEN:]
    if key_of(cek) != key_of(own_cek):
        return None, f'the CEK in {path} is of another chip'
    if not is_signed(cek):
        return None, f'the CEK in {path} is not signed by AMD\'s ASK'
    return Certs(exported.pdh, exported.plat[:2 * CERT_LEN] + cek,
                 named.amd), ''


def exported():
    """(Answer, Certs or None, lengths, was INIT needed?)"""
    with ioctls.Device() as device:
        answer, certs, lengths = export(device)
    if answer.error != errno.EPERM:
        return answer, certs, lengths, False
    # Not initialised. What every guest begins with does it, for this one too.
    with ioctls.Kvm() as kvm, ioctls.Vm(kvm) as vm, \
            ioctls.Device(writable=True) as device:
        vm.op(device, ioctls.INIT)
        return (*export(device), True)


def broken_links(certs, folder, build):
    """(signatures that do not hold, name of the root), as sev-psp finds them;
    (None, why) when nobody checks them."""
    beside = build / 'lib/tools/sev-psp/sev-psp'
    tool = str(beside) if beside.exists() else shutil.which('sev-psp')
    if not tool:
        return None, 'there is no sev-psp; "make check-lib" builds it'
    path = folder / CHAIN_NAME
    path.write_bytes(b''.join(certs))
    try:
        done = subprocess.run([tool, '--hardware', '--json', 'verify',
                               str(path)], capture_output=True, timeout=30,
                              check=False)
        links = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return None, f'sev-psp verify: {error}'
    return [name for name, held in links.items() if held is False
            and name != 'verified'], links.get('root', '')


def check_chain(ledger, certs, args, folder):
    """The row "chain" of what the chip exports; the whole chain or None"""
    path = chain_path(args.chain)
    whole, missing = complete(certs, path)
    if not whole:
        ledger.check('chain', False, missing, CHAIN_HOW)
        return None
    broken, said = broken_links(whole, folder, args.build)
    seen = f'{path}: signed CEK, ASK and ARK ({len(whole.amd)} bytes); '
    if broken is None:
        seen += f'signatures were not checked: {said}'
    elif broken:
        seen += f'these do not hold: {", ".join(broken)}'
    else:
        seen += f'all signatures hold, up to {said}'
    held = ledger.check('chain', not broken, seen, CHAIN_HOW,
                        amd_length=len(whole.amd), broken=broken,
                        root=said if broken == [] else '')
    return whole if held else None


def probe_certs(ledger, args, folder):
    """The rows "export" and "chain"; (exported Certs, whole Certs) or Nones"""
    try:
        answer, certs, lengths, woken = exported()
        number = chip_id() if args.chip_id else None
    except OSError as error:
        ledger.not_run(['export', 'chain'], f'/dev/sev: {error.strerror}',
                       'see dev-sev')
        return None, None
    good = certs and lengths == (CERT_LEN, CHAIN_LEN) and \
        usage(certs.plat[2 * CERT_LEN:]) == USAGE_CEK
    values = dict(pdh_length=lengths[0], chain_length=lengths[1])
    if not good:
        ledger.say('export', FAIL, f'PDH_CERT_EXPORT: {answer.words()}; '
                   f'{lengths[0]} and {lengths[1]} bytes, {CERT_LEN} and '
                   f'{CHAIN_LEN} are expected', 'see firmware',
                   **values)
        ledger.needs(['chain'], ['export'])
        return None, None
    signed = is_signed(certs.plat[2 * CERT_LEN:])
    if number:
        values['chip_id'] = number
    seen = f'{lengths[0]} and {lengths[1]} bytes; its CEK is ' + (
        'signed by an ASK' if signed else 'not signed, as on real chips')
    if woken:
        seen += '; the platform was not initialised, the INIT of a guest did it'
    ledger.check('export', True, seen, cek_signed=signed, **values)
    return certs, check_chain(ledger, certs, args, folder)


# --- KVM -------------------------------------------------------------------


def probe_kvm(ledger):
    """The rows of the kernel."""
    names = ['kvm-sev', 'exit-hypercall', 'msr-filter', 'vm-types']
    if not ledger.needs(names, ['dev-kvm']):
        return
    with ioctls.Kvm() as kvm:
        with ioctls.Vm(kvm) as vm:
            error = vm.supported()
        ledger.check('kvm-sev', not error, 'KVM_MEMORY_ENCRYPT_OP is there'
                     if not error else f'KVM_MEMORY_ENCRYPT_OP: '
                     f'{os.strerror(error)}', 'see cpu and kvm-amd')
        mask = kvm.extension(ioctls.CAP_EXIT_HYPERCALL)
        ledger.check('exit-hypercall', mask >> 12 & 1,
                     f'KVM_CAP_EXIT_HYPERCALL is {mask:#x}',
                     'take Linux 5.14 or later: without it nobody knows which '
                     'pages a guest shares', mask=mask)
        exits = kvm.extension(ioctls.CAP_USER_SPACE_MSR)
        filters = kvm.extension(ioctls.CAP_MSR_FILTER)
        ledger.check('msr-filter', exits and filters,
                     f'KVM_CAP_X86_USER_SPACE_MSR is {exits:#x}, '
                     f'KVM_CAP_X86_MSR_FILTER {filters:#x}',
                     'take Linux 5.10 or later: without it a guest does not '
                     'declare the pages that it shares', exits=exits,
                     filters=filters)
        types = kvm.extension(ioctls.CAP_VM_TYPES)
        ledger.check('vm-types', types >> ioctls.VM_SEV & 1,
                     f'KVM_CAP_VM_TYPES is {types:#x}', 'nothing to do: before '
                     'Linux 6.10 INIT is used', types=types)


# --- Afterwards ------------------------------------------------------------


def probe_after(ledger, before, certs):
    """Is the platform as it was? @before: Status; @certs: as exported then"""
    if not ledger.needs(['platform'], ['firmware']):
        return
    with ioctls.Device() as device:
        _, now = status(device)
    own = exported()[1] if certs else None
    same = now and (now.api, now.build, now.flags & ~ES) == (
        before.api, before.build, before.flags & ~ES)
    same_pdh = not certs or (own and fingerprint(own) == fingerprint(certs))
    seen = now.words() if now else 'it does not answer'
    if now and now.guests != before.guests:
        seen += f' ({before.guests} before)'
    if not same_pdh:
        seen += '; it has another PDH than before'
    ledger.check('platform', same and same_pdh, seen, 'nothing here changes '
                 'firmware, owner or PDH: look who did meanwhile',
                 guests=now.guests if now else None,
                 guests_before=before.guests)
