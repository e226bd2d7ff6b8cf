/*
 * The registers of an SEV-ES guest's vCPUs on a stream, both ends.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "migration/qemu-file.h"
#include "target/i386/sev/transfer.h"
#include "vcpus.h"
#include "migration/sev/wire/write.h"

/* --- Source ----------------------------------------------------------------- */

bool sev_vcpus_save_list(QEMUFile *f, Error **errp)
{
    SevRecord rec = { .type = SEV_RECORD_VCPUS };
    g_autoptr(GByteArray) ids = NULL;
    size_t count = sev_vcpus();

    if (!count) {
        return true;
    }
    if (count > SEV_RECORD_VCPUS_MAX) {
        error_setg(errp, "SEV: an SEV-ES guest with %zu vCPUs cannot be sent, "
                   "the most is %d", count, SEV_RECORD_VCPUS_MAX);
        return false;
    }
    ids = g_byte_array_new();
    for (size_t n = 0; n < count; n++) {
        uint64_t id = cpu_to_be64(sev_vcpu_id(n));

        g_byte_array_append(ids, (const uint8_t *)&id, sizeof(id));
    }
    rec.u.vcpus = (SevRecordVcpus) {
        .ghcb = sev_vcpus_ghcb(),
        .count = count,
        .ids = { .data = ids->data, .len = ids->len },
    };
    sev_record_put(f, &rec);
    return true;
}

bool sev_vcpus_save(QEMUFile *f, Error **errp)
{
    size_t count = sev_vcpus();

    for (size_t n = 0; n < count; n++) {
        uint8_t packet[SEV_RECORD_PACKET_LEN];
        SevRecord rec = {
            .type = SEV_RECORD_VMSA,
            .u.vmsa.number = n,
            .u.vmsa.packet = { .data = packet, .len = sizeof(packet) },
        };

        if (!sev_send_vcpu(n, packet, packet + SEV_RECORD_PACKET_HDR, errp)) {
            return false;
        }
        sev_record_put(f, &rec);
    }
    return true;
}

/* --- Target ----------------------------------------------------------------- */

bool sev_vcpus_load_list(SevTarget *t, const SevRecord *rec, Error **errp)
{
    const SevRecordVcpus *r = &rec->u.vcpus;
    size_t count = sev_vcpus();

    if (t->seen[SEV_RECORD_VCPUS]) {
        error_setg(errp, "SEV stream: there is a second VCPUS record");
        return false;
    }
    if (!count) {
        error_setg(errp, "SEV stream: registers of vCPUs are announced, and "
                   "this is no SEV-ES guest");
        return false;
    }
    if (r->count != count) {
        error_setg(errp, "SEV: the SEV-ES guest has %" PRIu64 " vCPUs, this "
                   "target was started with %zu", r->count, count);
        return false;
    }
    for (size_t n = 0; n < count; n++) {
        uint64_t id = ldq_be_p(r->ids.data + 8 * n);

        if (id != sev_vcpu_id(n)) {
            error_setg(errp, "SEV: the SEV-ES guest's vCPU number %zu has "
                       "APIC id %" PRIu64 ", this target's has %" PRIu64
                       ": start it with the same sockets, cores and threads",
                       n, id,
                       sev_vcpu_id(n));
            return false;
        }
    }
    if (r->ghcb != sev_vcpus_ghcb()) {
        error_setg(errp, "SEV: the SEV-ES guest was offered version %" PRIu64
                   " of the GHCB protocol, this target offers %" PRIu64 ": start "
                   "it with the source's legacy-vm-type", r->ghcb,
                   sev_vcpus_ghcb());
        return false;
    }
    return true;
}

bool sev_vcpus_load(SevTarget *t, const SevRecord *rec, Error **errp)
{
    const SevRecordVmsa *r = &rec->u.vmsa;
    uint64_t expected = t->seen[SEV_RECORD_VMSA];

    if (expected == sev_vcpus()) {
        error_setg(errp, "SEV stream: the registers of all %zu vCPUs came, and "
                   "more of number %" PRIu64, sev_vcpus(), r->number);
        return false;
    }
    if (r->number != expected) {
        error_setg(errp, "SEV stream: registers of vCPU number %" PRIu64
                   ", expected number %" PRIu64, r->number, expected);
        return false;
    }
    return sev_receive_vcpu(r->number, r->packet.data,
                            r->packet.data + SEV_RECORD_PACKET_HDR, errp);
}

bool sev_vcpus_listed(const SevTarget *t, Error **errp)
{
    if (sev_vcpus() && !t->seen[SEV_RECORD_VCPUS]) {
        error_setg(errp, "SEV stream: this is an SEV-ES guest, and no VCPUS "
                   "record says which vCPUs come");
        return false;
    }
    return true;
}

bool sev_vcpus_complete(const SevTarget *t, Error **errp)
{
    if (t->seen[SEV_RECORD_VMSA] != sev_vcpus()) {
        error_setg(errp, "SEV stream: registers of %" PRIu64 " vCPUs came, the "
                   "guest has %zu", t->seen[SEV_RECORD_VMSA], sev_vcpus());
        return false;
    }
    return true;
}
