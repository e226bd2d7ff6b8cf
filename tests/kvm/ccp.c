/*
 * /dev/sev: what Linux' driver of the secure processor checks and answers.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <errno.h>
#include <string.h>

#include "standin.h"

static const char *const names[SEV_MAX] = {
    [SEV_FACTORY_RESET] = "FACTORY_RESET",
    [SEV_PLATFORM_STATUS] = "PLATFORM_STATUS",
    [SEV_PEK_GEN] = "PEK_GEN",
    [SEV_PEK_CSR] = "PEK_CSR",
    [SEV_PDH_GEN] = "PDH_GEN",
    [SEV_PDH_CERT_EXPORT] = "PDH_CERT_EXPORT",
    [SEV_PEK_CERT_IMPORT] = "PEK_CERT_IMPORT",
    [SEV_GET_ID] = "GET_ID",
    [SEV_GET_ID2] = "GET_ID2",
    [SNP_PLATFORM_STATUS] = "SNP_PLATFORM_STATUS",
    [SNP_COMMIT] = "SNP_COMMIT",
    [SNP_SET_CONFIG] = "SNP_SET_CONFIG",
    [SNP_VLEK_LOAD] = "SNP_VLEK_LOAD",
};

static int platform_status(const struct sev_issue_cmd *cmd, uint32_t *error)
{
    PspPlatformStatus buf = { 0 };
    struct sev_user_data_status status;
    int ret = ks_firmware(NULL, PSP_CMD_PLATFORM_STATUS, &buf, sizeof(buf),
                          error);

    if (ret) {
        return ret;
    }
    G_STATIC_ASSERT(sizeof(status) == sizeof(buf));
    memcpy(&status, &buf, sizeof(status));      /* the same bytes */
    return ks_to_user(cmd->data, &status, sizeof(status));
}

/*
 * A command for which Linux brings the platform up, and down again if it was
 * down. False when it did not come up.
 */
static bool run_up(PspCommand which, void *buf, size_t len, uint32_t *error,
                   int *ret)
{
    bool was_up = ks_platform_is_up();
    uint32_t ignored;

    if (!was_up) {
        *ret = ks_platform_up(error);
        if (*ret) {
            return false;
        }
    }
    *ret = ks_firmware(NULL, which, buf, len, error);
    if (!was_up) {
        ks_platform_down(&ignored);
    }
    return true;
}

static int generate(PspCommand which, bool writable, uint32_t *error)
{
    int ret = -EPERM;

    if (writable) {
        run_up(which, NULL, 0, error, &ret);
    }
    return ret;
}

/* Only an idle platform forgets who it is. */
static int factory_reset(bool writable, uint32_t *error)
{
    PspPlatformStatus status = { 0 };
    int ret;

    if (!writable) {
        return -EPERM;
    }
    ret = ks_firmware(NULL, PSP_CMD_PLATFORM_STATUS, &status, sizeof(status),
                      error);
    if (ret) {
        return ret;
    }
    if (status.state == PSP_PLATFORM_WORKING) {
        return -EBUSY;
    }
    if (status.state == PSP_PLATFORM_INIT) {
        ks_platform_down(error);
    }
    return ks_firmware(NULL, PSP_CMD_PLATFORM_RESET, NULL, 0, error);
}

static int pek_csr(const struct sev_issue_cmd *cmd, bool writable,
                   uint32_t *error)
{
    g_autofree uint8_t *csr = NULL;
    struct sev_user_data_pek_csr user;
    PspPekCsr buf = { 0 };
    int ret;

    if (!writable) {
        return -EPERM;
    }
    if (ks_from_user(&user, cmd->data, sizeof(user))) {
        return -EFAULT;
    }
    if (user.address && user.length) {
        if (user.length > KS_BLOB_MAX) {
            return -EFAULT;
        }
        csr = g_malloc0(user.length);
        buf.csr_paddr = ks_paddr(csr);
        buf.csr_len = GUINT32_TO_LE(user.length);
    }
    if (!run_up(PSP_CMD_PEK_CSR, &buf, sizeof(buf), error, &ret)) {
        return ret;
    }
    user.length = GUINT32_FROM_LE(buf.csr_len);
    if (ks_to_user(cmd->data, &user, sizeof(user))) {
        return -EFAULT;
    }
    return ret || !csr ? ret : ks_to_user(user.address, csr, user.length);
}

static int pek_import(const struct sev_issue_cmd *cmd, bool writable,
                      uint32_t *error)
{
    g_autofree uint8_t *pek = NULL, *oca = NULL;
    struct sev_user_data_pek_cert_import user;
    PspPekCertImport buf = { 0 };
    int ret;

    if (!writable) {
        return -EPERM;
    }
    if (ks_from_user(&user, cmd->data, sizeof(user))) {
        return -EFAULT;
    }
    pek = ks_user_blob(user.pek_cert_address, user.pek_cert_len, &ret);
    oca = pek ? ks_user_blob(user.oca_cert_address, user.oca_cert_len, &ret)
              : NULL;
    if (!oca) {
        return ret;
    }
    buf.pek_paddr = ks_paddr(pek);
    buf.pek_len = GUINT32_TO_LE(user.pek_cert_len);
    buf.oca_paddr = ks_paddr(oca);
    buf.oca_len = GUINT32_TO_LE(user.oca_cert_len);
    run_up(PSP_CMD_PEK_CERT_IMPORT, &buf, sizeof(buf), error, &ret);
    return ret;
}

/* What a real chip has not: the ASK's signature comes from AMD. */
static void strip_cek(PspCert *cek)
{
    if (!ks_option("signed-cek")) {
        memset(cek->sig, 0, sizeof(cek->sig));
        cek->sig[0].usage = GUINT32_TO_LE(PSP_USAGE_NONE);
        cek->sig[1].usage = GUINT32_TO_LE(PSP_USAGE_NONE);
    }
}

static int pdh_export(const struct sev_issue_cmd *cmd, bool writable,
                      uint32_t *error)
{
    g_autofree uint8_t *pdh = NULL, *chain = NULL;
    struct sev_user_data_pdh_cert_export user;
    PspPdhCertExport buf = { 0 };
    bool query;
    int ret;

    if (ks_from_user(&user, cmd->data, sizeof(user))) {
        return -EFAULT;
    }
    query = !user.pdh_cert_address || !user.pdh_cert_len ||
            !user.cert_chain_address || !user.cert_chain_len;
    if (!query) {
        if (user.pdh_cert_len > KS_BLOB_MAX ||
            user.cert_chain_len > KS_BLOB_MAX) {
            return -EFAULT;
        }
        pdh = g_malloc0(user.pdh_cert_len);
        chain = g_malloc0(user.cert_chain_len);
        buf.pdh_paddr = ks_paddr(pdh);
        buf.pdh_len = GUINT32_TO_LE(user.pdh_cert_len);
        buf.chain_paddr = ks_paddr(chain);
        buf.chain_len = GUINT32_TO_LE(user.cert_chain_len);
    }
    if (!writable && !ks_platform_is_up()) {
        return -EPERM;
    }
    if (!run_up(PSP_CMD_PDH_CERT_EXPORT, &buf, sizeof(buf), error, &ret)) {
        return ret;
    }
    user.pdh_cert_len = GUINT32_FROM_LE(buf.pdh_len);
    user.cert_chain_len = GUINT32_FROM_LE(buf.chain_len);
    if (ks_to_user(cmd->data, &user, sizeof(user))) {
        return -EFAULT;
    }
    if (ret || query) {
        return ret;
    }
    if (user.cert_chain_len == PSP_CHAIN_LEN) {
        strip_cek((PspCert *)chain + 2);
    }
    ret = ks_to_user(user.pdh_cert_address, pdh, user.pdh_cert_len);
    return ret ?: ks_to_user(user.cert_chain_address, chain,
                             user.cert_chain_len);
}

static int get_id2(const struct sev_issue_cmd *cmd, uint32_t *error)
{
    g_autofree uint8_t *id = NULL;
    struct sev_user_data_get_id2 user;
    PspGetId buf = { 0 };
    int ret;

    if (ks_from_user(&user, cmd->data, sizeof(user))) {
        return -EFAULT;
    }
    if (user.address && user.length) {
        id = g_try_malloc0(user.length);
        if (!id) {
            return -ENOMEM;
        }
        buf.id_paddr = ks_paddr(id);
        buf.id_len = GUINT32_TO_LE(user.length);
    }
    ret = ks_firmware(NULL, PSP_CMD_GET_ID, &buf, sizeof(buf), error);
    user.length = GUINT32_FROM_LE(buf.id_len);
    if (ks_to_user(cmd->data, &user, sizeof(user))) {
        return -EFAULT;
    }
    if (ret || !id) {
        return ret;
    }
    return ks_to_user(user.address, id, user.length);
}

static int get_id(const struct sev_issue_cmd *cmd, uint32_t *error)
{
    uint8_t id[sizeof(struct sev_user_data_get_id)] = { 0 };
    PspGetId buf = {
        .id_paddr = ks_paddr(id), .id_len = GUINT32_TO_LE(sizeof(id)),
    };
    int ret = ks_firmware(NULL, PSP_CMD_GET_ID, &buf, sizeof(buf), error);

    return ret ?: ks_to_user(cmd->data, id, GUINT32_FROM_LE(buf.id_len));
}

static int issue(const struct sev_issue_cmd *cmd, bool writable,
                 uint32_t *error)
{
    switch (cmd->cmd) {
    case SEV_PLATFORM_STATUS:
        return platform_status(cmd, error);
    case SEV_PDH_CERT_EXPORT:
        return pdh_export(cmd, writable, error);
    case SEV_GET_ID:
        return get_id(cmd, error);
    case SEV_GET_ID2:
        return get_id2(cmd, error);
    case SEV_FACTORY_RESET:
        return factory_reset(writable, error);
    case SEV_PEK_GEN:
        return generate(PSP_CMD_PEK_GEN, writable, error);
    case SEV_PDH_GEN:
        return generate(PSP_CMD_PDH_GEN, writable, error);
    case SEV_PEK_CSR:
        return pek_csr(cmd, writable, error);
    case SEV_PEK_CERT_IMPORT:
        return pek_import(cmd, writable, error);
    case SNP_SET_CONFIG:
    case SNP_VLEK_LOAD:
        return !cmd->data ? -EINVAL : writable ? -ENODEV : -EPERM;
    default:
        *error = PSP_INVALID_COMMAND;
        return -EIO;
    }
}

int ks_ccp_ioctl(const KsFile *file, unsigned long request, uint64_t arg)
{
    struct sev_issue_cmd cmd;
    uint32_t error;
    int ret;

    if (request != SEV_ISSUE_CMD) {
        return -EINVAL;
    }
    if (ks_from_user(&cmd, arg, sizeof(cmd))) {
        return -EFAULT;
    }
    if (cmd.cmd >= SEV_MAX) {
        return -EINVAL;
    }
    error = cmd.error;
    ret = issue(&cmd, file->writable, &error);
    cmd.error = error;
    ks_log("ioctl %s %d %d", names[cmd.cmd], -ret, (int)error);
    return ks_to_user(arg, &cmd, sizeof(cmd)) ?: ret;
}
