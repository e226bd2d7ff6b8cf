# SPDX-License-Identifier: GPL-2.0-or-later
"""The rows of the report, in their order. docs/hardware.md explains each."""

from typing import NamedTuple

PARTS = {
    'host': 'The host',
    'kernel': 'The kernel',
    'certs': 'Certificates',
    'command': 'Commands of the firmware, without a guest',
    'guest': 'A guest',
    'after': 'Afterwards',
}


class Claim(NamedTuple):
    """One row. Without @required it may fail: it costs time, not more."""
    part: str
    name: str
    text: str
    required: bool = True


CLAIMS = [
    Claim('host', 'cpu', 'the processor has SEV'),
    Claim('host', 'coherent', 'what the host reads is what is in memory '
          '(SME_COHERENT)', False),
    Claim('host', 'kvm-amd', 'kvm_amd is loaded, with SEV on'),
    Claim('host', 'dev-kvm', 'this user may use /dev/kvm'),
    Claim('host', 'dev-sev', 'this user may use /dev/sev'),
    Claim('host', 'firmware', 'the firmware answers, and its API has SEND'),
    Claim('host', 'memlock', 'this user may pin a guest\'s memory'),
    Claim('host', 'asids', 'two more SEV guests have room beside the others'),
    Claim('host', 'room', 'there is memory and disk space for two guests'),
    Claim('host', 'log', 'the kernel\'s log has no complaint about SEV', False),

    Claim('kernel', 'kvm-sev', 'KVM makes SEV guests'),
    Claim('kernel', 'exit-hypercall', 'KVM hands over KVM_HC_MAP_GPA_RANGE'),
    Claim('kernel', 'msr-filter', 'KVM hands over MSRs that it does not know'),
    Claim('kernel', 'vm-types', 'KVM has a VM type for SEV', False),

    Claim('certs', 'export', 'the chip exports PDH, PEK, OCA and CEK'),
    Claim('certs', 'chain', 'its chain is complete, up to a root'),

    Claim('command', 'init', 'INIT of two VMs'),
    Claim('command', 'launch-start', 'LAUNCH_START'),
    Claim('command', 'region', 'memory is registered'),
    Claim('command', 'launch-update', 'LAUNCH_UPDATE_DATA'),
    Claim('command', 'launch-measure', 'LAUNCH_MEASURE, its length first'),
    Claim('command', 'secret', 'LAUNCH_SECRET gives the guest an owner\'s '
          'secret', False),
    Claim('command', 'launch-finish', 'LAUNCH_FINISH; then it is RUNNING'),
    Claim('command', 'attestation', 'GET_ATTESTATION_REPORT', False),
    Claim('command', 'debug', 'DBG_DECRYPT gives what was encrypted', False),
    Claim('command', 'send-start', 'SEND_START, the session\'s length first'),
    Claim('command', 'send-update', 'SEND_UPDATE_DATA, the header\'s length '
          'first'),
    Claim('command', 'send-cancel', 'SEND_CANCEL; then it is RUNNING'),
    Claim('command', 'send-rate', 'the pace of SEND_UPDATE_DATA', False),
    Claim('command', 'receive-start', 'RECEIVE_START'),
    Claim('command', 'receive-update', 'RECEIVE_UPDATE_DATA'),
    Claim('command', 'receive-rate', 'the pace of RECEIVE_UPDATE_DATA', False),
    Claim('command', 'tampered', 'a packet that was changed is refused'),
    Claim('command', 'receive-finish', 'RECEIVE_FINISH; then it is RUNNING'),
    Claim('command', 'content', 'what was received is what was sent', False),
    Claim('command', 'send-finish', 'SEND_FINISH'),

    Claim('guest', 'launch', 'a guest runs'),
    Claim('guest', 'measurement', 'its measurement is the owner\'s own sum'),
    Claim('guest', 'declared', 'it declares the pages that it shares'),
    Claim('guest', 'cancel', 'a migration is called off, and it runs on'),
    Claim('guest', 'cancel-time', 'the cancel takes 100 ms at most', False),
    Claim('guest', 'migrate', 'it moves to another QEMU while it runs'),
    Claim('guest', 'moved', 'there it counts on, memory as it was'),
    Claim('guest', 'downtime', 'its downtime is within downtime-limit', False),
    Claim('guest', 'save', 'it is saved to a file'),
    Claim('guest', 'restore', 'from the file it counts on, memory as '
          'it was'),

    Claim('after', 'platform', 'the platform is as it was before'),
]

BY_NAME = {claim.name: claim for claim in CLAIMS}
