/*
 * Does the chip obey the API's states?
 *
 * The grid was typed from the API's tables, not from commands.c: it is tried
 * whole, every command number in every state of platform and guest.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "chip.h"
#include "grid.h"

/* --- A chip in any state ------------------------------------------------- */

static const PspTransportKeys owner_keys = { .tek = "tek", .tik = "tik" };

#define POLICY PSP_POLICY_ES
#define ASID 3

/* A packet of a vCPU's state, beside that of a page */
#define AT_HDR_VMSA     (AT_HDR + 0x100)
#define AT_TRANS_VMSA   (AT_TRANS + PSP_PAGE_SIZE)

/* A launched guest that sends itself to its own chip, cut off at @state */
static void bench_launch_to(Chip *chip, char state)
{
    PspMeasure measure;
    PspSession session;
    static const uint8_t secret[16] = "a secret";

    chip_ok(chip_launch_owned(chip, POLICY, &owner_keys));
    chip_ok(chip_activate(chip, ASID));
    if (state == '1') {
        return;
    }
    chip_ok(chip_measure(chip, &measure));
    chip_seal(chip, &owner_keys, PSP_PACKET_SECRET, &measure, secret, 16);
    if (state == '2') {
        return;
    }
    chip_ok(chip_simple(chip, PSP_CMD_LAUNCH_FINISH));
    if (state == '3') {
        return;
    }
    chip_ok(chip_send_start(chip, chip, &session));
    if (state == '4') {
        return;
    }
    if (state == '5') {
        PspHandleCmd source = { .handle = GUINT32_TO_LE(chip->handle) };

        chip_ok(chip_packet(chip, PSP_CMD_SEND_UPDATE_VMSA, AT_PAGE,
                            PSP_PAGE_SIZE));
        memcpy(chip_at(chip, AT_HDR_VMSA), chip_at(chip, AT_HDR),
               PSP_PACKET_HDR_LEN);
        memcpy(chip_at(chip, AT_TRANS_VMSA), chip_at(chip, AT_TRANS),
               PSP_PAGE_SIZE);
        chip_ok(chip_packet(chip, PSP_CMD_SEND_UPDATE_DATA, AT_PAGE,
                            PSP_PAGE_SIZE));
        chip_ok(chip_receive_start(chip, chip, POLICY, &session));
        chip_ok(chip_activate(chip, ASID + 1));
        chip_ok(psp_exec(chip->psp, PSP_CMD_DEACTIVATE, &source, 4));
        chip_ok(psp_exec(chip->psp, PSP_CMD_DECOMMISSION, &source, 4));
        return;
    }
    chip_ok(chip_simple(chip, PSP_CMD_SEND_FINISH));
}

/* @platform as in the grid; @guest '0': none */
static Chip *bench_in(char platform, char guest)
{
    Chip *chip = chip_new("grid");

    if (platform == 'U') {
        return chip;
    }
    chip_init(chip, PSP_INIT_ES);
    chip_export(chip);
    if (platform == 'W') {
        bench_launch_to(chip, guest == '0' ? '1' : guest);
    }
    if (guest == '0') {
        chip->handle += 1000;
    }
    return chip;
}

/* --- Arguments that work ------------------------------------------------- */

static void args_for_start(Chip *chip, ChipBuffer *buf)
{
    PspMeasure measure;
    PspSession session;
    uint32_t before = chip->handle;

    /* Somebody must have sent to us: a second guest does, and goes. */
    chip_ok(chip_launch_owned(chip, POLICY, &owner_keys));
    chip_ok(chip_activate(chip, ASID + 7));
    chip_ok(chip_measure(chip, &measure));
    chip_ok(chip_simple(chip, PSP_CMD_LAUNCH_FINISH));
    chip_ok(chip_send_start(chip, chip, &session));
    chip_ok(chip_simple(chip, PSP_CMD_DEACTIVATE));
    chip_ok(chip_simple(chip, PSP_CMD_DECOMMISSION));
    chip->handle = before;
    buf->start.policy = GUINT32_TO_LE(POLICY);
    buf->start.dh_cert_paddr = GUINT64_TO_LE(AT_PDH);
    buf->start.dh_cert_len = GUINT32_TO_LE(PSP_CERT_LEN);
    buf->start.session_paddr = GUINT64_TO_LE(AT_SESSION);
    buf->start.session_len = GUINT32_TO_LE(PSP_SESSION_LEN);
}

static void args_packet(ChipBuffer *buf, uint32_t len)
{
    buf->packet.hdr_paddr = GUINT64_TO_LE(AT_HDR);
    buf->packet.hdr_len = GUINT32_TO_LE(PSP_PACKET_HDR_LEN);
    buf->packet.guest_paddr = GUINT64_TO_LE(AT_PAGE);
    buf->packet.guest_len = GUINT32_TO_LE(len);
    buf->packet.trans_paddr = GUINT64_TO_LE(AT_TRANS);
    buf->packet.trans_len = GUINT32_TO_LE(len);
}

static void args_send_start(ChipBuffer *buf)
{
    buf->send_start.pdh_paddr = GUINT64_TO_LE(AT_PDH);
    buf->send_start.pdh_len = GUINT32_TO_LE(PSP_CERT_LEN);
    buf->send_start.session_paddr = GUINT64_TO_LE(AT_SESSION);
    buf->send_start.session_len = GUINT32_TO_LE(PSP_SESSION_LEN);
}

static void args_fill(Chip *chip, PspCommand cmd, ChipBuffer *buf)
{
    switch ((int)cmd) {
    case 0x06:
        buf->csr.csr_paddr = GUINT64_TO_LE(AT_OUT);
        buf->csr.csr_len = GUINT32_TO_LE(PSP_CERT_LEN);
        break;
    case 0x08:
        buf->export.pdh_paddr = GUINT64_TO_LE(AT_PDH);
        buf->export.pdh_len = GUINT32_TO_LE(PSP_CERT_LEN);
        buf->export.chain_paddr = GUINT64_TO_LE(AT_PLAT);
        buf->export.chain_len = GUINT32_TO_LE(PSP_CHAIN_LEN);
        break;
    case 0x0c:
        buf->get_id.id_paddr = GUINT64_TO_LE(AT_OUT);
        buf->get_id.id_len = GUINT32_TO_LE(PSP_ID_LEN);
        break;
    case 0x21:
        buf->activate.asid = GUINT32_TO_LE(100);
        break;
    case 0x24:
        buf->copy.len = GUINT32_TO_LE(PSP_PAGE_SIZE);
        buf->copy.src_paddr = GUINT64_TO_LE(AT_PAGE);
        buf->copy.dst_paddr = GUINT64_TO_LE(AT_PAGE + PSP_PAGE_SIZE);
        break;
    case 0x25:
        buf->activate_ex.length = GUINT32_TO_LE(24);
        buf->activate_ex.asid = GUINT32_TO_LE(100);
        break;
    case 0x31:
    case 0x32:
        buf->update.paddr = GUINT64_TO_LE(AT_PAGE);
        buf->update.len = GUINT32_TO_LE(PSP_PAGE_SIZE);
        break;
    case 0x33:
        buf->measure.measure_paddr = GUINT64_TO_LE(AT_OUT);
        buf->measure.measure_len = GUINT32_TO_LE(PSP_MEASURE_LEN);
        break;
    case 0x34:
        args_packet(buf, 16);
        break;
    case 0x36:
        buf->attestation.report_paddr = GUINT64_TO_LE(AT_OUT);
        buf->attestation.report_len = GUINT32_TO_LE(PSP_REPORT_LEN);
        break;
    case 0x40:
        args_send_start(buf);
        break;
    case 0x41:
    case 0x42:
    case 0x51:
        args_packet(buf, PSP_PAGE_SIZE);
        break;
    case 0x52:
        args_packet(buf, PSP_PAGE_SIZE);
        buf->packet.hdr_paddr = GUINT64_TO_LE(AT_HDR_VMSA);
        buf->packet.trans_paddr = GUINT64_TO_LE(AT_TRANS_VMSA);
        break;
    case 0x50:
        args_for_start(chip, buf);
        break;
    case 0x60:
    case 0x61:
        buf->debug.src_paddr = GUINT64_TO_LE(AT_PAGE);
        buf->debug.dst_paddr = GUINT64_TO_LE(AT_OUT);
        buf->debug.len = GUINT32_TO_LE(16);
        break;
    }
}

/* What a command needs the guest to be, besides its state */
static void bench_prepare(Chip *chip, PspCommand cmd)
{
    if (cmd == 0x20 || cmd == 0x21 || cmd == 0x25) {
        chip_ok(chip_simple(chip, PSP_CMD_DEACTIVATE));
    }
}

static void buffer_set_handle(const GridRow *row, ChipBuffer *buf,
                              uint32_t handle)
{
    size_t at = row->cmd == 0x25 ? 4 : 0;

    handle = GUINT32_TO_LE(handle);
    if (strcmp(row->guest, "") != 0 && strcmp(row->guest, "new") != 0) {
        memcpy(buf->bytes + at, &handle, 4);
    }
}

/* --- The grid ------------------------------------------------------------ */

static const char platforms[] = "UIW";

static char platform_now(Chip *chip)
{
    return platforms[chip_status(chip).state];
}

/* INIT_EX, DOWNLOAD_FIRMWARE and IMPORT have tests of their own. */
static bool is_special(PspCommand cmd)
{
    return cmd == 0x07 || cmd == 0x0b || cmd == 0x0d;
}

static void expect_next(const GridRow *row, Chip *chip, char platform,
                        char guest, const ChipBuffer *buf)
{
    switch (row->cmd) {
    case 0x01:
        g_assert_cmpint(platform_now(chip), ==, 'I');
        return;
    case 0x02:
        g_assert_cmpint(platform_now(chip), ==, 'U');
        return;
    case 0x30:
    case 0x50:
        chip->handle = GUINT32_FROM_LE(buf->start.handle);
        g_assert_cmpint(platform_now(chip), ==, 'W');
        break;
    default:
        g_assert_cmpint(platform_now(chip), ==,
                        row->to == '0' ? 'I' : platform);
    }
    if (row->to == '1' || row->to == '5' || (guest != '0' && row->to != '0')) {
        g_assert_cmpint(chip_guest_state(chip), ==,
                        row->to == '=' ? guest - '0' : row->to - '0');
    }
}

static void try_cell(unsigned cmd, char platform, char guest)
{
    g_autoptr(Chip) chip = bench_in(platform, guest);
    const GridRow *row = grid_find(cmd);
    ChipBuffer buf = { 0 };
    PspStatus status;

    if (!row) {
        chip_is(psp_exec(chip->psp, cmd, &buf, 4), INVALID_COMMAND);
        return;
    }
    if (!strchr(row->platform, platform)) {
        buffer_set_handle(row, &buf, chip->handle);
        chip_is(psp_exec(chip->psp, cmd, &buf, row->size),
                INVALID_PLATFORM_STATE);
        return;
    }
    if (strcmp(row->guest, "") != 0 && strcmp(row->guest, "new") != 0) {
        if (guest == '0' || !strchr(row->guest, guest)) {
            buffer_set_handle(row, &buf, chip->handle);
            status = psp_exec(chip->psp, cmd, &buf, row->size);
            if (guest == '0') {
                chip_is(status, INVALID_GUEST);
            } else {
                chip_is(status, INVALID_GUEST_STATE);
                g_assert_cmpint(chip_guest_state(chip), ==, guest - '0');
            }
            return;
        }
        bench_prepare(chip, cmd);
    }
    args_fill(chip, cmd, &buf);
    buffer_set_handle(row, &buf, chip->handle);
    status = psp_exec(chip->psp, cmd, &buf, row->size);
    if (is_special(cmd)) {
        g_assert_cmpint(status, !=, PSP_INVALID_PLATFORM_STATE);
        return;
    }
    chip_ok(status);
    expect_next(row, chip, platform, guest, &buf);
}

static void test_grid(void)
{
    unsigned cells = 0;

    for (unsigned cmd = 0; cmd < 0x82; cmd++) {
        for (const char *p = platforms; *p; p++) {
            const char *guests = *p == 'W' ? "0123456" : "0";

            for (const char *g = guests; *g; g++) {
                g_test_message("command 0x%02x platform %c guest %c", cmd,
                               *p, *g);
                try_cell(cmd, *p, *g);
                cells++;
            }
        }
    }
    g_test_message("%u cells", cells);
    g_assert_cmpuint(cells, ==, 0x82 * 9);
}

static void test_sizes(void)
{
    g_autoptr(Chip) chip = bench_in('W', '1');
    ChipBuffer buf = { 0 };

    for (unsigned cmd = 0; cmd < 0x80; cmd++) {
        const GridRow *row = grid_find(cmd);

        for (unsigned size = 0; size < sizeof(buf); size++) {
            PspStatus status;

            if (row && size == row->size) {
                continue;
            }
            status = psp_exec(chip->psp, cmd, &buf, size);
            g_assert_cmpint(status, ==, row ? PSP_INVALID_LEN
                                            : PSP_INVALID_COMMAND);
        }
        if (row && row->size) {
            chip_is(psp_exec(chip->psp, cmd, NULL, row->size), INVALID_LEN);
        }
    }
}

static void test_names(void)
{
    for (unsigned cmd = 0; cmd < 0x82; cmd++) {
        const GridRow *row = grid_find(cmd);

        g_assert_cmpstr(psp_command_name(cmd), ==,
                        row ? row->name : "unknown");
    }
    g_assert_cmpstr(psp_status_name(0), ==, "SUCCESS");
    g_assert_cmpstr(psp_status_name(0x18), ==, "SECURE_DATA_INVALID");
    g_assert_cmpstr(psp_status_name(0x19), ==, "unknown");
}

/* docs/specs/sev-psp.rst has the same table for people. */
static void test_docs(void)
{
    g_autofree char *text = NULL;
    const char *path = g_getenv("PSP_DOCS");

    if (!path || !g_file_get_contents(path, &text, NULL, NULL)) {
        g_test_skip("PSP_DOCS names no file");
        return;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(grid); i++) {
        g_autofree char *want = g_strdup_printf(
            "^0x%02X +%s +%u +%s +%s( |$)", grid[i].cmd, grid[i].name,
            grid[i].size, grid[i].platform,
            *grid[i].guest ? grid[i].guest : "\\\\-");

        if (!g_regex_match_simple(want, text, G_REGEX_MULTILINE, 0)) {
            g_test_message("docs/specs/sev-psp.rst lacks: %s", want);
            g_test_fail();
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/psp/table/grid", test_grid);
    g_test_add_func("/psp/table/sizes", test_sizes);
    g_test_add_func("/psp/table/names", test_names);
    g_test_add_func("/psp/table/docs", test_docs);
    return g_test_run();
}
