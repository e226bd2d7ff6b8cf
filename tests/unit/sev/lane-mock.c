/*
 * A guest without a lane and with registers in the clear, for tests of what
 * surrounds the two.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "migration/sev/lane.h"
#include "migration/sev/vcpus.h"

bool sev_method_seal(const SevSource *s, const SevPageJob *jobs, size_t n,
                     Error **errp)
{
    return sev_send_pages(jobs, n, errp);
}

bool sev_method_open(SevTarget *t, const SevPageJob *jobs, size_t n,
                     Error **errp)
{
    return sev_receive_pages(jobs, n, errp);
}

bool sev_lane_save_pages(SevSource *s, QEMUFile *f, bool all, Error **errp)
{
    g_assert_not_reached();
}

/* What a stream says of a lane is refused, as where no vCPU can run one. */
bool sev_lane_load_lane(SevTarget *t, const SevRecord *rec, Error **errp)
{
    error_setg(errp, "no lane here");
    return false;
}

void sev_lane_load_section(SevTarget *t)
{
}

bool sev_lane_load_end(SevTarget *t, Error **errp)
{
    error_setg(errp, "no lane here");
    return false;
}

bool sev_vcpus_save(QEMUFile *f, Error **errp)
{
    return true;
}

bool sev_vcpus_load_list(SevTarget *t, const SevRecord *rec, Error **errp)
{
    error_setg(errp, "no SEV-ES here");
    return false;
}

bool sev_vcpus_load(SevTarget *t, const SevRecord *rec, Error **errp)
{
    error_setg(errp, "no SEV-ES here");
    return false;
}

bool sev_vcpus_listed(const SevTarget *t, Error **errp)
{
    return true;
}

bool sev_vcpus_complete(const SevTarget *t, Error **errp)
{
    return true;
}

void sev_receive_vcpus_end(void)
{
}
