/*
 * The kernel's part in front of a software secure processor.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_SEV_BACKEND_PSP_H
#define TARGET_I386_SEV_BACKEND_PSP_H

#include "qapi/error.h"

typedef struct SevPsp SevPsp;
struct kvm_sev_send_update_data;

/* A chip with the identity in @dir; creates one there at first use. */
SevPsp *sev_psp_new(const char *dir, Error **errp);

/* As the functions sev_backend_...() of backend.h. */
int sev_psp_guest_cmd(SevPsp *sp, int cmd, void *data, int *fw_error);
int sev_psp_guest_packets(SevPsp *sp, int cmd,
                          struct kvm_sev_send_update_data *packets, size_t n,
                          size_t *done, int *fw_error);
void sev_psp_guest_end(SevPsp *sp);
int sev_psp_platform_cmd(SevPsp *sp, int cmd, void *data, int *fw_error);

struct PspPacketKey *sev_psp_packet_key(SevPsp *sp);
struct kvm_sev_receive_start;
struct PspPacketKey *
sev_psp_session_key(SevPsp *sp, const struct kvm_sev_receive_start *p,
                    int *fw_error);

bool sev_psp_amd_chain(SevPsp *sp, uint8_t **amd, size_t *len, Error **errp);

#endif /* TARGET_I386_SEV_BACKEND_PSP_H */
