/*
 * The end of the "sev" section: what follows the last page, and END.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "migration/qemu-file.h"
#include "end.h"
#include "lane.h"
#include "page-map.h"
#include "vcpus.h"
#include "target/i386/sev/transfer.h"
#include "migration/sev/template/image.h"
#include "migration/sev/wire/write.h"

bool sev_end_save(SevSource *s, QEMUFile *f, Error **errp)
{
    SevRecord rec = { .type = SEV_RECORD_END };
    uint64_t private_pages;

    if (!sev_map_save(s, f, &private_pages, errp) ||
        (s->image && !sev_image_save_end(s, f, errp)) ||
        ((s->image || s->in_place) && !sev_image_save_shared_sum(s, f, errp)) ||
        !sev_vcpus_save(f, errp)) {
        return false;
    }
    stat64_set(&sev_page_stats.private_pages, private_pages);
    rec.u.end.packets = stat64_get(&sev_page_stats.packets) - s->placed;
    rec.u.end.private_pages = private_pages;
    sev_record_put(f, &rec);
    return true;
}

bool sev_end_load(SevTarget *t, const SevRecord *rec, Error **errp)
{
    const SevRecordEnd *r = &rec->u.end;
    uint64_t packets = stat64_get(&t->packets);

    if (!sev_map_loaded(t, errp) || !sev_vcpus_complete(t, errp)) {
        return false;
    }
    if (r->packets != packets || r->private_pages != t->private_pages) {
        error_setg(errp, "SEV stream: END counts %" PRIu64 " packets and %"
                   PRIu64 " private pages, %" PRIu64 " and %" PRIu64 " came",
                   r->packets, r->private_pages, packets, t->private_pages);
        return false;
    }
    /*
     * The image first: a page that its packet does not fit is an error, and
     * after RECEIVE_FINISH no packet can be opened by the secure processor.
     * With the lane that was long ago: a program ran in the guest.
     */
    if (!sev_image_load_end(t, errp)) {
        return false;
    }
    if (!(t->method == SEV_METHOD_LANE ? sev_lane_load_end(t, errp)
                                       : sev_receive_finish(errp))) {
        return false;
    }
    sev_receive_vcpus_end();
    return true;
}
