/*
 * The table of commands, and the one way in.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "commands.h"

#include <string.h>

#define PSP_UNNAMED "unknown"

static const PspCommandRow psp_commands[PSP_CMD_MAX] = {
    /* Platform */
    [PSP_CMD_INIT] = {
        .name = "INIT", .size = sizeof(PspInit),
        .platform = PSP_P(UNINIT), .lock = PSP_LOCK_PLATFORM,
        .run = psp_cmd_init,
    },
    [PSP_CMD_SHUTDOWN] = {
        .name = "SHUTDOWN",
        .platform = PSP_P_ANY, .lock = PSP_LOCK_PLATFORM,
        .run = psp_cmd_shutdown,
    },
    [PSP_CMD_PLATFORM_RESET] = {
        .name = "PLATFORM_RESET",
        .platform = PSP_P(UNINIT), .lock = PSP_LOCK_PLATFORM,
        .run = psp_cmd_platform_reset,
    },
    [PSP_CMD_PLATFORM_STATUS] = {
        .name = "PLATFORM_STATUS", .size = sizeof(PspPlatformStatus),
        .platform = PSP_P_ANY, .lock = PSP_LOCK_SHARED,
        .run = psp_cmd_platform_status,
    },
    [PSP_CMD_PEK_GEN] = {
        .name = "PEK_GEN",
        .platform = PSP_P(INIT), .lock = PSP_LOCK_PLATFORM,
        .run = psp_cmd_pek_gen,
    },
    [PSP_CMD_PEK_CSR] = {
        .name = "PEK_CSR", .size = sizeof(PspPekCsr),
        .platform = PSP_P_UP, .lock = PSP_LOCK_SHARED,
        .run = psp_cmd_pek_csr,
    },
    [PSP_CMD_PEK_CERT_IMPORT] = {
        .name = "PEK_CERT_IMPORT", .size = sizeof(PspPekCertImport),
        .platform = PSP_P(INIT), .lock = PSP_LOCK_PLATFORM,
        .run = psp_cmd_pek_cert_import,
    },
    [PSP_CMD_PDH_CERT_EXPORT] = {
        .name = "PDH_CERT_EXPORT", .size = sizeof(PspPdhCertExport),
        .platform = PSP_P_UP, .lock = PSP_LOCK_SHARED,
        .run = psp_cmd_pdh_cert_export,
    },
    [PSP_CMD_PDH_GEN] = {
        .name = "PDH_GEN",
        .platform = PSP_P_UP, .lock = PSP_LOCK_PLATFORM,
        .run = psp_cmd_pdh_gen,
    },
    [PSP_CMD_DF_FLUSH] = {
        .name = "DF_FLUSH",
        .platform = PSP_P_UP, .lock = PSP_LOCK_PLATFORM,
        .run = psp_cmd_df_flush,
    },
    [PSP_CMD_DOWNLOAD_FIRMWARE] = {
        .name = "DOWNLOAD_FIRMWARE", .size = sizeof(PspDownloadFirmware),
        .platform = PSP_P(UNINIT), .lock = PSP_LOCK_SHARED,
        .run = psp_cmd_unsupported,
    },
    [PSP_CMD_GET_ID] = {
        .name = "GET_ID", .size = sizeof(PspGetId),
        .platform = PSP_P_ANY, .lock = PSP_LOCK_PLATFORM,
        .run = psp_cmd_get_id,
    },
    [PSP_CMD_INIT_EX] = {
        .name = "INIT_EX", .size = sizeof(PspInitEx),
        .platform = PSP_P(UNINIT), .lock = PSP_LOCK_PLATFORM,
        .run = psp_cmd_init_ex,
    },
    [PSP_CMD_NOP] = {
        .name = "NOP",
        .platform = PSP_P_ANY, .lock = PSP_LOCK_SHARED,
        .run = psp_cmd_nop,
    },

    /* Guest contexts */
    [PSP_CMD_DECOMMISSION] = {
        .name = "DECOMMISSION", .size = sizeof(PspHandleCmd),
        .platform = PSP_P(WORKING), .lock = PSP_LOCK_PLATFORM,
        .guest = PSP_G_ANY, .next = PSP_G_GONE,
        .run = psp_cmd_decommission,
    },
    [PSP_CMD_ACTIVATE] = {
        .name = "ACTIVATE", .size = sizeof(PspActivate),
        .platform = PSP_P(WORKING), .lock = PSP_LOCK_PLATFORM,
        .guest = PSP_G_LIVE, .next = PSP_G_SAME,
        .run = psp_cmd_activate,
    },
    [PSP_CMD_DEACTIVATE] = {
        .name = "DEACTIVATE", .size = sizeof(PspHandleCmd),
        .platform = PSP_P(WORKING), .lock = PSP_LOCK_PLATFORM,
        .guest = PSP_G_ANY, .next = PSP_G_SAME,
        .run = psp_cmd_deactivate,
    },
    [PSP_CMD_GUEST_STATUS] = {
        .name = "GUEST_STATUS", .size = sizeof(PspGuestStatus),
        .platform = PSP_P(WORKING), .lock = PSP_LOCK_SHARED,
        .guest = PSP_G_ANY, .next = PSP_G_SAME,
        .run = psp_cmd_guest_status,
    },
    [PSP_CMD_COPY] = {
        .name = "COPY", .size = sizeof(PspCopy),
        .platform = PSP_P(WORKING), .lock = PSP_LOCK_SHARED,
        .guest = PSP_G_LIVE, .next = PSP_G_SAME,
        .run = psp_cmd_copy,
    },
    [PSP_CMD_ACTIVATE_EX] = {
        .name = "ACTIVATE_EX", .size = sizeof(PspActivateEx),
        .platform = PSP_P(WORKING), .lock = PSP_LOCK_PLATFORM,
        .guest = PSP_G_LIVE, .next = PSP_G_SAME,
        .handle_at = offsetof(PspActivateEx, handle),
        .run = psp_cmd_activate_ex,
    },

    /* Launch */
    [PSP_CMD_LAUNCH_START] = {
        .name = "LAUNCH_START", .size = sizeof(PspLaunchStart),
        .platform = PSP_P_UP, .lock = PSP_LOCK_PLATFORM,
        .guest = PSP_G(UNINIT), .next = PSP_GUEST_LUPDATE,
        .run = psp_cmd_launch_start,
    },
    [PSP_CMD_LAUNCH_UPDATE_DATA] = {
        .name = "LAUNCH_UPDATE_DATA", .size = sizeof(PspLaunchUpdate),
        .platform = PSP_P(WORKING), .lock = PSP_LOCK_GUEST,
        .guest = PSP_G(LUPDATE), .next = PSP_G_SAME,
        .run = psp_cmd_launch_update_data,
    },
    [PSP_CMD_LAUNCH_UPDATE_VMSA] = {
        .name = "LAUNCH_UPDATE_VMSA", .size = sizeof(PspLaunchUpdate),
        .platform = PSP_P(WORKING), .lock = PSP_LOCK_GUEST,
        .guest = PSP_G(LUPDATE), .next = PSP_G_SAME,
        .run = psp_cmd_launch_update_vmsa,
    },
    [PSP_CMD_LAUNCH_MEASURE] = {
        .name = "LAUNCH_MEASURE", .size = sizeof(PspLaunchMeasure),
        .platform = PSP_P(WORKING), .lock = PSP_LOCK_GUEST,
        .guest = PSP_G(LUPDATE), .next = PSP_GUEST_LSECRET,
        .run = psp_cmd_launch_measure,
    },
    [PSP_CMD_LAUNCH_SECRET] = {
        .name = "LAUNCH_SECRET", .size = sizeof(PspPacketCmd),
        .platform = PSP_P(WORKING), .lock = PSP_LOCK_SHARED,
        .guest = PSP_G(LSECRET), .next = PSP_G_SAME,
        .run = psp_cmd_launch_secret,
    },
    [PSP_CMD_LAUNCH_FINISH] = {
        .name = "LAUNCH_FINISH", .size = sizeof(PspHandleCmd),
        .platform = PSP_P(WORKING), .lock = PSP_LOCK_GUEST,
        .guest = PSP_G(LSECRET), .next = PSP_GUEST_RUNNING,
        .run = psp_cmd_launch_finish,
    },
    [PSP_CMD_ATTESTATION] = {
        .name = "ATTESTATION", .size = sizeof(PspAttestation),
        .platform = PSP_P(WORKING), .lock = PSP_LOCK_SHARED,
        .guest = PSP_G(LSECRET) | PSP_G(RUNNING) | PSP_G(SUPDATE),
        .next = PSP_G_SAME,
        .run = psp_cmd_attestation,
    },

    /* Transfer */
    [PSP_CMD_SEND_START] = {
        .name = "SEND_START", .size = sizeof(PspSendStart),
        .platform = PSP_P(WORKING), .lock = PSP_LOCK_GUEST,
        .guest = PSP_G(RUNNING), .next = PSP_GUEST_SUPDATE,
        .run = psp_cmd_send_start,
    },
    [PSP_CMD_SEND_UPDATE_DATA] = {
        .name = "SEND_UPDATE_DATA", .size = sizeof(PspPacketCmd),
        .platform = PSP_P(WORKING), .lock = PSP_LOCK_SHARED,
        .guest = PSP_G(SUPDATE), .next = PSP_G_SAME,
        .many = true, .run = psp_cmd_send_update_data,
    },
    [PSP_CMD_SEND_UPDATE_VMSA] = {
        .name = "SEND_UPDATE_VMSA", .size = sizeof(PspPacketCmd),
        .platform = PSP_P(WORKING), .lock = PSP_LOCK_SHARED,
        .guest = PSP_G(SUPDATE), .next = PSP_G_SAME,
        .run = psp_cmd_send_update_vmsa,
    },
    [PSP_CMD_SEND_FINISH] = {
        .name = "SEND_FINISH", .size = sizeof(PspHandleCmd),
        .platform = PSP_P(WORKING), .lock = PSP_LOCK_GUEST,
        .guest = PSP_G(SUPDATE), .next = PSP_GUEST_SENT,
        .run = psp_cmd_transfer_end,
    },
    [PSP_CMD_SEND_CANCEL] = {
        .name = "SEND_CANCEL", .size = sizeof(PspHandleCmd),
        .platform = PSP_P(WORKING), .lock = PSP_LOCK_GUEST,
        .guest = PSP_G(SUPDATE), .next = PSP_GUEST_RUNNING,
        .run = psp_cmd_transfer_end,
    },
    [PSP_CMD_RECEIVE_START] = {
        .name = "RECEIVE_START", .size = sizeof(PspLaunchStart),
        .platform = PSP_P_UP, .lock = PSP_LOCK_PLATFORM,
        .guest = PSP_G(UNINIT), .next = PSP_GUEST_RUPDATE,
        .run = psp_cmd_receive_start,
    },
    [PSP_CMD_RECEIVE_UPDATE_DATA] = {
        .name = "RECEIVE_UPDATE_DATA", .size = sizeof(PspPacketCmd),
        .platform = PSP_P(WORKING), .lock = PSP_LOCK_SHARED,
        .guest = PSP_G(RUPDATE), .next = PSP_G_SAME,
        .many = true, .run = psp_cmd_receive_update_data,
    },
    [PSP_CMD_RECEIVE_UPDATE_VMSA] = {
        .name = "RECEIVE_UPDATE_VMSA", .size = sizeof(PspPacketCmd),
        .platform = PSP_P(WORKING), .lock = PSP_LOCK_SHARED,
        .guest = PSP_G(RUPDATE), .next = PSP_G_SAME,
        .run = psp_cmd_receive_update_vmsa,
    },
    [PSP_CMD_RECEIVE_FINISH] = {
        .name = "RECEIVE_FINISH", .size = sizeof(PspHandleCmd),
        .platform = PSP_P(WORKING), .lock = PSP_LOCK_GUEST,
        .guest = PSP_G(RUPDATE), .next = PSP_GUEST_RUNNING,
        .run = psp_cmd_transfer_end,
    },

    /* Debug */
    [PSP_CMD_DBG_DECRYPT] = {
        .name = "DBG_DECRYPT", .size = sizeof(PspDebug),
        .platform = PSP_P(WORKING), .lock = PSP_LOCK_SHARED,
        .guest = PSP_G_LIVE, .next = PSP_G_SAME,
        .run = psp_cmd_dbg_decrypt,
    },
    [PSP_CMD_DBG_ENCRYPT] = {
        .name = "DBG_ENCRYPT", .size = sizeof(PspDebug),
        .platform = PSP_P(WORKING), .lock = PSP_LOCK_SHARED,
        .guest = PSP_G_LIVE, .next = PSP_G_SAME,
        .run = psp_cmd_dbg_encrypt,
    },
};

const PspCommandRow *psp_command_row(PspCommand cmd)
{
    if ((unsigned)cmd >= PSP_CMD_MAX || !psp_commands[cmd].run) {
        return NULL;
    }
    return &psp_commands[cmd];
}

const char *psp_command_name(PspCommand cmd)
{
    const PspCommandRow *row = psp_command_row(cmd);

    return row ? row->name : PSP_UNNAMED;
}

static const char *const psp_statuses[] = {
    [PSP_SUCCESS] = "SUCCESS",
    [PSP_INVALID_PLATFORM_STATE] = "INVALID_PLATFORM_STATE",
    [PSP_INVALID_GUEST_STATE] = "INVALID_GUEST_STATE",
    [PSP_INVALID_CONFIG] = "INVALID_CONFIG",
    [PSP_INVALID_LEN] = "INVALID_LEN",
    [PSP_ALREADY_OWNED] = "ALREADY_OWNED",
    [PSP_INVALID_CERTIFICATE] = "INVALID_CERTIFICATE",
    [PSP_POLICY_FAILURE] = "POLICY_FAILURE",
    [PSP_INACTIVE] = "INACTIVE",
    [PSP_INVALID_ADDRESS] = "INVALID_ADDRESS",
    [PSP_BAD_SIGNATURE] = "BAD_SIGNATURE",
    [PSP_BAD_MEASUREMENT] = "BAD_MEASUREMENT",
    [PSP_ASID_OWNED] = "ASID_OWNED",
    [PSP_INVALID_ASID] = "INVALID_ASID",
    [PSP_WBINVD_REQUIRED] = "WBINVD_REQUIRED",
    [PSP_DFFLUSH_REQUIRED] = "DFFLUSH_REQUIRED",
    [PSP_INVALID_GUEST] = "INVALID_GUEST",
    [PSP_INVALID_COMMAND] = "INVALID_COMMAND",
    [PSP_ACTIVE] = "ACTIVE",
    [PSP_HWERROR_PLATFORM] = "HWERROR_PLATFORM",
    [PSP_HWERROR_UNSAFE] = "HWERROR_UNSAFE",
    [PSP_UNSUPPORTED] = "UNSUPPORTED",
    [PSP_INVALID_PARAM] = "INVALID_PARAM",
    [PSP_RESOURCE_LIMIT] = "RESOURCE_LIMIT",
    [PSP_SECURE_DATA_INVALID] = "SECURE_DATA_INVALID",
};

const char *psp_status_name(PspStatus status)
{
    if ((unsigned)status >= G_N_ELEMENTS(psp_statuses)) {
        return PSP_UNNAMED;
    }
    return psp_statuses[status];
}
