/*
 * The registers of an SEV-ES guest's vCPUs on a stream: what a source writes,
 * and what a target refuses of a source that lies.
 *
 * The guest and its secure processor are replaced by a few numbers.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "migration/qemu-file.h"
#include "migration/sev/vcpus.h"
#include "migration/sev/wire/write.h"
#include "target/i386/sev/transfer.h"

/* --- A guest of this many vCPUs, whose APIC ids are 2 n --------------------- */

static struct {
    size_t vcpus;
    uint64_t ghcb;
    bool silent;                /* the secure processor refuses */
    GArray *received;           /* of size_t: numbers */
} guest;

size_t sev_vcpus(void)
{
    return guest.vcpus;
}

uint64_t sev_vcpu_id(size_t n)
{
    g_assert_cmpuint(n, <, guest.vcpus);
    return 2 * n;
}

uint64_t sev_vcpus_ghcb(void)
{
    return guest.ghcb;
}

bool sev_send_vcpu(size_t n, uint8_t *hdr, uint8_t *data, Error **errp)
{
    g_assert_cmpuint(n, <, guest.vcpus);
    if (guest.silent) {
        error_setg(errp, "silent");
        return false;
    }
    memset(hdr, 0x10 + n, SEV_PACKET_HDR_LEN);
    memset(data, 0x20 + n, SEV_PACKET_DATA_LEN);
    return true;
}

bool sev_receive_vcpu(size_t n, const uint8_t *hdr, const uint8_t *data,
                      Error **errp)
{
    g_assert_cmpuint(n, <, guest.vcpus);
    if (hdr[0] != 0x10 + n || data[SEV_PACKET_DATA_LEN - 1] != 0x20 + n) {
        error_setg(errp, "fails its MAC");
        return false;
    }
    g_array_append_val(guest.received, n);
    return true;
}

static void set_up(size_t vcpus, uint64_t ghcb)
{
    g_clear_pointer(&guest.received, g_array_unref);
    guest.vcpus = vcpus;
    guest.ghcb = ghcb;
    guest.silent = false;
    guest.received = g_array_new(false, false, sizeof(size_t));
}

/* --- A stream that is a piece of memory -------------------------------------- */

struct QEMUFile {
    GByteArray *out;
    size_t at;
};

void sev_record_put(QEMUFile *f, const SevRecord *rec)
{
    sev_record_encode(rec, f->out);
}

static QEMUFile *sent(size_t vcpus, uint64_t ghcb)
{
    QEMUFile *f = g_new0(QEMUFile, 1);

    set_up(vcpus, ghcb);
    f->out = g_byte_array_new();
    g_assert_true(sev_vcpus_save_list(f, &error_abort));
    g_assert_true(sev_vcpus_save(f, &error_abort));
    return f;
}

static void file_free(QEMUFile *f)
{
    g_byte_array_unref(f->out);
    g_free(f);
}

/* The next record; its spans point into the file. */
static bool next(QEMUFile *f, SevRecord *rec)
{
    SevRecordType type;
    size_t len;

    if (f->at == f->out->len) {
        return false;
    }
    g_assert_true(sev_record_decode_header(f->out->data + f->at, &type, &len,
                                           &error_abort));
    len += SEV_RECORD_HEADER_LEN;
    g_assert_true(sev_record_decode(rec, f->out->data + f->at, len,
                                    &error_abort));
    f->at += len;
    return true;
}

/* As order.c does it */
static bool load(SevTarget *t, const SevRecord *rec, Error **errp)
{
    bool ok = rec->type == SEV_RECORD_VCPUS ? sev_vcpus_load_list(t, rec, errp)
                                            : sev_vcpus_load(t, rec, errp);

    t->seen[rec->type] += ok;
    return ok;
}

static void refused(bool ok, Error **err, const char *words)
{
    g_assert_false(ok);
    g_assert_nonnull(*err);
    if (!strstr(error_get_pretty(*err), words)) {
        g_test_message("no \"%s\" in: %s", words, error_get_pretty(*err));
        g_test_fail();
    }
    error_free(*err);
    *err = NULL;
}

static void load_refused(SevTarget *t, const SevRecord *rec, const char *words)
{
    Error *err = NULL;

    refused(load(t, rec, &err), &err, words);
}

/* --- What arrives -------------------------------------------------------------- */

static void test_moves(void)
{
    static const size_t counts[] = { 1, 2, 4, 300 };

    for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
        QEMUFile *f = sent(counts[i], 1);
        SevTarget t = {};
        SevRecord rec;

        while (next(f, &rec)) {
            if (rec.type == SEV_RECORD_VMSA) {
                g_assert_true(sev_vcpus_listed(&t, &error_abort));
            }
            /* 0x10 + n is a byte, so the mock's packets repeat */
            if (rec.type == SEV_RECORD_VMSA && rec.u.vmsa.number >= 0xe0) {
                break;
            }
            g_assert_true(load(&t, &rec, &error_abort));
        }
        g_assert_cmpuint(guest.received->len, ==, MIN(counts[i], 0xe0));
        g_assert_cmpuint(t.seen[SEV_RECORD_VCPUS], ==, 1);
        if (counts[i] < 0xe0) {
            g_assert_true(sev_vcpus_complete(&t, &error_abort));
        }
        file_free(f);
    }
}

/* The stream of a guest whose registers are not encrypted has none of it. */
static void test_plain(void)
{
    QEMUFile *f = sent(0, 0);
    SevTarget t = {};

    g_assert_cmpuint(f->out->len, ==, 0);
    g_assert_true(sev_vcpus_listed(&t, &error_abort));
    g_assert_true(sev_vcpus_complete(&t, &error_abort));
    file_free(f);
}

static void test_source_fails(void)
{
    QEMUFile *f = sent(2, 1);
    Error *err = NULL;
    size_t len = f->out->len;

    guest.silent = true;
    refused(sev_vcpus_save(f, &err), &err, "silent");
    g_assert_cmpuint(f->out->len, ==, len);
    set_up(SEV_RECORD_VCPUS_MAX + 1, 1);
    refused(sev_vcpus_save_list(f, &err), &err, "the most is 4096");
    file_free(f);
}

/* --- What does not ------------------------------------------------------------ */

static void test_list_refused(void)
{
    QEMUFile *f = sent(2, 1);
    SevTarget t = {};
    SevRecord rec;
    Error *err = NULL;

    next(f, &rec);
    set_up(0, 0);
    load_refused(&t, &rec, "this is no SEV-ES guest");
    set_up(3, 1);
    load_refused(&t, &rec, "has 2 vCPUs, this target was started with 3");
    set_up(1, 1);
    load_refused(&t, &rec, "has 2 vCPUs, this target was started with 1");
    set_up(2, 2);
    load_refused(&t, &rec, "was offered version 1 of the GHCB protocol, this "
                 "target offers 2");
    set_up(2, 1);
    refused(sev_vcpus_listed(&t, &err), &err, "no VCPUS record");
    stq_be_p((void *)rec.u.vcpus.ids.data + 8, 1);
    load_refused(&t, &rec, "vCPU number 1 has APIC id 1, this target's has 2");
    stq_be_p((void *)rec.u.vcpus.ids.data + 8, 2);
    g_assert_true(load(&t, &rec, &error_abort));
    load_refused(&t, &rec, "a second VCPUS record");
    file_free(f);
}

/* Missing, doubled, out of order, foreign, changed: each has its sentence. */
static void test_packets_refused(void)
{
    QEMUFile *f = sent(3, 1);
    SevRecord list, vmsa[3], other;
    SevTarget t = {};
    Error *err = NULL;

    next(f, &list);
    for (int i = 0; i < 3; i++) {
        g_assert_true(next(f, &vmsa[i]));
    }
    g_assert_true(load(&t, &list, &error_abort));
    refused(sev_vcpus_complete(&t, &err), &err, "registers of 0 vCPUs came, "
            "the guest has 3");
    load_refused(&t, &vmsa[1], "vCPU number 1, expected number 0");
    g_assert_true(load(&t, &vmsa[0], &error_abort));
    load_refused(&t, &vmsa[0], "vCPU number 0, expected number 1");
    other = vmsa[1];
    other.u.vmsa.number = UINT64_MAX;
    load_refused(&t, &other, "expected number 1");
    other.u.vmsa.number = 1;
    other.u.vmsa.packet = vmsa[2].u.vmsa.packet;
    load_refused(&t, &other, "fails its MAC");
    g_assert_true(load(&t, &vmsa[1], &error_abort));
    refused(sev_vcpus_complete(&t, &err), &err, "registers of 2 vCPUs came, "
            "the guest has 3");
    g_assert_true(load(&t, &vmsa[2], &error_abort));
    g_assert_true(sev_vcpus_complete(&t, &error_abort));
    other.u.vmsa.number = 3;
    load_refused(&t, &other, "the registers of all 3 vCPUs came, and more of "
                 "number 3");
    g_assert_cmpuint(guest.received->len, ==, 3);
    file_free(f);
}

/* A plain guest's stream with a packet of registers */
static void test_not_encrypted(void)
{
    QEMUFile *f = sent(1, 1);
    SevTarget t = {};
    SevRecord rec;

    next(f, &rec);
    next(f, &rec);
    set_up(0, 0);
    load_refused(&t, &rec, "the registers of all 0 vCPUs came");
    file_free(f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sev/vcpus/moves", test_moves);
    g_test_add_func("/sev/vcpus/plain", test_plain);
    g_test_add_func("/sev/vcpus/source-fails", test_source_fails);
    g_test_add_func("/sev/vcpus/list-refused", test_list_refused);
    g_test_add_func("/sev/vcpus/packets-refused", test_packets_refused);
    g_test_add_func("/sev/vcpus/not-encrypted", test_not_encrypted);
    return g_test_run();
}
