/*
 * Any bytes on a multifd channel of an SEV guest: refused in words, or every
 * page lies where the header said.
 *
 * Real are migration/sev/multifd-recv.c, multifd-gate.c, and what reads a PAGES record
 * below them; the guest and its secure processor are those of the fuzz target
 * sev-load.  Of upstream's header only what multifd_ram_unfill_packet() lets
 * through comes here: some pages of a block, a length, flags.
 *
 * SEV_FUZZ_SEED=FILE makes a good one and ends.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/module.h"
#include "io/channel-buffer.h"
#include "migration/migration.h"
#include "migration/multifd.h"
#include "migration/options.h"
#include "migration/ram.h"
#include "migration/sev/channels.h"
#include "migration/sev/fail.h"
#include "migration/sev/multifd.h"
#include "migration/sev/return-path.h"
#include "migration/sev/session.h"
#include "model.h"

#define MOST 128                /* pages of a multifd packet */
#define HEADER_LEN 8

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static MigrationState state;
static const MultiFDMethods *methods;
static uint64_t placed;         /* pages that are said to have come */

/* --- What stands in for upstream -------------------------------------------- */

bool sev_migration_on = true;

void multifd_register_ops(int method, const MultiFDMethods *ops)
{
    methods = ops;
}

bool migrate_mapped_ram(void)
{
    return false;
}

MigrationState *migrate_get_current(void)
{
    return &state;
}

void migrate_set_error(MigrationState *s, const Error *error)
{
    g_assert(error);
}

void sev_migration_set_error(const Error *error)
{
    g_assert(error);
}

bool sev_channel_is_down(QIOChannel *ioc)
{
    g_assert_not_reached();
}

void sev_channels_wonder(Error **errp)
{
}

void sev_channels_expect(void)
{
}

void ramblock_recv_bitmap_set_offset(RAMBlock *rb, uint64_t offset)
{
    g_assert(offset <= rb->used_length - MODEL_PAGE);
    placed++;
}

void multifd_recv_zero_page_process(MultiFDRecvParams *p)
{
    for (uint32_t i = 0; i < p->zero_num; i++) {
        memset(p->host + p->zero[i], 0, MODEL_PAGE);
    }
}

void multifd_send_zero_page_detect(MultiFDSendParams *p)
{
    g_assert_not_reached();
}

void multifd_send_fill_packet(MultiFDSendParams *p)
{
    g_assert_not_reached();
}

/* --- One packet ---------------------------------------------------------------- */

/*
 *  0  block   1  normal pages   2  zero pages   3  1: other flags
 *  4  what to add to the length of the payload, signed
 *  8  an offset of two bytes for each page, in units of 256 bytes
 *     the payload
 */
static void put_seed(const char *name)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    static const uint8_t header[HEADER_LEN] = { 0, 3, 1 };
    static const uint8_t offsets[] = { 0, 0, 0, 16, 0, 32, 0, 48 };
    static uint8_t shared[MODEL_PAGE];
    uint8_t *buf = g_malloc0(SEV_RECORD_MAX);
    size_t len;

    sev_pages_set_offset(buf, 0, 0);
    sev_pages_set_offset(buf, 1, MODEL_PAGE);
    len = sev_pages_end(buf, 0, 2);
    g_byte_array_append(out, header, sizeof(header));
    g_byte_array_append(out, offsets, sizeof(offsets));
    g_byte_array_append(out, buf, len);
    g_byte_array_append(out, shared, sizeof(shared));
    g_free(buf);
    exit(!g_file_set_contents(name, (char *)out->data, out->len, NULL));
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    module_call_init(MODULE_INIT_QOM);
    sev_multifd_init();
    if (getenv("SEV_FUZZ_SEED")) {
        put_seed(getenv("SEV_FUZZ_SEED"));
    }
    return 0;
}

/* A target that has its session and its blocks, as the main channel left it. */
static SevTarget *target_new(void)
{
    SevTarget *t = sev_target_new();
    SevGuestIdentity id = { 0 };
    uint8_t session[SEV_RECORD_SESSION_LEN] = { 0 };

    g_assert(sev_receive_start(&id, session, 64, session, sizeof(session),
                               &error_abort));
    for (int i = 0; i < MODEL_BLOCKS; i++) {
        SevTargetBlock block = { .rb = model_block(i) };

        g_array_append_val(t->blocks, block);
    }
    return t;
}

/* What upstream makes of a header; false if it refuses. */
static bool unfill(MultiFDRecvParams *p, const uint8_t **data, size_t *size)
{
    const uint8_t *h = *data;

    if (*size < HEADER_LEN) {
        return false;
    }
    p->block = model_block(h[0] % MODEL_BLOCKS);
    p->host = p->block->host;
    p->normal_num = h[1];
    p->zero_num = h[2];
    p->flags = h[3] == 1 ? MULTIFD_FLAG_ZLIB : MULTIFD_FLAG_NOCOMP;
    *data += HEADER_LEN;
    *size -= HEADER_LEN;
    if (p->normal_num > MOST || p->zero_num > MOST - p->normal_num ||
        *size < 2 * (p->normal_num + p->zero_num)) {
        return false;
    }
    for (uint32_t i = 0; i < p->normal_num + p->zero_num; i++) {
        uint64_t offset = lduw_be_p(*data) * 256;

        *data += 2;
        *size -= 2;
        if (offset > p->block->used_length - MODEL_PAGE) {
            return false;
        }
        *(i < p->normal_num ? &p->normal[i] : &p->zero[i - p->normal_num]) =
            offset;
    }
    p->next_packet_size = *size + (int32_t)ldl_be_p(h + 4);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ram_addr_t normal[MOST], zero[MOST];
    MultiFDRecvParams p = { .normal = normal, .zero = zero };
    Error *err = NULL;
    SevTarget *t;

    model_reset();
    placed = 0;
    if (!unfill(&p, &data, &size)) {
        return 0;
    }
    t = target_new();
    g_assert(!methods->recv_setup(&p, &error_abort));
    sev_multifd_open(t);
    p.c = QIO_CHANNEL(qio_channel_buffer_new(size));
    qio_channel_write_all(p.c, (const char *)data, size, &error_abort);
    QIO_CHANNEL_BUFFER(p.c)->offset = 0;
    if (methods->recv(&p, &err) == 0) {
        g_assert(!err && placed == p.normal_num);
        g_assert(stat64_get(&t->packets) <= p.normal_num);
    } else {
        g_assert(err && !placed);
    }
    error_free(err);
    methods->recv_cleanup(&p);
    sev_multifd_close();
    object_unref(OBJECT(p.c));
    sev_target_free(t);
    return 0;
}
