/*
 * Handlers of the command table.
 *
 * A handler finds its buffer of the right size, the platform and the guest in
 * an allowed state, and the locks taken that its row names.  It works on
 * locals, writes its reply, and commits; the dispatcher then moves the guest
 * to the row's next state.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef PSP_COMMANDS_H
#define PSP_COMMANDS_H

#include "platform.h"

typedef PspStatus PspHandler(PspCall *call);

/* What a command may change, hence which locks it runs under */
typedef enum PspLock {
    PSP_LOCK_SHARED,            /* nothing: runs beside others of its kind */
    PSP_LOCK_GUEST,             /* its guest */
    PSP_LOCK_PLATFORM,          /* anything: runs alone */
} PspLock;

/* Sets of states */
#define PSP_P(state)    (1u << PSP_PLATFORM_##state)
#define PSP_P_ANY       (PSP_P(UNINIT) | PSP_P(INIT) | PSP_P(WORKING))
#define PSP_P_UP        (PSP_P(INIT) | PSP_P(WORKING))
#define PSP_G(state)    (1u << PSP_GUEST_##state)
#define PSP_G_LIVE      (PSP_G(LUPDATE) | PSP_G(LSECRET) | PSP_G(RUNNING) | \
                         PSP_G(SUPDATE) | PSP_G(RUPDATE))
#define PSP_G_ANY       (PSP_G_LIVE | PSP_G(SENT))
/* Next states that are none: 0, what a row does not say, must harm nobody. */
#define PSP_G_SAME      0
#define PSP_G_GONE      (-1)

typedef struct PspCommandRow {
    const char *name;
    size_t size;                /* of the command buffer */
    uint8_t platform;           /* allowed states: set of PSP_P() */
    uint8_t guest;              /* set of PSP_G(); 0: no guest involved */
    uint8_t handle_at;          /* offset of the handle in the buffer */
    bool many;                  /* the handler takes several buffers */
    int8_t next;                /* guest state after success, or PSP_G_... */
    PspLock lock;
    PspHandler *run;
} PspCommandRow;

/* NULL for numbers that are no command. */
const PspCommandRow *psp_command_row(PspCommand cmd);

/* cmd-platform.c */
PspHandler psp_cmd_init;
PspHandler psp_cmd_init_ex;
PspHandler psp_cmd_shutdown;
PspHandler psp_cmd_platform_reset;
PspHandler psp_cmd_platform_status;
PspHandler psp_cmd_pek_gen;
PspHandler psp_cmd_pek_csr;
PspHandler psp_cmd_pek_cert_import;
PspHandler psp_cmd_pdh_cert_export;
PspHandler psp_cmd_pdh_gen;
PspHandler psp_cmd_df_flush;
PspHandler psp_cmd_unsupported;
PspHandler psp_cmd_get_id;
PspHandler psp_cmd_nop;

/* cmd-guest.c */
PspHandler psp_cmd_activate;
PspHandler psp_cmd_activate_ex;
PspHandler psp_cmd_deactivate;
PspHandler psp_cmd_decommission;
PspHandler psp_cmd_guest_status;

/* cmd-launch.c */
PspHandler psp_cmd_launch_start;
PspHandler psp_cmd_launch_update_data;
PspHandler psp_cmd_launch_update_vmsa;
PspHandler psp_cmd_launch_measure;
PspHandler psp_cmd_launch_secret;
PspHandler psp_cmd_launch_finish;
PspHandler psp_cmd_attestation;

/* cmd-transfer.c */
PspHandler psp_cmd_send_start;
PspHandler psp_cmd_send_update_data;
PspHandler psp_cmd_send_update_vmsa;
PspHandler psp_cmd_receive_start;
PspHandler psp_cmd_receive_update_data;
PspHandler psp_cmd_receive_update_vmsa;
PspHandler psp_cmd_transfer_end;

/* cmd-debug.c */
PspHandler psp_cmd_dbg_decrypt;
PspHandler psp_cmd_dbg_encrypt;
PspHandler psp_cmd_copy;

/* cmd-start.c: LAUNCH_START and RECEIVE_START are one command but for this */
PspStatus psp_start_guest(PspCall *call, bool session_required);

/*
 * cmd-packet.c: what commands with a PspPacketCmd share.  Both work on all
 * buffers of the call, stop at the first failure and count in call->done.
 */
PspStatus psp_seal_packets(PspCall *call, PspPacketType type);
/* @measure: for LAUNCH_SECRET */
PspStatus psp_open_packets(PspCall *call, PspPacketType type,
                           const uint8_t *measure);

#endif /* PSP_COMMANDS_H */
