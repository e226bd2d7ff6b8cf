/*
 * The seam: who answers the kernel's SEV commands.
 *
 * All firmware traffic of target/i386/sev.c passes sev_ioctl() and
 * sev_platform_ioctl(), with the structs of linux/kvm.h and linux/psp-sev.h.
 * A backend is those two functions.  The kernel's is the ioctls, untouched;
 * the software backend answers the same structs from libpsp.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_SEV_BACKEND_BACKEND_H
#define TARGET_I386_SEV_BACKEND_BACKEND_H

#include "qapi/error.h"

/* sev-device=software or software:DIR */
#define SEV_DEVICE_SOFTWARE "software"

/* Does the text of sev-device ask for the software backend? */
bool sev_backend_is_software_name(const char *sev_device);

/*
 * Open the software secure processor of @sev_device (NULL or without a
 * folder: the default identity).  Opening it again is fine when it is the
 * same folder.  BQL held.
 */
bool sev_backend_open_software(const char *sev_device, Error **errp);

/* True once the software backend answers.  Any thread. */
bool sev_backend_is_software(void);

/* The folder of the software identity, or the default one; caller frees. */
char *sev_backend_identity_dir(void);

/*
 * The folder of what an operator says about platforms: the roots he trusts, and
 * the chain of this one.  With a software secure processor it is the folder of
 * that one's identity, with the kernel's $SEV_PSP_CONFIG_DIR or /etc/sev-psp.
 * Caller frees.
 */
char *sev_backend_config_dir(void);

/*
 * Commands as the kernel answers them: @cmd and @data as for
 * KVM_MEMORY_ENCRYPT_OP (enum sev_cmd_id) and SEV_ISSUE_CMD.  0, or a
 * negative errno with errno set; *@fw_error gets the firmware's status.
 * Guest commands: any thread.
 */
int sev_backend_guest_cmd(int cmd, void *data, int *fw_error);
int sev_backend_platform_cmd(int cmd, void *data, int *fw_error);

/* The kernel is about to answer a guest command: what it encrypts is private. */
void sev_backend_kernel_cmd(int cmd, const void *data);

/*
 * The same for @n packets of SEND_UPDATE_DATA or RECEIVE_UPDATE_DATA (the two
 * have one struct), as fast as the backend can.  Stops at the first failure;
 * *@done have succeeded, in order.  Any thread.
 */
struct kvm_sev_send_update_data;
int sev_backend_guest_packets(int cmd, struct kvm_sev_send_update_data *packets,
                              size_t n, size_t *done, int *fw_error);

/*
 * The guest will not run here any more: what KVM does when a VM is destroyed,
 * DEACTIVATE and DECOMMISSION, and nothing of its key or its plaintext is left
 * in this process.  On the kernel's backend nothing: user space has no such
 * command, and its chip keeps the key until the VM's last descriptor is closed.
 * No vCPU runs.
 */
void sev_backend_guest_end(void);

/*
 * ASK and ARK as this platform's chip hands them out.  A real one does not
 * (length 0 on the kernel's backend): they come from AMD, see
 * sev_platform_chain().  A software one does, unless it was made to behave as
 * silicon.  Caller frees *@amd.
 */
bool sev_backend_amd_chain(uint8_t **amd, size_t *len, Error **errp);

/*
 * The keys of the transfer that the guest is being received by, to open its
 * packets later; NULL when this backend cannot, as no hardware can.  The
 * caller owns a reference.
 */
struct PspPacketKey *sev_backend_packet_key(void);

/*
 * The same of a session that no guest is made of: RECEIVE_START and
 * DECOMMISSION in one.  NULL: *@fw_error says why.
 */
struct kvm_sev_receive_start;
struct PspPacketKey *
sev_backend_session_key(const struct kvm_sev_receive_start *start,
                        int *fw_error);

/* The commands of the guest's own context, through the seam (sev-guest). */
int sev_guest_cmd(int cmd, void *data, int *fw_error);
int sev_guest_packets(int cmd, struct kvm_sev_send_update_data *packets,
                      size_t n, size_t *done, int *fw_error);

/*
 * Platform commands: the guest's descriptor or, without a guest, one that is
 * opened for as long as it is needed.  -1 with errno set when it fails; then
 * *@fw_error is the firmware's status, 0 when nobody reported one, or -1 when
 * the kernel says that it did not get as far as the firmware.
 */
typedef struct SevPlatformFd {
    int fd;
    bool opened;
} SevPlatformFd;

bool sev_platform_open(SevPlatformFd *platform, Error **errp);
void sev_platform_close(SevPlatformFd *platform);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(SevPlatformFd, sev_platform_close)
int sev_platform_cmd(const SevPlatformFd *platform, int cmd, void *data,
                     int *fw_error);

/* Why command @name failed, as a sentence: with status @fw_error, errno @err */
void sev_fw_failed(Error **errp, const char *name, int err, int fw_error);
const char *sev_fw_error_str(int fw_error);

#endif /* TARGET_I386_SEV_BACKEND_BACKEND_H */
