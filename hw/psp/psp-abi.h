/*
 * The SEV API as numbers and structs: commands, states, status codes,
 * command buffers, certificates and packets.
 *
 * The reference is the AMD SEV API, publication 55766: a struct is the
 * command buffer table in the section named after its command.  Every integer
 * is little endian; structs have no alignment.  A "paddr" is a
 * system-physical address.  Nothing here needs glib or QEMU.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef PSP_ABI_H
#define PSP_ABI_H

#include <stdint.h>

#define PSP_PACKED __attribute__((packed))

/* What this chip says it is: PLATFORM_STATUS, MEASURE, certificates. */
#define PSP_API_MAJOR           1
#define PSP_API_MINOR           55
#define PSP_BUILD               1

/* --- Numbers ----------------------------------------------------------- */

/* Command identifiers */
typedef enum PspCommand {
    PSP_CMD_INVALID             = 0x00,

    PSP_CMD_INIT                = 0x01,
    PSP_CMD_SHUTDOWN            = 0x02,
    PSP_CMD_PLATFORM_RESET      = 0x03,
    PSP_CMD_PLATFORM_STATUS     = 0x04,
    PSP_CMD_PEK_GEN             = 0x05,
    PSP_CMD_PEK_CSR             = 0x06,
    PSP_CMD_PEK_CERT_IMPORT     = 0x07,
    PSP_CMD_PDH_CERT_EXPORT     = 0x08,
    PSP_CMD_PDH_GEN             = 0x09,
    PSP_CMD_DF_FLUSH            = 0x0a,
    PSP_CMD_DOWNLOAD_FIRMWARE   = 0x0b,
    PSP_CMD_GET_ID              = 0x0c,
    PSP_CMD_INIT_EX             = 0x0d,
    PSP_CMD_NOP                 = 0x0e,
    PSP_CMD_RING_BUFFER         = 0x0f,

    PSP_CMD_DECOMMISSION        = 0x20,
    PSP_CMD_ACTIVATE            = 0x21,
    PSP_CMD_DEACTIVATE          = 0x22,
    PSP_CMD_GUEST_STATUS        = 0x23,
    PSP_CMD_COPY                = 0x24,
    PSP_CMD_ACTIVATE_EX         = 0x25,

    PSP_CMD_LAUNCH_START        = 0x30,
    PSP_CMD_LAUNCH_UPDATE_DATA  = 0x31,
    PSP_CMD_LAUNCH_UPDATE_VMSA  = 0x32,
    PSP_CMD_LAUNCH_MEASURE      = 0x33,
    PSP_CMD_LAUNCH_SECRET       = 0x34,
    PSP_CMD_LAUNCH_FINISH       = 0x35,
    PSP_CMD_ATTESTATION         = 0x36,

    PSP_CMD_SEND_START          = 0x40,
    PSP_CMD_SEND_UPDATE_DATA    = 0x41,
    PSP_CMD_SEND_UPDATE_VMSA    = 0x42,
    PSP_CMD_SEND_FINISH         = 0x43,
    PSP_CMD_SEND_CANCEL         = 0x44,

    PSP_CMD_RECEIVE_START       = 0x50,
    PSP_CMD_RECEIVE_UPDATE_DATA = 0x51,
    PSP_CMD_RECEIVE_UPDATE_VMSA = 0x52,
    PSP_CMD_RECEIVE_FINISH      = 0x53,

    PSP_CMD_DBG_DECRYPT         = 0x60,
    PSP_CMD_DBG_ENCRYPT         = 0x61,

    PSP_CMD_SWAP_OUT            = 0x70,
    PSP_CMD_SWAP_IN             = 0x71,

    PSP_CMD_MAX                 = 0x80,
} PspCommand;

/* Status codes, 16 bits on the mailbox */
typedef enum PspStatus {
    PSP_SUCCESS                 = 0x00,
    PSP_INVALID_PLATFORM_STATE  = 0x01,
    PSP_INVALID_GUEST_STATE     = 0x02,
    PSP_INVALID_CONFIG          = 0x03,
    PSP_INVALID_LEN             = 0x04,
    PSP_ALREADY_OWNED           = 0x05,
    PSP_INVALID_CERTIFICATE     = 0x06,
    PSP_POLICY_FAILURE          = 0x07,
    PSP_INACTIVE                = 0x08,
    PSP_INVALID_ADDRESS         = 0x09,
    PSP_BAD_SIGNATURE           = 0x0a,
    PSP_BAD_MEASUREMENT         = 0x0b,
    PSP_ASID_OWNED              = 0x0c,
    PSP_INVALID_ASID            = 0x0d,
    PSP_WBINVD_REQUIRED         = 0x0e,
    PSP_DFFLUSH_REQUIRED        = 0x0f,
    PSP_INVALID_GUEST           = 0x10,
    PSP_INVALID_COMMAND         = 0x11,
    PSP_ACTIVE                  = 0x12,
    PSP_HWERROR_PLATFORM        = 0x13,
    PSP_HWERROR_UNSAFE          = 0x14,
    PSP_UNSUPPORTED             = 0x15,
    PSP_INVALID_PARAM           = 0x16,
    PSP_RESOURCE_LIMIT          = 0x17,
    PSP_SECURE_DATA_INVALID     = 0x18,
} PspStatus;

/* Platform states */
typedef enum PspPlatformState {
    PSP_PLATFORM_UNINIT         = 0,
    PSP_PLATFORM_INIT           = 1,    /* no guests */
    PSP_PLATFORM_WORKING        = 2,    /* has guests */
} PspPlatformState;

/* Guest states */
typedef enum PspGuestState {
    PSP_GUEST_UNINIT            = 0,
    PSP_GUEST_LUPDATE           = 1,
    PSP_GUEST_LSECRET           = 2,
    PSP_GUEST_RUNNING           = 3,
    PSP_GUEST_SUPDATE           = 4,
    PSP_GUEST_RUPDATE           = 5,
    PSP_GUEST_SENT              = 6,
} PspGuestState;

/* Guest policy */
#define PSP_POLICY_NODBG        (1u << 0)   /* DBG_* refused */
#define PSP_POLICY_NOKS         (1u << 1)   /* sharing its key refused */
#define PSP_POLICY_ES           (1u << 2)   /* SEV-ES guest */
#define PSP_POLICY_NOSEND       (1u << 3)   /* SEND_START refused */
#define PSP_POLICY_DOMAIN       (1u << 4)   /* only to the same OCA */
#define PSP_POLICY_SEV          (1u << 5)   /* only to authentic platforms */
#define PSP_POLICY_RSVD         0x0000ffc0u
#define PSP_POLICY_API_MAJOR(p) (((p) >> 16) & 0xff)
#define PSP_POLICY_API_MINOR(p) (((p) >> 24) & 0xff)

/* Fixed lengths that length queries answer with */
enum {
    PSP_PAGE_SIZE               = 4096,
    PSP_CERT_LEN                = 2084,
    PSP_CHAIN_LEN               = 3 * 2084, /* PEK, OCA, CEK */
    PSP_SESSION_LEN             = 128,
    PSP_PACKET_HDR_LEN          = 52,
    PSP_PACKET_MAX_LEN          = 16384,
    PSP_MEASURE_LEN             = 48,
    PSP_REPORT_LEN              = 208,
    PSP_ID_LEN                  = 64,
    PSP_AMD_CERT_LEN_2048       = 832,
    PSP_AMD_CERT_LEN_4096       = 1600,
    PSP_AMD_CERT_LEN_BARE       = 576,      /* first Naples ARK, unsigned */
    PSP_ASID_MAX                = 509,
    PSP_NV_LEN                  = 32768,    /* INIT_EX */
};

/* --- Command buffers: platform ----------------------------- */

/* INIT */
#define PSP_INIT_ES             (1u << 0)
typedef struct PSP_PACKED PspInit {
    uint32_t flags;
    uint32_t rsvd;
    uint64_t tmr_paddr;
    uint32_t tmr_len;
} PspInit;
_Static_assert(sizeof(PspInit) == 20, "INIT");

/* INIT_EX */
typedef struct PSP_PACKED PspInitEx {
    uint32_t length;
    uint32_t flags;
    uint64_t tmr_paddr;
    uint32_t tmr_len;
    uint32_t rsvd;
    uint64_t nv_paddr;
    uint32_t nv_len;
} PspInitEx;
_Static_assert(sizeof(PspInitEx) == 36, "INIT_EX");

/* PLATFORM_STATUS */
#define PSP_OWNER_EXTERNAL      (1u << 0)
#define PSP_CONFIG_ES           (1u << 0)
typedef struct PSP_PACKED PspPlatformStatus {
    uint8_t api_major;          /* all out */
    uint8_t api_minor;
    uint8_t state;
    uint8_t owner;
    uint16_t config;
    uint8_t rsvd;
    uint8_t build;
    uint32_t guest_count;
} PspPlatformStatus;
_Static_assert(sizeof(PspPlatformStatus) == 12, "PLATFORM_STATUS");

/* PEK_CSR */
typedef struct PSP_PACKED PspPekCsr {
    uint64_t csr_paddr;
    uint32_t csr_len;           /* in, out */
} PspPekCsr;
_Static_assert(sizeof(PspPekCsr) == 12, "PEK_CSR");

/* PEK_CERT_IMPORT */
typedef struct PSP_PACKED PspPekCertImport {
    uint64_t pek_paddr;
    uint32_t pek_len;
    uint32_t rsvd;
    uint64_t oca_paddr;
    uint32_t oca_len;
} PspPekCertImport;
_Static_assert(sizeof(PspPekCertImport) == 28, "PEK_CERT_IMPORT");

/* PDH_CERT_EXPORT */
typedef struct PSP_PACKED PspPdhCertExport {
    uint64_t pdh_paddr;
    uint32_t pdh_len;           /* in, out */
    uint32_t rsvd;
    uint64_t chain_paddr;
    uint32_t chain_len;         /* in, out */
} PspPdhCertExport;
_Static_assert(sizeof(PspPdhCertExport) == 28, "PDH_CERT_EXPORT");

/* DOWNLOAD_FIRMWARE */
typedef struct PSP_PACKED PspDownloadFirmware {
    uint64_t fw_paddr;
    uint32_t fw_len;
} PspDownloadFirmware;
_Static_assert(sizeof(PspDownloadFirmware) == 12, "DOWNLOAD_FIRMWARE");

/* GET_ID */
typedef struct PSP_PACKED PspGetId {
    uint64_t id_paddr;
    uint32_t id_len;            /* in, out */
} PspGetId;
_Static_assert(sizeof(PspGetId) == 12, "GET_ID");

/* --- Command buffers: guests ------------------------------- */

/* LAUNCH_START; RECEIVE_START */
typedef struct PSP_PACKED PspLaunchStart {
    uint32_t handle;            /* in: share that key, or 0; out: the guest */
    uint32_t policy;
    uint64_t dh_cert_paddr;     /* 0: LAUNCH_START without an owner */
    uint32_t dh_cert_len;
    uint32_t rsvd;
    uint64_t session_paddr;
    uint32_t session_len;
} PspLaunchStart;
_Static_assert(sizeof(PspLaunchStart) == 36, "LAUNCH_START");

/* LAUNCH_UPDATE_DATA; LAUNCH_UPDATE_VMSA */
typedef struct PSP_PACKED PspLaunchUpdate {
    uint32_t handle;
    uint32_t rsvd;
    uint64_t paddr;
    uint32_t len;
} PspLaunchUpdate;
_Static_assert(sizeof(PspLaunchUpdate) == 20, "LAUNCH_UPDATE");

/* LAUNCH_MEASURE */
typedef struct PSP_PACKED PspLaunchMeasure {
    uint32_t handle;
    uint32_t rsvd;
    uint64_t measure_paddr;
    uint32_t measure_len;       /* in, out */
} PspLaunchMeasure;
_Static_assert(sizeof(PspLaunchMeasure) == 20, "LAUNCH_MEASURE");

/*
 * LAUNCH_SECRET; SEND_UPDATE_DATA and _VMSA;
 * RECEIVE_UPDATE_DATA and _VMSA
 */
typedef struct PSP_PACKED PspPacketCmd {
    uint32_t handle;
    uint32_t rsvd1;
    uint64_t hdr_paddr;
    uint32_t hdr_len;           /* in; SEND_UPDATE_*: in, out */
    uint32_t rsvd2;
    uint64_t guest_paddr;
    uint32_t guest_len;
    uint32_t rsvd3;
    uint64_t trans_paddr;
    uint32_t trans_len;         /* in; SEND_UPDATE_*: in, out */
} PspPacketCmd;
_Static_assert(sizeof(PspPacketCmd) == 52, "packet command");

/*
 * LAUNCH_FINISH, SEND_FINISH, SEND_CANCEL, RECEIVE_FINISH, DEACTIVATE,
 * DECOMMISSION
 */
typedef struct PSP_PACKED PspHandleCmd {
    uint32_t handle;
} PspHandleCmd;
_Static_assert(sizeof(PspHandleCmd) == 4, "handle command");

/* ATTESTATION */
#define PSP_MNONCE_LEN 16
typedef struct PSP_PACKED PspAttestation {
    uint32_t handle;
    uint32_t rsvd;
    uint64_t report_paddr;
    uint8_t mnonce[PSP_MNONCE_LEN];
    uint32_t report_len;        /* in, out */
} PspAttestation;
_Static_assert(sizeof(PspAttestation) == 36, "ATTESTATION");

/* ACTIVATE */
typedef struct PSP_PACKED PspActivate {
    uint32_t handle;
    uint32_t asid;
} PspActivate;
_Static_assert(sizeof(PspActivate) == 8, "ACTIVATE");

/* ACTIVATE_EX */
typedef struct PSP_PACKED PspActivateEx {
    uint32_t length;
    uint32_t handle;
    uint32_t asid;
    uint32_t num_ids;
    uint64_t ids_paddr;
} PspActivateEx;
_Static_assert(sizeof(PspActivateEx) == 24, "ACTIVATE_EX");

/* GUEST_STATUS */
typedef struct PSP_PACKED PspGuestStatus {
    uint32_t handle;
    uint32_t policy;            /* out, as the rest */
    uint32_t asid;              /* 0 when not active */
    uint8_t state;
} PspGuestStatus;
_Static_assert(sizeof(PspGuestStatus) == 13, "GUEST_STATUS");

/* SEND_START */
typedef struct PSP_PACKED PspSendStart {
    uint32_t handle;
    uint32_t policy;            /* out */
    uint64_t pdh_paddr;         /* the target's PDH certificate */
    uint32_t pdh_len;
    uint32_t rsvd1;
    uint64_t plat_paddr;        /* its PEK, OCA, CEK */
    uint32_t plat_len;
    uint32_t rsvd2;
    uint64_t amd_paddr;         /* its ASK, ARK */
    uint32_t amd_len;
    uint32_t rsvd3;
    uint64_t session_paddr;
    uint32_t session_len;       /* in, out */
} PspSendStart;
_Static_assert(sizeof(PspSendStart) == 68, "SEND_START");

/* DBG_DECRYPT and DBG_ENCRYPT */
typedef struct PSP_PACKED PspDebug {
    uint32_t handle;
    uint32_t rsvd;
    uint64_t src_paddr;
    uint64_t dst_paddr;
    uint32_t len;
} PspDebug;
_Static_assert(sizeof(PspDebug) == 28, "DBG");

/* COPY */
typedef struct PSP_PACKED PspCopy {
    uint32_t handle;
    uint32_t len;
    uint64_t src_paddr;
    uint64_t dst_paddr;
} PspCopy;
_Static_assert(sizeof(PspCopy) == 24, "COPY");

/* --- What travels: sessions, packets, reports -------------------------- */

/* Session data: how TEK and TIK reach the other side */
typedef struct PSP_PACKED PspSession {
    uint8_t nonce[16];
    uint8_t wrap_tk[32];        /* AES-128-CTR(KEK, wrap_iv, TEK, TIK) */
    uint8_t wrap_iv[16];
    uint8_t wrap_mac[32];       /* HMAC-SHA256(KIK, wrap_tk) */
    uint8_t policy_mac[32];     /* HMAC-SHA256(TIK, policy) */
} PspSession;
_Static_assert(sizeof(PspSession) == PSP_SESSION_LEN, "session");

/* Packet header */
#define PSP_PACKET_COMPRESSED   (1u << 0)
typedef struct PSP_PACKED PspPacketHeader {
    uint32_t flags;
    uint8_t iv[16];
    uint8_t mac[32];
} PspPacketHeader;
_Static_assert(sizeof(PspPacketHeader) == PSP_PACKET_HDR_LEN, "packet");

/* What LAUNCH_MEASURE writes */
typedef struct PSP_PACKED PspMeasure {
    uint8_t measure[32];
    uint8_t mnonce[16];
} PspMeasure;
_Static_assert(sizeof(PspMeasure) == PSP_MEASURE_LEN, "measurement");

/* What ATTESTATION writes; the PEK signs the first 52 bytes */
#define PSP_REPORT_SIGNED_LEN   52
typedef struct PSP_PACKED PspReport {
    uint8_t mnonce[16];
    uint8_t digest[32];
    uint32_t policy;
    uint32_t sig_usage;
    uint32_t sig_algo;
    uint32_t rsvd;
    uint8_t sig_r[72];
    uint8_t sig_s[72];
} PspReport;
_Static_assert(sizeof(PspReport) == PSP_REPORT_LEN, "attestation report");

/* --- Certificates ----------------------------------------- */

typedef enum PspKeyUsage {
    PSP_USAGE_ARK               = 0x0000,
    PSP_USAGE_ASK               = 0x0013,
    PSP_USAGE_NONE              = 0x1000,
    PSP_USAGE_OCA               = 0x1001,
    PSP_USAGE_PEK               = 0x1002,
    PSP_USAGE_PDH               = 0x1003,
    PSP_USAGE_CEK               = 0x1004,
} PspKeyUsage;

typedef enum PspKeyAlgo {
    PSP_ALGO_NONE               = 0x000,
    PSP_ALGO_RSA_SHA256         = 0x001,
    PSP_ALGO_ECDSA_SHA256       = 0x002,
    PSP_ALGO_ECDH_SHA256        = 0x003,
    PSP_ALGO_RSA_SHA384         = 0x101,
    PSP_ALGO_ECDSA_SHA384       = 0x102,
    PSP_ALGO_ECDH_SHA384        = 0x103,
} PspKeyAlgo;

typedef enum PspCurve {
    PSP_CURVE_P256              = 1,
    PSP_CURVE_P384              = 2,
} PspCurve;

/* Public keys; numbers little endian */
typedef struct PSP_PACKED PspEcPub {
    uint32_t curve;
    uint8_t x[72];
    uint8_t y[72];
    uint8_t rsvd[880];
} PspEcPub;

typedef struct PSP_PACKED PspRsaPub {
    uint32_t modulus_bits;
    uint8_t exponent[512];
    uint8_t modulus[512];
} PspRsaPub;

typedef union PspPubKey {
    PspEcPub ec;
    PspRsaPub rsa;
    uint8_t bytes[0x404];
} PspPubKey;
_Static_assert(sizeof(PspPubKey) == 0x404, "public key");

/* Signatures; numbers little endian */
typedef struct PSP_PACKED PspEcSig {
    uint8_t r[72];
    uint8_t s[72];
    uint8_t rsvd[368];
} PspEcSig;

typedef struct PSP_PACKED PspCertSig {
    uint32_t usage;             /* of the signing key */
    uint32_t algo;
    union {
        PspEcSig ec;
        uint8_t rsa[512];
    };
} PspCertSig;
_Static_assert(sizeof(PspCertSig) == 520, "certificate signature");

/* SEV certificate: PDH, PEK, OCA, CEK; signatures cover the first 1044 */
#define PSP_CERT_VERSION        1
#define PSP_CERT_SIGNED_LEN     0x414
typedef struct PSP_PACKED PspCert {
    uint32_t version;
    uint8_t api_major;
    uint8_t api_minor;
    uint16_t rsvd;
    uint32_t pubkey_usage;
    uint32_t pubkey_algo;
    PspPubKey pubkey;
    PspCertSig sig[2];
} PspCert;
_Static_assert(sizeof(PspCert) == PSP_CERT_LEN, "SEV certificate");

/*
 * AMD certificate: ASK, ARK.  After this header: exponent, modulus and
 * signature (over everything before it), each little endian.
 */
typedef struct PSP_PACKED PspAmdCert {
    uint32_t version;
    uint8_t key_id[16];
    uint8_t certifying_id[16];
    uint32_t key_usage;
    uint8_t rsvd[16];
    uint32_t exponent_bits;
    uint32_t modulus_bits;
    uint8_t data[];
} PspAmdCert;
_Static_assert(sizeof(PspAmdCert) == 64, "AMD certificate");

#endif /* PSP_ABI_H */
