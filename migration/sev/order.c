/*
 * Records off a QEMUFile, and the table of what may follow what.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "migration/qemu-file.h"
#include "migration/sev/wire/read.h"
#include "end.h"
#include "lane.h"
#include "page-map.h"
#include "pages.h"
#include "session.h"
#include "vcpus.h"
#include "order.h"
#include "target/i386/sev/test/fault.h"
#include "migration/sev/wire/digest.h"
#include "migration/sev/template/image.h"
#include "migration/sev/template/template.h"
#include "trace.h"
#include "migration/sev/wire/transcript.h"

static bool stream_read(QEMUFile *f, uint8_t *buf, size_t len,
                        const char *what, Error **errp)
{
    size_t got = sev_bulk_get(f, buf, len);
    Error *err = NULL;

    if (got == len) {
        return true;
    }
    qemu_file_get_error_obj(f, &err);
    error_setg(errp, "SEV stream: cut short in %s, after %zu of %zu "
               "bytes%s%s", what, got, len, err ? ": " : "",
               err ? error_get_pretty(err) : "");
    error_free(err);
    return false;
}

/* The next record of @f; @rec points into @t->buf until the next call. */
static bool stream_get(SevTarget *t, QEMUFile *f, SevRecord *rec, Error **errp)
{
    ERRP_GUARD();
    g_autofree char *what = NULL;
    SevRecordType type;
    size_t len;

    if (!stream_read(f, t->buf, SEV_RECORD_HEADER_LEN, "a record header",
                     errp)) {
        if (t->state == SEV_STREAM_ASKED) {
            /* libvirt shows the target's error, where it has both. */
            error_prepend(errp, "The source ended the migration before it "
                          "sealed the guest for this platform, and its own log "
                          "says why: ");
        }
        return false;
    }
    if (!sev_record_decode_header(t->buf, &type, &len, errp)) {
        return false;
    }
    what = g_strdup_printf("a %s record", sev_record_name(type));
    if (!stream_read(f, t->buf + SEV_RECORD_HEADER_LEN, len, what, errp)) {
        return false;
    }
    if (!sev_record_decode(rec, t->buf, SEV_RECORD_HEADER_LEN + len, errp)) {
        return false;
    }
    if (type == SEV_RECORD_PAGES) {
        sev_transcript_pages(t->buf);
    } else {
        sev_tap_add(t->buf, SEV_RECORD_HEADER_LEN + len);
    }
    return true;
}

/* --- The order ------------------------------------------------------------ */

static const char *const state_name[SEV_STREAM__MAX] = {
    [SEV_STREAM_START] = "start",
    [SEV_STREAM_ASKED] = "asked",
    [SEV_STREAM_OFFERED] = "offered",
    [SEV_STREAM_BLOCKS] = "blocks",
    [SEV_STREAM_PAGES] = "pages",
    [SEV_STREAM_MAP] = "map",
    [SEV_STREAM_ENDED] = "ended",
    [SEV_STREAM_ACKED] = "acked",
    [SEV_STREAM_TOLD] = "told",
};

static bool load_break(SevTarget *t, const SevRecord *rec, Error **errp)
{
    if (t->method == SEV_METHOD_LANE && !t->seen[SEV_RECORD_LANE]) {
        error_setg(errp, "SEV stream: pages that a lane sealed, and no LANE "
                   "record before them");
        return false;
    }
    return t->state != SEV_STREAM_BLOCKS ||
           (sev_vcpus_listed(t, errp) && sev_pages_blocks_complete(t, errp));
}

static bool load_go(SevTarget *t, const SevRecord *rec, Error **errp)
{
    return true;
}

#define IN(state) (1u << SEV_STREAM_##state)

/* What is not in this table is refused. */
static const struct {
    unsigned states;            /* in which the record is legal */
    SevStreamState next;
    SevFaultPoint fault;        /* what can be made to fail when it is read */
    bool (*load)(SevTarget *t, const SevRecord *rec, Error **errp);
} order[SEV_RECORD__MAX] = {
    [SEV_RECORD_HELLO] = {
        IN(START), SEV_STREAM_ASKED,
        SEV_FAULT_HELLO_READ, sev_session_load_hello,
    },
    [SEV_RECORD_MANIFEST] = {
        IN(START), SEV_STREAM_OFFERED,
        SEV_FAULT_MANIFEST_READ, sev_template_load_manifest,
    },
    [SEV_RECORD_SESSION] = {
        IN(START) | IN(ASKED) | IN(OFFERED), SEV_STREAM_BLOCKS,
        SEV_FAULT_SESSION_READ, sev_session_load_session,
    },
    [SEV_RECORD_VCPUS] = {
        IN(BLOCKS), SEV_STREAM_BLOCKS,
        SEV_FAULT_VCPUS_READ, sev_vcpus_load_list,
    },
    [SEV_RECORD_BLOCK] = {
        IN(BLOCKS), SEV_STREAM_BLOCKS,
        SEV_FAULT_BLOCK_READ, sev_pages_load_block,
    },
    [SEV_RECORD_LANE] = {
        IN(BLOCKS), SEV_STREAM_BLOCKS,
        SEV_FAULT_LANE_READ, sev_lane_load_lane,
    },
    [SEV_RECORD_IMAGE] = {
        IN(BLOCKS), SEV_STREAM_BLOCKS,
        SEV_FAULT_IMAGE_READ, sev_image_load,
    },
    [SEV_RECORD_HEADERS] = {
        IN(PAGES), SEV_STREAM_PAGES,
        SEV_FAULT_HEADERS_READ, sev_image_load_headers,
    },
    [SEV_RECORD_DIGEST] = {
        IN(MAP), SEV_STREAM_MAP,
        SEV_FAULT_DIGEST_READ, sev_image_load_digest,
    },
    [SEV_RECORD_SHARED] = {
        IN(MAP), SEV_STREAM_MAP,
        SEV_FAULT_SHARED_READ, sev_image_load_shared,
    },
    [SEV_RECORD_BREAK] = {
        IN(BLOCKS) | IN(PAGES), SEV_STREAM_PAGES,
        SEV_FAULT_BREAK_READ, load_break,
    },
    [SEV_RECORD_PAGES] = {
        IN(PAGES), SEV_STREAM_PAGES,
        SEV_FAULT_PAGES_READ, sev_pages_load,
    },
    [SEV_RECORD_STATE] = {
        IN(PAGES) | IN(MAP), SEV_STREAM_MAP,
        SEV_FAULT_STATE_READ, sev_map_load_state,
    },
    [SEV_RECORD_VMSA] = {
        IN(MAP), SEV_STREAM_MAP,
        SEV_FAULT_VMSA_READ, sev_vcpus_load,
    },
    [SEV_RECORD_END] = {
        IN(PAGES) | IN(MAP), SEV_STREAM_ENDED,
        SEV_FAULT_END_READ, sev_end_load,
    },
    [SEV_RECORD_GO] = {
        IN(ACKED), SEV_STREAM_TOLD,
        SEV_FAULT_GO_READ, load_go,
    },
};

char *sev_stream_where(const SevTarget *t)
{
    g_autoptr(GString) out = g_string_new(NULL);

    for (int i = 0; i < SEV_RECORD__MAX; i++) {
        if (t->seen[i]) {
            g_string_append_printf(out, "%s%" PRIu64 " %s",
                                   out->len ? ", " : "", t->seen[i],
                                   sev_record_name(i));
        }
    }
    return g_string_free(g_steal_pointer(&out), FALSE);
}

static bool stream_accept(SevTarget *t, const SevRecord *rec, Error **errp)
{
    trace_sev_stream_get(sev_record_name(rec->type), t->seen[rec->type],
                         state_name[t->state]);
    if (!(order[rec->type].states & (1u << t->state))) {
        error_setg(errp, "SEV stream: a %s record is out of place in "
                   "state '%s'", sev_record_name(rec->type),
                   state_name[t->state]);
        return false;
    }
    if (sev_fault(order[rec->type].fault, errp) ||
        !order[rec->type].load(t, rec, errp)) {
        return false;
    }
    t->seen[rec->type]++;
    t->state = order[rec->type].next;
    return true;
}

bool sev_stream_load(SevTarget *t, QEMUFile *f, Error **errp)
{
    SevRecord rec;

    t->file = f;
    sev_lane_load_section(t);
    do {
        if (!stream_get(t, f, &rec, errp) || !stream_accept(t, &rec, errp)) {
            return false;
        }
    } while (rec.type != SEV_RECORD_BREAK && rec.type != SEV_RECORD_END);
    if (t->resume_at) {
        qemu_set_offset(f, t->resume_at, SEEK_SET);
        t->resume_at = 0;
    }
    if (rec.type == SEV_RECORD_END) {
        sev_transcript_follow(f, true);
    } else if (t->seen[SEV_RECORD_MANIFEST]) {
        sev_tap_follow(f, true);        /* after the first one */
    }
    return true;
}

bool sev_stream_load_go(SevTarget *t, QEMUFile *f, Error **errp)
{
    SevRecord rec;

    return stream_get(t, f, &rec, errp) && stream_accept(t, &rec, errp);
}

bool sev_stream_load_bytes(SevTarget *t, const uint8_t *buf, size_t len,
                           Error **errp)
{
    SevRecordType type;
    SevRecord rec;
    size_t payload;

    if (len >= SEV_RECORD_HEADER_LEN) {
        if (!sev_record_decode_header(buf, &type, &payload, errp)) {
            return false;
        }
        len = MIN(len, SEV_RECORD_HEADER_LEN + payload);
    }
    return sev_record_decode(&rec, buf, len, errp) &&
           stream_accept(t, &rec, errp);
}
