/*
 * The chip behind /dev/sev, and the processor it is in.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/psp-sev.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "tool.h"

#define TOOL_DEVICE     "/dev/sev"

/* The kernel writes a status only when it was the firmware that refused. */
static int kernel_issue(int fd, uint32_t cmd, void *data, uint32_t *status)
{
    struct sev_issue_cmd issue = { .cmd = cmd, .data = (uintptr_t)data };
    int ret = ioctl(fd, SEV_ISSUE_CMD, &issue);

    *status = ret < 0 && errno == EIO ? issue.error : 0;
    return ret;
}

static bool kernel_failed(const char *name, uint32_t status, GError **error)
{
    if (status && status != (uint32_t)-1) {
        g_set_error(error, TOOL_ERROR, TOOL_FAILED,
                    "the chip behind " TOOL_DEVICE " refuses %s: %s (%u)",
                    name, psp_status_name(status), status);
    } else {
        g_set_error(error, TOOL_ERROR, TOOL_FAILED, "%s of " TOOL_DEVICE
                    " failed: %s%s", name, g_strerror(errno),
                    status ? " (the kernel did not call the firmware)" : "");
    }
    return false;
}

static bool kernel_certs(int fd, ToolCerts *certs, GError **error)
{
    struct sev_user_data_pdh_cert_export cmd = {
        .pdh_cert_address = (uintptr_t)certs->pdh,
        .pdh_cert_len = sizeof(certs->pdh),
        .cert_chain_address = (uintptr_t)certs->plat,
        .cert_chain_len = sizeof(certs->plat),
    };
    uint32_t status;

    certs->amd_len = 0;
    if (kernel_issue(fd, SEV_PDH_CERT_EXPORT, &cmd, &status) < 0) {
        return kernel_failed("PDH_CERT_EXPORT", status, error);
    }
    if (cmd.pdh_cert_len != sizeof(certs->pdh) ||
        cmd.cert_chain_len != sizeof(certs->plat)) {
        g_set_error(error, TOOL_ERROR, TOOL_FAILED, "the chip behind "
                    TOOL_DEVICE " exports %u and %u bytes of certificates,"
                    " not %zu and %zu", cmd.pdh_cert_len, cmd.cert_chain_len,
                    sizeof(certs->pdh), sizeof(certs->plat));
        return false;
    }
    return true;
}

/* The ids of all sockets; the certificates are those of the first one. */
static bool kernel_id(int fd, uint8_t id[PSP_ID_LEN], GError **error)
{
    uint8_t ids[8 * PSP_ID_LEN] = { 0 };
    struct sev_user_data_get_id2 cmd = {
        .address = (uintptr_t)ids,
        .length = sizeof(ids),
    };
    uint32_t status;

    if (kernel_issue(fd, SEV_GET_ID2, &cmd, &status) < 0) {
        return kernel_failed("GET_ID", status, error);
    }
    memcpy(id, ids, PSP_ID_LEN);
    return true;
}

bool tool_kernel_platform(ToolPlatform *platform, GError **error)
{
    int fd = open(TOOL_DEVICE, O_RDWR | O_CLOEXEC);
    bool ok;

    if (fd < 0) {
        g_set_error(error, TOOL_ERROR, TOOL_FAILED, "cannot open "
                    TOOL_DEVICE ": %s", g_strerror(errno));
        return false;
    }
    platform->has_id = true;
    ok = kernel_certs(fd, &platform->certs, error) &&
         kernel_id(fd, platform->id, error);
    close(fd);
    return ok;
}

/* --- Generation ----------------------------------------------------------- */

#if defined(__x86_64__)
static const struct {
    const char *name;
    unsigned family;
    unsigned first, last;       /* model */
} kernel_generations[] = {
    { "naples", 0x17, 0x00, 0x0f },
    { "rome", 0x17, 0x30, 0x3f },
    { "milan", 0x19, 0x00, 0x0f },
    { "genoa", 0x19, 0x10, 0x1f },
    { "genoa", 0x19, 0xa0, 0xaf },
    { "turin", 0x1a, 0x00, 0x1f },
};

const char *tool_kernel_generation(void)
{
    unsigned eax, ebx, ecx, edx, family, model;

    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx)) {
        return NULL;
    }
    family = (eax >> 8 & 0xf) + (eax >> 20 & 0xff);
    model = (eax >> 4 & 0xf) | (eax >> 12 & 0xf0);
    for (size_t i = 0; i < G_N_ELEMENTS(kernel_generations); i++) {
        if (kernel_generations[i].family == family &&
            model >= kernel_generations[i].first &&
            model <= kernel_generations[i].last) {
            return kernel_generations[i].name;
        }
    }
    return NULL;
}
#else
const char *tool_kernel_generation(void)
{
    return NULL;
}
#endif
