/*
 * An SEV-ES vCPU's state: what it starts with, and how it goes from one chip
 * to another.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "chip.h"
#include "hw/psp/psp-packet-key.h"
#include "hw/psp/psp-vmsa.h"

#define AT_PLAIN (AT_PAGE + 4 * PSP_PAGE_SIZE)  /* where DBG_DECRYPT writes */

/* --- The first state: the APM's table of a processor after INIT ------------ */

static void segment_is(const PspVmsaSegment *seg, uint16_t selector,
                       uint16_t attrib, uint64_t base)
{
    g_assert_cmphex(GUINT16_FROM_LE(seg->selector), ==, selector);
    g_assert_cmphex(GUINT16_FROM_LE(seg->attrib), ==, attrib);
    g_assert_cmphex(GUINT32_FROM_LE(seg->limit), ==, 0xffff);
    g_assert_cmphex(GUINT64_FROM_LE(seg->base), ==, base);
}

static void test_first(void)
{
    PspVmsaStart start = { .signature = 0xa00f11 };
    PspVmsa vmsa;

    psp_vmsa_start(&vmsa, &start);
    segment_is(&vmsa.cs, 0xf000, 0x9b, 0xffff0000);
    segment_is(&vmsa.ss, 0, 0x93, 0);
    segment_is(&vmsa.ds, 0, 0x93, 0);
    segment_is(&vmsa.gdtr, 0, 0, 0);
    segment_is(&vmsa.idtr, 0, 0, 0);
    segment_is(&vmsa.ldtr, 0, 0x82, 0);
    segment_is(&vmsa.tr, 0, 0x8b, 0);
    g_assert_cmphex(GUINT64_FROM_LE(vmsa.rip), ==, 0xfff0);
    g_assert_cmphex(GUINT64_FROM_LE(vmsa.rdx), ==, 0xa00f11);
    g_assert_cmphex(GUINT64_FROM_LE(vmsa.rflags), ==, 2);
    g_assert_cmphex(GUINT64_FROM_LE(vmsa.cr0), ==, 0x10);
    g_assert_cmphex(GUINT64_FROM_LE(vmsa.cr4), ==, 0x40);
    g_assert_cmphex(GUINT64_FROM_LE(vmsa.efer), ==, 0x1000);
    g_assert_cmphex(GUINT64_FROM_LE(vmsa.dr6), ==, 0xffff0ff0);
    g_assert_cmphex(GUINT64_FROM_LE(vmsa.dr7), ==, 0x400);
    g_assert_cmphex(GUINT64_FROM_LE(vmsa.g_pat), ==, 0x7040600070406);
    g_assert_cmphex(GUINT64_FROM_LE(vmsa.xcr0), ==, 1);
    g_assert_cmphex(GUINT32_FROM_LE(vmsa.mxcsr), ==, 0x1f80);
    g_assert_cmphex(GUINT16_FROM_LE(vmsa.x87_fcw), ==, 0x37f);
    g_assert_cmphex(vmsa.cpl, ==, 0);
}

/* A firmware's reset block moves CS and IP of the others, and nothing else. */
static void test_reset_block(void)
{
    PspVmsaStart start = { .signature = 0xa00f11 };
    PspVmsa first, other;

    psp_vmsa_start(&first, &start);
    start.reset_addr = 0x0080b004;
    psp_vmsa_start(&other, &start);
    segment_is(&other.cs, 0xf000, 0x9b, 0x00800000);
    g_assert_cmphex(GUINT64_FROM_LE(other.rip), ==, 0xb004);
    other.cs = first.cs;
    other.rip = first.rip;
    g_assert_cmpmem(&other, sizeof(other), &first, sizeof(first));
}

/* KVM_SEV_ES_INIT leaves the FPU out, and nothing else. */
static void test_legacy(void)
{
    PspVmsaStart start = { .signature = 1 };
    PspVmsa with, without;

    psp_vmsa_start(&with, &start);
    start.legacy = true;
    psp_vmsa_start(&without, &start);
    g_assert_cmphex(without.mxcsr, ==, 0);
    g_assert_cmphex(without.x87_fcw, ==, 0);
    without.mxcsr = with.mxcsr;
    without.x87_fcw = with.x87_fcw;
    g_assert_cmpmem(&without, sizeof(without), &with, sizeof(with));
}

/* --- From one chip to another ---------------------------------------------- */

typedef struct Pair {
    Chip *a;
    Chip *b;
    uint8_t plain[PSP_PAGE_SIZE];
} Pair;

/* An SEV-ES guest, if @data says so, between SEND_START and SEND_FINISH */
static void pair_set_up(Pair *pair, gconstpointer data)
{
    uint32_t policy = GPOINTER_TO_UINT(data);
    PspSession session;

    pair->a = chip_new("source");
    pair->b = chip_new("target");
    chip_init(pair->a, PSP_INIT_ES);
    chip_init(pair->b, PSP_INIT_ES);
    chip_export(pair->a);
    chip_export(pair->b);
    chip_trust(pair->a, pair->b);
    chip_fill(pair->a, AT_PAGE, PSP_PAGE_SIZE);
    memcpy(pair->plain, chip_at(pair->a, AT_PAGE), PSP_PAGE_SIZE);
    chip_run(pair->a, policy, 1, PSP_PAGE_SIZE);
    chip_ok(chip_send_start(pair->a, pair->b, &session));
    chip_ok(chip_receive_start(pair->b, pair->a, policy, &session));
    chip_ok(chip_activate(pair->b, 7));
}

static void pair_tear_down(Pair *pair, gconstpointer data)
{
    chip_free(pair->a);
    chip_free(pair->b);
}

/* A packet of the guest's page: what the target does with it is @open's. */
static void seal(Pair *pair, PspCommand cmd)
{
    chip_ok(chip_packet(pair->a, cmd, AT_PAGE, PSP_PAGE_SIZE));
    memcpy(chip_at(pair->b, AT_HDR), chip_at(pair->a, AT_HDR),
           sizeof(PspPacketHeader));
    memcpy(chip_at(pair->b, AT_TRANS), chip_at(pair->a, AT_TRANS),
           PSP_PAGE_SIZE);
}

static PspStatus open_as(Pair *pair, PspCommand cmd)
{
    return chip_packet(pair->b, cmd, AT_PAGE, PSP_PAGE_SIZE);
}

static void test_transfer(Pair *pair, gconstpointer data)
{
    seal(pair, PSP_CMD_SEND_UPDATE_VMSA);
    g_assert_cmpuint(((PspPacketHeader *)chip_at(pair->b, AT_HDR))->flags, ==,
                     0);
    g_assert_true(memcmp(chip_at(pair->b, AT_TRANS), pair->plain, 64) != 0);
    chip_ok(open_as(pair, PSP_CMD_RECEIVE_UPDATE_VMSA));
    g_assert_true(memcmp(chip_at(pair->b, AT_PAGE), chip_at(pair->a, AT_PAGE),
                         PSP_PAGE_SIZE) != 0);
    chip_ok(chip_debug(pair->b, PSP_CMD_DBG_DECRYPT, AT_PAGE, AT_PLAIN,
                       PSP_PAGE_SIZE));
    g_assert_cmpmem(chip_at(pair->b, AT_PLAIN), PSP_PAGE_SIZE, pair->plain,
                    PSP_PAGE_SIZE);
}

/* No host passes a page that it chose for a vCPU's state, nor the reverse. */
static void test_kinds(Pair *pair, gconstpointer data)
{
    seal(pair, PSP_CMD_SEND_UPDATE_DATA);
    chip_is(open_as(pair, PSP_CMD_RECEIVE_UPDATE_VMSA), BAD_MEASUREMENT);
    chip_ok(open_as(pair, PSP_CMD_RECEIVE_UPDATE_DATA));
    seal(pair, PSP_CMD_SEND_UPDATE_VMSA);
    chip_is(open_as(pair, PSP_CMD_RECEIVE_UPDATE_DATA), BAD_MEASUREMENT);
    chip_ok(open_as(pair, PSP_CMD_RECEIVE_UPDATE_VMSA));
}

/* Every bit of the header, and of the first bytes of the state */
static void test_tampered(Pair *pair, gconstpointer data)
{
    uint8_t before[PSP_PAGE_SIZE];

    seal(pair, PSP_CMD_SEND_UPDATE_VMSA);
    memcpy(before, chip_at(pair->b, AT_PAGE), sizeof(before));
    for (size_t bit = 0; bit < 8 * (PSP_PACKET_HDR_LEN + 64); bit++) {
        uint8_t *at = bit / 8 < PSP_PACKET_HDR_LEN
            ? chip_at(pair->b, AT_HDR) + bit / 8
            : chip_at(pair->b, AT_TRANS) + bit / 8 - PSP_PACKET_HDR_LEN;

        *at ^= 1u << bit % 8;
        chip_is(open_as(pair, PSP_CMD_RECEIVE_UPDATE_VMSA), BAD_MEASUREMENT);
        g_assert_cmpmem(chip_at(pair->b, AT_PAGE), sizeof(before), before,
                        sizeof(before));
        *at ^= 1u << bit % 8;
    }
    chip_ok(open_as(pair, PSP_CMD_RECEIVE_UPDATE_VMSA));
}

/* A state is one page long, and its buffers have room for it. */
static void test_lengths(Pair *pair, gconstpointer data)
{
    static const uint32_t bad[] = { 0, 16, 4080, 4112, 8192, 0xfffffff0 };
    PspPacketCmd query = {
        .handle = GUINT32_TO_LE(pair->a->handle),
        .guest_len = GUINT32_TO_LE(PSP_PAGE_SIZE),
    };

    seal(pair, PSP_CMD_SEND_UPDATE_VMSA);
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        chip_is(chip_packet(pair->a, PSP_CMD_SEND_UPDATE_VMSA, AT_PAGE,
                            bad[i]), INVALID_LEN);
        chip_is(chip_packet(pair->b, PSP_CMD_RECEIVE_UPDATE_VMSA, AT_PAGE,
                            bad[i]), INVALID_LEN);
    }
    chip_is(psp_exec(pair->a->psp, PSP_CMD_SEND_UPDATE_VMSA, &query,
                     sizeof(query)), INVALID_LEN);
    g_assert_cmpuint(GUINT32_FROM_LE(query.hdr_len), ==, PSP_PACKET_HDR_LEN);
    g_assert_cmpuint(GUINT32_FROM_LE(query.trans_len), ==, PSP_PAGE_SIZE);
    chip_is(chip_packet(pair->a, PSP_CMD_SEND_UPDATE_VMSA, AT_PAGE + 8,
                        PSP_PAGE_SIZE), INVALID_ADDRESS);
    pair->a->hole = pair->b->hole = AT_PAGE;
    chip_is(chip_packet(pair->a, PSP_CMD_SEND_UPDATE_VMSA, AT_PAGE,
                        PSP_PAGE_SIZE), INVALID_ADDRESS);
    chip_is(open_as(pair, PSP_CMD_RECEIVE_UPDATE_VMSA), INVALID_ADDRESS);
}

/* Only within a session, and only while the guest is active */
static void test_states(Pair *pair, gconstpointer data)
{
    seal(pair, PSP_CMD_SEND_UPDATE_VMSA);
    chip_ok(chip_simple(pair->b, PSP_CMD_DEACTIVATE));
    chip_is(open_as(pair, PSP_CMD_RECEIVE_UPDATE_VMSA), INACTIVE);
    chip_ok(chip_activate(pair->b, 8));
    chip_ok(chip_simple(pair->b, PSP_CMD_RECEIVE_FINISH));
    chip_is(open_as(pair, PSP_CMD_RECEIVE_UPDATE_VMSA), INVALID_GUEST_STATE);
    chip_ok(chip_simple(pair->a, PSP_CMD_SEND_CANCEL));
    chip_is(chip_packet(pair->a, PSP_CMD_SEND_UPDATE_VMSA, AT_PAGE,
                        PSP_PAGE_SIZE), INVALID_GUEST_STATE);
}

/* Who kept the session's keys tells the two kinds apart, too. */
static void test_opened_later(Pair *pair, gconstpointer data)
{
    g_autoptr(PspPacketKey) key = psp_packet_key_get(pair->b->psp,
                                                     pair->b->handle);
    const uint8_t *hdr = chip_at(pair->b, AT_HDR);
    const uint8_t *trans = chip_at(pair->b, AT_TRANS);
    uint8_t plain[PSP_PAGE_SIZE] = { 0 };

    seal(pair, PSP_CMD_SEND_UPDATE_DATA);
    g_assert_false(psp_packet_key_open_vmsa(key, hdr, trans, plain));
    seal(pair, PSP_CMD_SEND_UPDATE_VMSA);
    g_assert_false(psp_packet_key_open(key, hdr, trans, plain,
                                       PSP_PAGE_SIZE));
    g_assert_true(psp_packet_key_open_vmsa(key, hdr, trans, plain));
    g_assert_cmpmem(plain, sizeof(plain), pair->plain, PSP_PAGE_SIZE);
}

/* A plain SEV guest has no such state. */
static void test_policy(Pair *pair, gconstpointer data)
{
    chip_is(chip_packet(pair->a, PSP_CMD_SEND_UPDATE_VMSA, AT_PAGE,
                        PSP_PAGE_SIZE), UNSUPPORTED);
    seal(pair, PSP_CMD_SEND_UPDATE_DATA);
    chip_is(open_as(pair, PSP_CMD_RECEIVE_UPDATE_VMSA), UNSUPPORTED);
}

/* --- Main ------------------------------------------------------------------- */

static void add(const char *name, uint32_t policy,
                void (*test)(Pair *, gconstpointer))
{
    g_autofree char *path = g_strconcat("/psp/vmsa/", name, NULL);

    g_test_add(path, Pair, GUINT_TO_POINTER(policy), pair_set_up, test,
               pair_tear_down);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/psp/vmsa/first", test_first);
    g_test_add_func("/psp/vmsa/reset-block", test_reset_block);
    g_test_add_func("/psp/vmsa/legacy", test_legacy);
    add("transfer", PSP_POLICY_ES, test_transfer);
    add("kinds", PSP_POLICY_ES, test_kinds);
    add("tampered", PSP_POLICY_ES, test_tampered);
    add("lengths", PSP_POLICY_ES, test_lengths);
    add("states", PSP_POLICY_ES, test_states);
    add("opened-later", PSP_POLICY_ES, test_opened_later);
    add("policy", 0, test_policy);
    return g_test_run();
}
