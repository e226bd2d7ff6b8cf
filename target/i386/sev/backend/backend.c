/*
 * The software backend: which chip, whose identity.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <linux/kvm.h>
#include "cpu.h"
#include "backend.h"
#include "psp.h"
#include "target/i386/sev/declared-pages.h"
#include "hw/psp/psp-store.h"
#include "target/i386/sev/tcg/cache.h"
#include "target/i386/sev/trace.h"

/* One guest, one chip per process: the machine has one guest object. */
static SevPsp *software;
static char *software_dir;

bool sev_backend_is_software_name(const char *sev_device)
{
    return g_str_equal(sev_device, SEV_DEVICE_SOFTWARE) ||
           g_str_has_prefix(sev_device, SEV_DEVICE_SOFTWARE ":");
}

bool sev_backend_open_software(const char *sev_device, Error **errp)
{
    const char *colon = sev_device ? strchr(sev_device, ':') : NULL;
    g_autofree char *dir = colon ? g_strdup(colon + 1)
                                 : psp_store_default_dir();
    g_autoptr(GError) err = NULL;

    if (!dir[0]) {
        error_setg(errp, "SEV: sev-device=%s names no folder after the colon",
                   sev_device);
        return false;
    }
    if (software) {
        if (!g_str_equal(dir, software_dir)) {
            error_setg(errp, "SEV: the software secure processor is already "
                       "open in '%s', cannot open '%s' as well",
                       software_dir, dir);
            return false;
        }
        return true;
    }
    if (!colon && !psp_store_check_home(dir, &err)) {
        error_setg(errp, "SEV: software secure processor: %s", err->message);
        return false;
    }
    software = sev_psp_new(dir, errp);
    if (!software) {
        return false;
    }
    software_dir = g_steal_pointer(&dir);
    trace_sev_backend_open(SEV_DEVICE_SOFTWARE, software_dir);
    return true;
}

bool sev_backend_is_software(void)
{
    return software;
}

char *sev_backend_identity_dir(void)
{
    return software_dir ? g_strdup(software_dir) : psp_store_default_dir();
}

char *sev_backend_config_dir(void)
{
    return software_dir ? g_strdup(software_dir) : psp_store_config_dir();
}

int sev_backend_guest_cmd(int cmd, void *data, int *fw_error)
{
    int unused;

    return sev_psp_guest_cmd(software, cmd, data,
                             fw_error ? fw_error : &unused);
}

int sev_backend_platform_cmd(int cmd, void *data, int *fw_error)
{
    int unused;

    return sev_psp_platform_cmd(software, cmd, data,
                                fw_error ? fw_error : &unused);
}

int sev_backend_guest_packets(int cmd, struct kvm_sev_send_update_data *packets,
                              size_t n, size_t *done, int *fw_error)
{
    return sev_psp_guest_packets(software, cmd, packets, n, done, fw_error);
}

void sev_backend_kernel_cmd(int cmd, const void *data)
{
    if (cmd == KVM_SEV_LAUNCH_UPDATE_DATA) {
        const struct kvm_sev_launch_update_data *update = data;

        sev_declared_launch(update->uaddr, update->len);
    }
}

void sev_backend_guest_end(void)
{
    if (software) {
        sev_psp_guest_end(software);
        sev_cache_forget();
    }
}

bool sev_backend_amd_chain(uint8_t **amd, size_t *len, Error **errp)
{
    *amd = NULL;
    *len = 0;
    return !software || sev_psp_amd_chain(software, amd, len, errp);
}

struct PspPacketKey *sev_backend_packet_key(void)
{
    return software ? sev_psp_packet_key(software) : NULL;
}

struct PspPacketKey *
sev_backend_session_key(const struct kvm_sev_receive_start *start,
                        int *fw_error)
{
    return sev_psp_session_key(software, start, fw_error);
}
