/*
 * One SEV guest's pages and packets, as migration and templates need them.
 *
 * The contract between migration/sev/ (records on a stream) and
 * target/i386/sev/ (the guest and its secure processor).  Everything here
 * goes through the seam of backend.h, so it is the same code for the
 * kernel's secure processor and for the software one.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_SEV_TRANSFER_H
#define TARGET_I386_SEV_TRANSFER_H

#include "exec/ramblock.h"
#include "qapi/error.h"

#define SEV_PACKET_HDR_LEN 52      /* flags u32, IV[16], MAC[32] */
#define SEV_PACKET_DATA_LEN 4096   /* one page of transport ciphertext */
#define SEV_SESSION_LEN 128        /* SEND_START's session blob */
#define SEV_REPORT_LEN 208         /* ATTESTATION's report */
#define SEV_MNONCE_LEN 16          /* ... and what it answers to */

/* One page of guest RAM.  @offset is page-aligned and below used_length. */
typedef struct SevPage {
    RAMBlock *rb;
    ram_addr_t offset;
} SevPage;

/* A platform's public identity; every blob in firmware format. */
typedef struct SevPlatformCerts {
    uint8_t *pdh;   size_t pdh_len;     /* PDH */
    uint8_t *plat;  size_t plat_len;    /* PEK, OCA, CEK */
    uint8_t *amd;   size_t amd_len;     /* ASK, ARK; may be empty */
} SevPlatformCerts;

void sev_platform_certs_clear(SevPlatformCerts *certs);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(SevPlatformCerts, sev_platform_certs_clear)

/*
 * What the owner of a guest knows about it; travels with the guest.
 * Integers in host order.  @measurement is what query-sev-launch-measure
 * answers (base64 text, owned, NULL if there is none).
 */
typedef struct SevGuestIdentity {
    uint32_t policy;
    uint32_t handle;
    uint8_t api_major;
    uint8_t api_minor;
    uint8_t build_id;
    uint32_t cbitpos;
    uint32_t reduced_phys_bits;
    char *measurement;
    /*
     * Of a guest that was received: fingerprint of the platform whose PDH made
     * its session.  The rest of @measurement's story is the stream's word.
     * NULL (owned, too): launched here.
     */
    char *claimed_by;
} SevGuestIdentity;

void sev_guest_identity_clear(SevGuestIdentity *id);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(SevGuestIdentity, sev_guest_identity_clear)

/*
 * True when this VM is a guest whose pages, and registers if they are encrypted,
 * can become packets: SEV, and SEV-ES on a software secure processor.  Any
 * thread.
 */
bool sev_guest_present(void);

/* Fill @id from the running guest.  BQL not needed. */
void sev_guest_identity(SevGuestIdentity *id);

/*
 * Why this guest cannot be sent, or true if it can: policy NOSEND, a kernel
 * that lacks what is needed, a vCPU without encrypted state, a device whose
 * memory nobody declares, a guest that does not report page status.  BQL held.
 */
bool sev_guest_can_send(Error **errp);

/* May a guest with this policy be sent at all?  Not with NOSEND. */
bool sev_policy_may_send(uint32_t policy, Error **errp);

/*
 * May the memory of the stopped guest become packets now?  Not when it stopped
 * inside SMM with its state in a private page, nor when it was reset meanwhile
 * and does not declare its pages yet.  The guest runs on, and the next attempt
 * may do.  Migration thread.
 */
bool sev_guest_may_move(Error **errp);

/*
 * May this target, as it was started, hold the guest that @id describes?  A
 * policy left at its default takes any that has no debugging.
 */
bool sev_guest_accepts(const SevGuestIdentity *id, Error **errp);

/*
 * The certificates of the platform that this process runs on, as its chip
 * exports them.  A real one's CEK is not signed, and @amd is empty.
 */
bool sev_platform_certs(SevPlatformCerts *certs, Error **errp);

/*
 * The same, with what the chip does not export from the platform's chain file,
 * when there is one.  An error when that file is not of this platform.
 */
bool sev_platform_chain(SevPlatformCerts *certs, Error **errp);

/* What @certs lacks for a guest to be sealed to them, or NULL; caller frees. */
char *sev_certs_lack(const SevPlatformCerts *certs);

/* Give @certs what it lacks and @known, of the same platform, has. */
bool sev_certs_fill(SevPlatformCerts *certs, const SevPlatformCerts *known,
                    Error **errp);

/* @certs are this platform's: make them whole, or say what they lack. */
bool sev_certs_complete_own(SevPlatformCerts *certs, Error **errp);

/* A part of a platform's certificates, as an operator may hand it over. */
typedef enum SevCertPart {
    SEV_CERT_PDH,
    SEV_CERT_PLAT,
    SEV_CERT_AMD,
} SevCertPart;

/* Has @data the length and the structure of @part?  No signature is checked. */
bool sev_certs_check(SevCertPart part, const uint8_t *data, size_t len,
                     Error **errp);

/* Fingerprint of a PDH: 64 hex digits; caller frees. */
char *sev_certs_fingerprint(const SevPlatformCerts *certs, Error **errp);

/*
 * The same of the CEK, which is the chip's for life: PDH and PEK can be
 * replaced.
 */
char *sev_certs_chip(const SevPlatformCerts *certs, Error **errp);

/*
 * Is @target a platform that this host trusts?  Verifies PDH <- PEK <-
 * (OCA, CEK), CEK <- ASK <- ARK to a locally pinned root, the API minimum
 * and, when the guest's policy has DOMAIN, the owner.  The error is one
 * sentence per reason.
 */
bool sev_certs_trusted(const SevPlatformCerts *target, Error **errp);

/* --- Source: RUNNING -> SEND_UPDATE -> SENT, or back to RUNNING ------- */

/* SEND_START for @target.  @session gets SEV_SESSION_LEN bytes. */
bool sev_send_start(const SevPlatformCerts *target, uint8_t *session,
                    Error **errp);

/* A page and where its packet is or goes; the caller owns the bytes. */
typedef struct SevPageJob {
    SevPage page;
    uint8_t *hdr;               /* SEV_PACKET_HDR_LEN */
    uint8_t *data;              /* SEV_PACKET_DATA_LEN */
} SevPageJob;

/* At a time; as many as a record of the stream may have. */
#define SEV_PAGE_JOBS_MAX 64

/*
 * SEND_UPDATE_DATA for @n pages, SEV_PAGE_JOBS_MAX at most.  Any
 * thread, after sev_send_start().  The packet of a page that is not private
 * any more when the command is over is worth nothing: the caller looks.
 */
bool sev_send_pages(const SevPageJob *jobs, size_t n, Error **errp);
/*
 * SEND_FINISH: the guest never runs again.  Whatever the answer, its key, its
 * plaintext and its registers, if they are encrypted, are wiped, where the
 * backend can (sev_backend_guest_end()).
 */
bool sev_send_finish(Error **errp);
bool sev_send_cancel(Error **errp);     /* SEND_CANCEL: runs on */

/* --- Target: UNINIT -> RECEIVE_UPDATE -> RUNNING ----------------------- */

/*
 * RECEIVE_START from the platform whose PDH certificate is @pdh.  @id is
 * adopted (policy, measurement, API) when the firmware accepts the session.
 */
bool sev_receive_start(const SevGuestIdentity *id,
                       const uint8_t *pdh, size_t pdh_len,
                       const uint8_t *session, size_t session_len,
                       Error **errp);
/*
 * Is this the first time that this platform opens @session, as far as its
 * folder knows?  It is on the list there from now on.  False: not so, or the
 * list cannot be kept.  Main thread.
 */
bool sev_session_once(const uint8_t *session, size_t len, Error **errp);
/*
 * RECEIVE_UPDATE_DATA for @n pages, SEV_PAGE_JOBS_MAX at most.  It
 * stops at the first failure, and that page is as it was.  Any thread.
 */
bool sev_receive_pages(const SevPageJob *jobs, size_t n, Error **errp);
bool sev_receive_finish(Error **errp);

/* --- Registers of an SEV-ES guest (es/move.c); BQL held ------------------ */

/* How many vCPUs' registers travel as packets: all, or 0 of another guest. */
size_t sev_vcpus(void);
/* APIC id of vCPU number @n, below sev_vcpus(); ascending with @n. */
uint64_t sev_vcpu_id(size_t n);
/* The highest version of the GHCB protocol that the guest was offered; 0: none */
uint64_t sev_vcpus_ghcb(void);
/* Has each vCPU registers that can be sent?  Not one that came too late. */
bool sev_vcpus_can_move(Error **errp);

/*
 * SEND_UPDATE_VMSA and RECEIVE_UPDATE_VMSA for vCPU number @n: header and data
 * are as long as a page's.  The VM is stopped.
 */
bool sev_send_vcpu(size_t n, uint8_t *hdr, uint8_t *data, Error **errp);
bool sev_receive_vcpu(size_t n, const uint8_t *hdr, const uint8_t *data,
                      Error **errp);
/* All were received: nobody here sees registers from now on. */
void sev_receive_vcpus_end(void);
/* The guest never runs here again: wipe them. */
void sev_vcpus_forget(void);

/* --- Proof that a platform has a guest (attest.c) ----------------------- */

/*
 * ATTESTATION of the guest that is here, which has left its launch or its
 * transfer behind.  When it fails *@fw_error is the firmware's status, or 0 if
 * the command never came there.  Main thread.
 */
bool sev_attest(const uint8_t mnonce[SEV_MNONCE_LEN],
                uint8_t report[SEV_REPORT_LEN], int *fw_error, Error **errp);

/*
 * Is this such a report, made for @mnonce by @platform, whose certificates
 * were verified, of a guest with this guest's policy?  Any thread.
 */
bool sev_report_check(const SevPlatformCerts *platform, const uint8_t *report,
                      size_t len, const uint8_t mnonce[SEV_MNONCE_LEN],
                      Error **errp);

/* --- Target, instead of sev_receive_pages(): opened at first touch ----- */

/*
 * One block of RAM whose host memory is a private mapping of a template's
 * image: packets where it is private, plain bytes where it is shared.  All of
 * it stays as it is for as long as a page is sealed, hence for the VM's life.
 */
typedef struct SevSealedBlock {
    RAMBlock *rb;
    const uint8_t *headers;     /* SEV_PACKET_HDR_LEN for every page */
    int fd;                     /* the image, and where the block starts */
    off_t start;
    char *name;                 /* of the template, for messages */
} SevSealedBlock;

/* Can this backend do that?  Hardware cannot. */
bool sev_first_touch_possible(void);
/* After sev_receive_start(), before sev_receive_finish().  Main thread. */
bool sev_first_touch_begin(Error **errp);
/* @sealed is kept. */
void sev_first_touch_add(SevSealedBlock *sealed);
/* The pages of the range, all private, are packets. */
void sev_first_touch_mark(RAMBlock *rb, ram_addr_t offset, ram_addr_t length);

/*
 * To look at packets without a guest: who may open this session's?  NULL when
 * this platform cannot.  Main thread.
 */
typedef struct PspPacketKey SevVerifier;
bool sev_verifier_possible(void);       /* no hardware can */
SevVerifier *sev_verifier_new(uint64_t policy,
                              const uint8_t *pdh, size_t pdh_len,
                              const uint8_t *session, size_t session_len,
                              Error **errp);
/* Is this packet, of a page or of a vCPU's registers, one of the session's? */
bool sev_verifier_check(SevVerifier *v, const uint8_t *hdr,
                        const uint8_t *data);
bool sev_verifier_check_vcpu(SevVerifier *v, const uint8_t *hdr,
                             const uint8_t *data);
void sev_verifier_free(SevVerifier *v);

/* From now on a thread opens what the guest has not touched yet. */
void sev_first_touch_sweep(void);

/* --- Which pages are private (page-state.h has the rest) --------------- */

/*
 * Is the page private, as far as the guest has said or shown?  A page that
 * was never touched is not: its DRAM content travels as any other page's.
 * A page that changes sides is marked dirty for migration.  Any thread.
 */
bool sev_page_is_private(RAMBlock *rb, ram_addr_t offset);

/*
 * Was this private page never written under the guest's key?  Then it holds
 * nothing, and may travel as the zeros that its memory is.  Known only where
 * declarations rule (elsewhere such a page is not private) and host reads are
 * coherent: nothing that a guest writes encrypts to a page of zeros.  Any
 * thread.
 */
bool sev_page_never_written(RAMBlock *rb, ram_addr_t offset);

/*
 * Call @fn for every maximal run of private pages of @rb, in order.  Stops
 * when @fn returns false, and returns that.
 */
typedef bool (*SevPageRunFn)(RAMBlock *rb, ram_addr_t offset,
                             ram_addr_t length, void *opaque);
bool sev_page_foreach_private(RAMBlock *rb, SevPageRunFn fn, void *opaque);

/*
 * What x-query-sev-page-map says: what the guest declared beside what it did.  The
 * caller frees it.  BQL held.
 */
struct SevPageMapInfo;
struct SevPageMapInfo *sev_page_map_compare(Error **errp);

/*
 * On a target: the pages of [@offset, @offset + @length) are private or
 * shared from now on.  Content is not changed.  The caller has checked the
 * range against used_length.
 */
void sev_page_set_private(RAMBlock *rb, ram_addr_t offset,
                          ram_addr_t length, bool is_private);

#endif /* TARGET_I386_SEV_TRANSFER_H */
