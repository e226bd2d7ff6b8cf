/*
 * Records onto a QEMUFile.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "migration/qemu-file.h"
#include "write.h"
#include "digest.h"
#include "target/i386/sev/test/fault.h"
#include "migration/sev/trace.h"

/* What can be made to fail when a record is written. */
static const SevFaultPoint put_fault[SEV_RECORD__MAX] = {
    [SEV_RECORD_HELLO] = SEV_FAULT_HELLO_WRITE,
    [SEV_RECORD_MANIFEST] = SEV_FAULT_MANIFEST_WRITE,
    [SEV_RECORD_SESSION] = SEV_FAULT_SESSION_WRITE,
    [SEV_RECORD_BLOCK] = SEV_FAULT_BLOCK_WRITE,
    [SEV_RECORD_PAGES] = SEV_FAULT_PAGES_WRITE,
    [SEV_RECORD_STATE] = SEV_FAULT_STATE_WRITE,
    [SEV_RECORD_BREAK] = SEV_FAULT_BREAK_WRITE,
    [SEV_RECORD_LANE] = SEV_FAULT_LANE_WRITE,
    [SEV_RECORD_SEALED] = SEV_FAULT_SEALED_WRITE,
    [SEV_RECORD_VCPUS] = SEV_FAULT_VCPUS_WRITE,
    [SEV_RECORD_VMSA] = SEV_FAULT_VMSA_WRITE,
    [SEV_RECORD_IMAGE] = SEV_FAULT_IMAGE_WRITE,
    [SEV_RECORD_HEADERS] = SEV_FAULT_HEADERS_WRITE,
    [SEV_RECORD_DIGEST] = SEV_FAULT_DIGEST_WRITE,
    [SEV_RECORD_SHARED] = SEV_FAULT_SHARED_WRITE,
    [SEV_RECORD_END] = SEV_FAULT_END_WRITE,
    [SEV_RECORD_GO] = SEV_FAULT_GO_WRITE,
};

void sev_record_put_fault(QEMUFile *f, SevRecordType type)
{
    Error *err = NULL;

    if (put_fault[type] && sev_fault(put_fault[type], &err)) {
        qemu_file_set_error_obj(f, -EIO, err);
    }
}

void sev_record_put(QEMUFile *f, const SevRecord *rec)
{
    g_autoptr(GByteArray) out = g_byte_array_new();

    sev_record_put_fault(f, rec->type);
    sev_record_encode(rec, out);
    trace_sev_stream_put(sev_record_name(rec->type), out->len);
    sev_tap_add(out->data, out->len);
    qemu_put_buffer(f, out->data, out->len);
}
