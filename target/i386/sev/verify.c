/*
 * Packets of a template, looked at without a guest.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <linux/kvm.h>
#include "target/i386/sev/backend/backend.h"
#include "transfer.h"
#include "hw/psp/psp-packet-key.h"

bool sev_verifier_possible(void)
{
    return sev_backend_is_software();
}

SevVerifier *sev_verifier_new(uint64_t policy,
                              const uint8_t *pdh, size_t pdh_len,
                              const uint8_t *session, size_t session_len,
                              Error **errp)
{
    struct kvm_sev_receive_start start = {
        .policy = policy,
        .pdh_uaddr = (uintptr_t)pdh,
        .pdh_len = pdh_len,
        .session_uaddr = (uintptr_t)session,
        .session_len = session_len,
    };
    SevVerifier *v;
    int fw_error = 0;

    if (!sev_verifier_possible()) {
        error_setg(errp, "only a software secure processor verifies packets "
                   "without a guest");
        return NULL;
    }
    v = sev_backend_session_key(&start, &fw_error);
    if (!v) {
        error_setg(errp, "the secure processor refuses the session: %s (%d)",
                   sev_fw_error_str(fw_error), fw_error);
    }
    return v;
}

static bool check(SevVerifier *v, bool vcpu, const uint8_t *hdr,
                  const uint8_t *data)
{
    uint8_t packet[SEV_PACKET_DATA_LEN], plain[SEV_PACKET_DATA_LEN];
    bool good;

    memcpy(packet, data, sizeof(packet));
    good = vcpu ? psp_packet_key_open_vmsa(v, hdr, packet, plain)
                : psp_packet_key_open(v, hdr, packet, plain, sizeof(packet));
    explicit_bzero(plain, sizeof(plain));
    return good;
}

bool sev_verifier_check(SevVerifier *v, const uint8_t *hdr,
                        const uint8_t *data)
{
    return check(v, false, hdr, data);
}

bool sev_verifier_check_vcpu(SevVerifier *v, const uint8_t *hdr,
                             const uint8_t *data)
{
    return check(v, true, hdr, data);
}

void sev_verifier_free(SevVerifier *v)
{
    psp_packet_key_unref(v);
}
