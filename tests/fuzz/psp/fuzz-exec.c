/*
 * Any list of commands, against a naive model of the API's states.
 *
 * The input is a list of steps: a byte that names a command (or, above the
 * commands, a patch of memory), a byte that picks a guest, a count of patches
 * to the command buffer, and the patches (offset, value).  Buffers start out
 * right, so that random lists get far; patches make them wrong.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "fuzz.h"
#include "tests/unit/psp/chip.h"
#include "tests/unit/psp/grid.h"

#define GUESTS_MAX 64

/* What there should be */
typedef struct Model {
    char platform;              /* U, I, W */
    unsigned count;
    uint32_t handles[GUESTS_MAX];
    char states[GUESTS_MAX];    /* '1' to '6' */
} Model;

static int model_find(const Model *model, uint32_t handle)
{
    for (unsigned i = 0; i < model->count; i++) {
        if (model->handles[i] == handle) {
            return i;
        }
    }
    return -1;
}

static bool grid_has_guest(const GridRow *row)
{
    return *row->guest && strcmp(row->guest, "new") != 0;
}

/* What the states alone say; SUCCESS stands for "may succeed". */
static PspStatus model_expect(const Model *model, const GridRow *row,
                              uint32_t handle)
{
    int i;

    if (!strchr(row->platform, model->platform)) {
        return PSP_INVALID_PLATFORM_STATE;
    }
    if (!grid_has_guest(row)) {
        return PSP_SUCCESS;
    }
    i = model_find(model, handle);
    if (i < 0) {
        return PSP_INVALID_GUEST;
    }
    return strchr(row->guest, model->states[i]) ? PSP_SUCCESS
                                                : PSP_INVALID_GUEST_STATE;
}

static void model_remove(Model *model, int i)
{
    model->count--;
    model->handles[i] = model->handles[model->count];
    model->states[i] = model->states[model->count];
    if (model->count == 0) {
        model->platform = 'I';
    }
}

static void model_step(Model *model, const GridRow *row, uint32_t handle,
                       const ChipBuffer *buf)
{
    int i = grid_has_guest(row) ? model_find(model, handle) : -1;

    if (row->cmd == PSP_CMD_INIT || row->cmd == PSP_CMD_INIT_EX) {
        model->platform = 'I';
    } else if (row->cmd == PSP_CMD_SHUTDOWN) {
        model->platform = 'U';
        model->count = 0;
    } else if (strcmp(row->guest, "new") == 0) {
        model->platform = 'W';
        model->handles[model->count] = GUINT32_FROM_LE(buf->start.handle);
        model->states[model->count++] = row->to;
    } else if (i >= 0 && row->to == '0') {
        model_remove(model, i);
    } else if (i >= 0 && row->to != '=') {
        model->states[i] = row->to;
    }
}

static void model_check(const Model *model, Chip *chip)
{
    PspPlatformStatus s = chip_status(chip);

    g_assert_cmpint("UIW"[s.state], ==, model->platform);
    g_assert_cmpuint(GUINT32_FROM_LE(s.guest_count), ==, model->count);
    for (unsigned i = 0; i < model->count; i++) {
        chip->handle = model->handles[i];
        g_assert_cmpint('0' + chip_guest_state(chip), ==, model->states[i]);
    }
    g_assert_cmpint(chip->mapped, ==, 0);
}

/* --- Buffers that work, more or less ------------------------------------- */

static void buffer_packet(ChipBuffer *buf)
{
    buf->packet.hdr_paddr = GUINT64_TO_LE(AT_HDR);
    buf->packet.hdr_len = GUINT32_TO_LE(PSP_PACKET_HDR_LEN);
    buf->packet.guest_paddr = GUINT64_TO_LE(AT_PAGE);
    buf->packet.guest_len = GUINT32_TO_LE(256);
    buf->packet.trans_paddr = GUINT64_TO_LE(AT_TRANS);
    buf->packet.trans_len = GUINT32_TO_LE(256);
}

static void buffer_start(ChipBuffer *buf)
{
    buf->start.dh_cert_paddr = GUINT64_TO_LE(AT_PDH);
    buf->start.dh_cert_len = GUINT32_TO_LE(PSP_CERT_LEN);
    buf->start.session_paddr = GUINT64_TO_LE(AT_SESSION);
    buf->start.session_len = GUINT32_TO_LE(PSP_SESSION_LEN);
}

static void buffer_send_start(ChipBuffer *buf)
{
    buf->send_start.pdh_paddr = GUINT64_TO_LE(AT_PDH);
    buf->send_start.pdh_len = GUINT32_TO_LE(PSP_CERT_LEN);
    buf->send_start.plat_paddr = GUINT64_TO_LE(AT_PLAT);
    buf->send_start.plat_len = GUINT32_TO_LE(PSP_CHAIN_LEN);
    buf->send_start.amd_paddr = GUINT64_TO_LE(AT_AMD);
    buf->send_start.amd_len = GUINT32_TO_LE(2 * PSP_AMD_CERT_LEN_2048);
    buf->send_start.session_paddr = GUINT64_TO_LE(AT_SESSION);
    buf->send_start.session_len = GUINT32_TO_LE(PSP_SESSION_LEN);
}

static void buffer_fill(PspCommand cmd, ChipBuffer *buf)
{
    memset(buf, 0, sizeof(*buf));
    switch (cmd) {
    case PSP_CMD_INIT:
        buf->init.flags = GUINT32_TO_LE(PSP_INIT_ES);
        break;
    case PSP_CMD_PEK_CSR:
    case PSP_CMD_GET_ID:
        buf->csr.csr_paddr = GUINT64_TO_LE(AT_OUT);
        buf->csr.csr_len = GUINT32_TO_LE(PSP_CERT_LEN);
        break;
    case PSP_CMD_PEK_CERT_IMPORT:
        buf->import.pek_paddr = GUINT64_TO_LE(AT_PLAT);
        buf->import.pek_len = GUINT32_TO_LE(PSP_CERT_LEN);
        buf->import.oca_paddr = GUINT64_TO_LE(AT_PLAT + PSP_CERT_LEN);
        buf->import.oca_len = GUINT32_TO_LE(PSP_CERT_LEN);
        break;
    case PSP_CMD_PDH_CERT_EXPORT:
        buf->export.pdh_paddr = GUINT64_TO_LE(AT_PDH);
        buf->export.pdh_len = GUINT32_TO_LE(PSP_CERT_LEN);
        buf->export.chain_paddr = GUINT64_TO_LE(AT_PLAT);
        buf->export.chain_len = GUINT32_TO_LE(PSP_CHAIN_LEN);
        break;
    case PSP_CMD_ACTIVATE:
        buf->activate.asid = GUINT32_TO_LE(1);
        break;
    case PSP_CMD_ACTIVATE_EX:
        buf->activate_ex.length = GUINT32_TO_LE(24);
        buf->activate_ex.asid = GUINT32_TO_LE(2);
        break;
    case PSP_CMD_COPY:
        buf->copy.len = GUINT32_TO_LE(64);
        buf->copy.src_paddr = GUINT64_TO_LE(AT_PAGE);
        buf->copy.dst_paddr = GUINT64_TO_LE(AT_PAGE + 0x1000);
        break;
    case PSP_CMD_LAUNCH_UPDATE_DATA:
    case PSP_CMD_LAUNCH_UPDATE_VMSA:
        buf->update.paddr = GUINT64_TO_LE(AT_PAGE);
        buf->update.len = GUINT32_TO_LE(PSP_PAGE_SIZE);
        break;
    case PSP_CMD_LAUNCH_MEASURE:
        buf->measure.measure_paddr = GUINT64_TO_LE(AT_OUT);
        buf->measure.measure_len = GUINT32_TO_LE(PSP_MEASURE_LEN);
        break;
    case PSP_CMD_ATTESTATION:
        buf->attestation.report_paddr = GUINT64_TO_LE(AT_OUT);
        buf->attestation.report_len = GUINT32_TO_LE(PSP_REPORT_LEN);
        break;
    case PSP_CMD_SEND_START:
        buffer_send_start(buf);
        break;
    case PSP_CMD_RECEIVE_START:
        buffer_start(buf);
        break;
    case PSP_CMD_LAUNCH_SECRET:
    case PSP_CMD_SEND_UPDATE_DATA:
    case PSP_CMD_SEND_UPDATE_VMSA:
    case PSP_CMD_RECEIVE_UPDATE_DATA:
    case PSP_CMD_RECEIVE_UPDATE_VMSA:
        buffer_packet(buf);
        break;
    case PSP_CMD_DBG_DECRYPT:
    case PSP_CMD_DBG_ENCRYPT:
        buf->debug.src_paddr = GUINT64_TO_LE(AT_PAGE);
        buf->debug.dst_paddr = GUINT64_TO_LE(AT_OUT);
        buf->debug.len = GUINT32_TO_LE(32);
        break;
    default:
        break;
    }
}

/* --- Steps --------------------------------------------------------------- */

/* A failed command that carries a MAC must leave memory alone. */
static bool is_guarded(PspCommand cmd)
{
    return cmd == PSP_CMD_RECEIVE_UPDATE_DATA ||
           cmd == PSP_CMD_RECEIVE_UPDATE_VMSA ||
           cmd == PSP_CMD_LAUNCH_SECRET;
}

static void step_command(Chip *chip, Model *model, const GridRow *row,
                         uint8_t who, PspReader *in)
{
    static uint8_t before[CHIP_MEM];
    size_t at = row->cmd == PSP_CMD_ACTIVATE_EX ? 4 : 0;
    uint8_t patches;
    const uint8_t *p = psp_read_bytes(in, 1);
    uint32_t handle = 0;
    PspStatus status, expect;
    ChipBuffer buf;

    buffer_fill(row->cmd, &buf);
    if (grid_has_guest(row) && model->count) {
        handle = GUINT32_TO_LE(model->handles[who % model->count]);
        memcpy(buf.bytes + at, &handle, 4);
    }
    patches = p ? *p % 4 : 0;
    for (uint8_t i = 0; i < patches && (p = psp_read_bytes(in, 2)); i++) {
        buf.bytes[p[0] % sizeof(buf)] = p[1];
    }
    memcpy(&handle, buf.bytes + at, 4);
    handle = GUINT32_FROM_LE(handle);
    if (model->count == GUESTS_MAX && strcmp(row->guest, "new") == 0) {
        return;
    }
    if (is_guarded(row->cmd)) {
        memcpy(before, chip->mem, CHIP_MEM);
    }
    expect = model_expect(model, row, handle);
    status = psp_exec(chip->psp, row->cmd, row->size ? &buf : NULL,
                      row->size);
    if (expect != PSP_SUCCESS) {
        g_assert_cmpstr(psp_status_name(status), ==,
                        psp_status_name(expect));
    }
    if (status == PSP_SUCCESS) {
        model_step(model, row, handle, &buf);
    } else if (is_guarded(row->cmd)) {
        g_assert_cmpint(memcmp(before, chip->mem, CHIP_MEM), ==, 0);
    }
}

static void step_memory(Chip *chip, PspReader *in)
{
    const uint8_t *p = psp_read_bytes(in, 3);

    if (p) {
        *chip_at(chip, CHIP_BASE + 0x1000 * (p[0] % 16) + p[1] * 8) ^= p[2];
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static GBytes *nv;
    static Chip *chip;
    Model model = { .platform = 'U' };
    const uint8_t *p;
    PspReader in;

    if (!chip) {
        chip = chip_new("fuzz");
        chip_init(chip, 0);
        nv = g_bytes_ref(chip->nv);
    }
    /* every input finds the same chip */
    chip_ok(psp_exec(chip->psp, PSP_CMD_SHUTDOWN, NULL, 0));
    g_bytes_unref(chip->nv);
    chip->nv = g_bytes_ref(nv);
    chip->seed[0] = 1;
    memset(chip->mem, 0, CHIP_MEM);
    psp_reader_init(&in, data, len);
    for (int steps = 0; steps < 64 && (p = psp_read_bytes(&in, 2));
         steps++) {
        const GridRow *row = grid_find(p[0] & 0x7f);

        if (!row) {
            step_memory(chip, &in);
        } else if (row->cmd != PSP_CMD_PLATFORM_RESET) {
            step_command(chip, &model, row, p[1], &in);
            model_check(&model, chip);
        }
    }
    return 0;
}
