/*
 * Templates: the manifest, both ends.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/rcu.h"
#include "hw/boards.h"
#include "io/channel-file.h"
#include "migration/migration.h"
#include "migration/misc.h"
#include "migration/qemu-file.h"
#include "migration/ram.h"
#include "migration/sev/lane.h"
#include "migration/sev/pages.h"
#include "migration/sev/session.h"
#include "migration/sev/sev.h"
#include "migration/sev/wire/digest.h"
#include "migration/sev/wire/transcript.h"
#include "in-place.h"
#include "template.h"
#include "wrap.h"
#include "migration/sev/trace.h"
#include "target/i386/sev/lane/lend.h"

bool sev_template_wanted(void)
{
    return migrate_get_current()->capabilities[MIGRATION_CAPABILITY_SEV_TEMPLATE];
}

static const char *machine_name(void)
{
    return MACHINE_GET_CLASS(qdev_get_machine())->name;
}

bool sev_template_making(void)
{
    return sev_template_wanted() || sev_place_wanted();
}

uint64_t sev_template_layout(void)
{
    QIOChannel *ioc = qemu_file_get_ioc(migrate_get_current()->to_dst_file);
    struct stat st;

    if (sev_place_wanted()) {
        return SEV_LAYOUT_IN_PLACE;
    }
    if (!sev_template_wanted()) {
        return 0;
    }
    if (object_dynamic_cast(OBJECT(ioc), TYPE_QIO_CHANNEL_FILE) &&
        !fstat(QIO_CHANNEL_FILE(ioc)->fd, &st) && S_ISREG(st.st_mode)) {
        return SEV_LAYOUT_MAPPED;
    }
    return SEV_LAYOUT_STREAM;
}

/* At the start of a file it is the file that is written over, as ever. */
bool sev_template_may_cut(int fd, uint64_t offset, Error **errp)
{
    struct stat st;

    if (!sev_template_wanted() || !offset || fstat(fd, &st) ||
        !S_ISREG(st.st_mode) || st.st_size <= offset) {
        return true;
    }
    error_setg(errp, "SEV: a template that begins at offset %" PRIu64 " would "
               "cut off %" PRIu64 " bytes that lie behind that in the file: "
               "give it a file of its own, or an offset at the end", offset,
               (uint64_t)st.st_size - offset);
    return false;
}

bool sev_template_may_begin(Error **errp)
{
    QIOChannel *ioc = qemu_file_get_ioc(migrate_get_current()->to_dst_file);
    off_t here;

    if (sev_template_layout() != SEV_LAYOUT_MAPPED) {
        return true;
    }
    here = qio_channel_io_seek(ioc, 0, SEEK_CUR, errp);
    return here >= 0 &&
           sev_template_may_cut(QIO_CHANNEL_FILE(ioc)->fd, here, errp);
}

/*
 * What must agree before a page can be placed: names and lengths, in no
 * particular order.  Used lengths may grow at load.
 */
typedef struct Layout {
    uint64_t blocks, bytes;
    char *digest;               /* of a line for each block */
} Layout;

static void layout_clear(Layout *l)
{
    g_free(l->digest);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Layout, layout_clear)

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void layout_find(Layout *l)
{
    g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    RAMBlock *rb;

    WITH_RCU_READ_LOCK_GUARD() {
        RAMBLOCK_FOREACH_MIGRATABLE(rb) {
            l->bytes += rb->max_length;
            g_ptr_array_add(lines, g_strdup_printf("%s 0x" RAM_ADDR_FMT "\n",
                                                   rb->idstr, rb->max_length));
        }
    }
    g_ptr_array_sort(lines, compare_lines);
    for (guint i = 0; i < lines->len; i++) {
        g_checksum_update(sum, lines->pdata[i], -1);
    }
    l->blocks = lines->len;
    l->digest = g_strdup(g_checksum_get_string(sum));
}

bool sev_template_encode_manifest(GByteArray *out, Error **errp)
{
    g_auto(SevPlatformCerts) target = { 0 };
    g_auto(SevGuestIdentity) id = { 0 };
    g_auto(Layout) layout = { 0 };
    g_autofree char *fingerprint = NULL;
    g_autofree char *chip = NULL;
    SevRecord rec = { .type = SEV_RECORD_MANIFEST };
    SevRecordManifest *r = &rec.u.manifest;

    if (!sev_session_named_target(&target, errp)) {
        return false;
    }
    fingerprint = sev_certs_fingerprint(&target, errp);
    chip = fingerprint ? sev_certs_chip(&target, errp) : NULL;
    if (!chip) {
        return false;
    }
    layout_find(&layout);
    sev_guest_identity(&id);
    *r = (SevRecordManifest) {
        .layout = sev_template_layout(),
        .policy = id.policy,
        .api_major = id.api_major,
        .api_minor = id.api_minor,
        .build = id.build_id,
        .page_size = SEV_RECORD_PACKET_DATA,
        .blocks = layout.blocks,
        .ram_bytes = layout.bytes,
        .fingerprint = sev_span_text(fingerprint),
        .measurement = sev_span_text(id.measurement),
        .machine = sev_span_text(machine_name()),
        .method = sev_method(),
        .vcpus = current_machine->smp.cpus,
        .cpu = sev_span_text(current_machine->cpu_type),
        .chip = sev_span_text(chip),
        .ram_layout = sev_span_text(layout.digest),
    };
    if (r->measurement.len > SEV_RECORD_TEXT_MAX ||
        r->machine.len > SEV_RECORD_TEXT_MAX ||
        r->cpu.len > SEV_RECORD_TEXT_MAX) {
        error_setg(errp, "SEV: this guest's measurement, machine or CPU is too "
                   "long for a template");
        return false;
    }
    trace_sev_template_manifest(machine_name(), r->blocks, r->ram_bytes);
    sev_record_encode(&rec, out);
    if (!sev_tap_begin(errp)) {
        return false;
    }
    sev_tap_add(out->data, out->len);
    return true;
}

static bool fits(const char *field, uint64_t theirs, uint64_t ours,
                 Error **errp)
{
    if (theirs == ours) {
        return true;
    }
    error_setg(errp, "SEV: the template does not fit: field %s is %" PRIu64
               ", this guest has %" PRIu64, field, theirs, ours);
    return false;
}

static bool fits_text(const char *field, SevSpan theirs, const char *ours,
                      Error **errp)
{
    if (sev_span_is(theirs, ours)) {
        return true;
    }
    error_setg(errp, "SEV: the template does not fit: field %s is %.*s, this "
               "guest has %s", field, (int)theirs.len, theirs.data, ours);
    return false;
}

static bool method_fits(uint64_t method, Error **errp)
{
    if (method == SEV_METHOD_LANE) {
        return sev_lend_possible(errp);
    }
    return fits("method", method, SEV_METHOD_PACKET, errp);
}

/* A wrap says whom the image is for, in the manifest's place. */
static bool is_for_us(const SevRecordManifest *r, Error **errp)
{
    ERRP_GUARD();
    const SevWrap *wrap = sev_wrap_in_use();

    if (!wrap) {
        if (!sev_session_is_here(r->fingerprint, r->chip, errp)) {
            if (r->method == SEV_METHOD_LANE) {
                error_prepend(errp, "A template that no wrap opens here: ");
            }
            return false;
        }
        return true;
    }
    return sev_wrap_is_for_method(wrap, r->method, errp) &&
           sev_wrap_is_here(wrap, errp);
}

bool sev_template_load_manifest(SevTarget *t, const SevRecord *rec,
                                Error **errp)
{
    g_autoptr(GByteArray) again = g_byte_array_new();
    g_auto(SevGuestIdentity) id = { 0 };
    g_auto(Layout) layout = { 0 };
    const SevRecordManifest *r = &rec->u.manifest;

    layout_find(&layout);
    if (r->layout < SEV_LAYOUT_STREAM || r->layout > SEV_LAYOUT_IN_PLACE) {
        error_setg(errp, "SEV: the template does not fit: field layout is %"
                   PRIu64
                   ", this QEMU reads %d to %d", r->layout, SEV_LAYOUT_STREAM,
                   SEV_LAYOUT_IN_PLACE);
        return false;
    }
    sev_guest_identity(&id);
    if (!fits_text("machine", r->machine, machine_name(), errp) ||
        !fits("page-size", r->page_size, SEV_RECORD_PACKET_DATA, errp) ||
        !method_fits(r->method, errp) ||
        !fits("blocks", r->blocks, layout.blocks, errp) ||
        !fits("ram-bytes", r->ram_bytes, layout.bytes, errp) ||
        !fits_text("ram-layout", r->ram_layout, layout.digest, errp) ||
        !fits("policy", r->policy, id.policy, errp) ||
        !fits("vcpus", r->vcpus, current_machine->smp.cpus, errp) ||
        !fits_text("cpu", r->cpu, current_machine->cpu_type, errp) ||
        !is_for_us(r, errp)) {
        return false;
    }
    t->method = r->method;
    trace_sev_template_manifest(machine_name(), layout.blocks, layout.bytes);
    sev_record_encode(rec, again);
    /* A template has a digest of its own. */
    sev_transcript_drop();
    if (!sev_tap_begin(errp)) {
        return false;
    }
    sev_tap_add(again->data, again->len);
    g_clear_pointer(&t->manifest, g_byte_array_unref);
    t->manifest = g_steal_pointer(&again);
    return true;
}
