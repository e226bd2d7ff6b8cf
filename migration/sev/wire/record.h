/*
 * Records: what travels in the "sev" section of a migration stream.
 *
 *      SOURCE                                             TARGET
 *
 *   section START (before any RAM)
 *      HELLO    who I am; send your certificates  -------->
 *               <--------- return path ----------  CERTS   who I am
 *      SESSION  whose packets these are            -------->  RECEIVE_START
 *      VCPUS    SEV-ES: which vCPUs it has         -------->
 *      BLOCK    number, name, length; one each     -------->
 *      LANE     method lane: its program and key   -------->  RECEIVE_FINISH
 *      IMAGE    templates: where a block's pages lie  ----->
 *   section PART, as often as needed
 *      PAGES    up to 64 packets of one block      -------->  RECEIVE_UPDATE
 *   section END (guest stopped)
 *      PAGES    the rest                           -------->
 *      HEADERS  templates in place: of packets in RAM  ---->
 *      SEALED   method lane: sum of what it sealed -------->
 *      STATE    which pages are private            -------->
 *      DIGEST   templates: of headers beside the stream  -->
 *      SHARED   templates: sum of pages beside the stream ->
 *      VMSA     SEV-ES: registers of one vCPU      -------->  RECEIVE_UPDATE
 *      END      how many there were                -------->  RECEIVE_FINISH
 *   behind the stream (device state and all)
 *               <--------- return path ----------  ACK     I have all of it
 *      GO       it is yours: run it                -------->
 *
 * Without a return path there is no HELLO, CERTS, ACK and GO.  A template has a
 * MANIFEST first, in its own section.  Every section but the last ends with BREAK.
 *
 * Pure: bytes <-> SevRecord, no stream, no guest, no globals.  A record is a
 * header of 16 bytes and a payload: big-endian integers of 64 bits, and blobs, a
 * length and its bytes.  Fields: record-table.c, docs/interop/sev-record.rst.
 *
 * Version policy: one version on a stream.  A reader refuses by number a version or
 * a type it does not know.  A payload is as long as its version says, exactly.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_SEV_WIRE_RECORD_H
#define MIGRATION_SEV_WIRE_RECORD_H

#include "qapi/error.h"

#define SEV_RECORD_MAGIC    0x53455652u     /* "SEVR" */
#define SEV_RECORD_VERSION  1

enum {
    /* magic u32, version u16, type u16, payload length u64 */
    SEV_RECORD_HEADER_LEN   = 16,
    SEV_RECORD_PACKET_HDR   = 52,       /* flags u32, IV[16], MAC[32] */
    SEV_RECORD_PACKET_DATA  = 4096,
    SEV_RECORD_PAGE_LEN     = 8 + SEV_RECORD_PACKET_HDR
                                + SEV_RECORD_PACKET_DATA,
    SEV_RECORD_PACKET_LEN   = SEV_RECORD_PACKET_HDR + SEV_RECORD_PACKET_DATA,
    SEV_RECORD_RUN_LEN      = 16,       /* offset u64, length u64 */
    SEV_RECORD_SESSION_LEN  = 128,      /* SEND_START's session blob */
    SEV_RECORD_FINGERPRINT_LEN = 64,    /* hex digits */
    SEV_RECORD_DIGEST_LEN   = 32,       /* SHA-256 */
    SEV_RECORD_REPORT_LEN   = 208,      /* ATTESTATION's report */
    SEV_RECORD_IMAGE_LEN    = SEV_RECORD_HEADER_LEN + 40,
    /*
     * An image begins at a multiple of this in its file, and the stream goes
     * on at the next one behind its last page.
     */
    SEV_RECORD_IMAGE_ALIGN  = 64 * 1024,

    /* Limits: a reader refuses more before it reads it. */
    SEV_RECORD_PAGES_MAX    = 64,
    SEV_RECORD_LANE_MAX     = 16,       /* packets of program and key */
    SEV_RECORD_VCPUS_MAX    = 4096,
    SEV_RECORD_RUNS_MAX     = 4096,
    SEV_RECORD_HEADERS_MAX  = 4096,
    SEV_RECORD_BLOCKS_MAX   = 4096,
    SEV_RECORD_PDH_MAX      = 4096,
    SEV_RECORD_PLAT_MAX     = 16384,
    SEV_RECORD_AMD_MAX      = 16384,
    SEV_RECORD_TEXT_MAX     = 255,
    SEV_RECORD_MANIFEST_MAX = SEV_RECORD_HEADER_LEN + 80
                                + 3 * (8 + SEV_RECORD_FINGERPRINT_LEN)
                                + 3 * (8 + SEV_RECORD_TEXT_MAX),
    SEV_RECORD_PAGES_HEAD   = 16,       /* of a PAGES record: block, count */
    SEV_RECORD_PAYLOAD_MAX  = SEV_RECORD_PAGES_HEAD
                                + SEV_RECORD_PAGES_MAX * SEV_RECORD_PAGE_LEN,
    SEV_RECORD_MAX          = SEV_RECORD_HEADER_LEN + SEV_RECORD_PAYLOAD_MAX,
};

typedef enum SevRecordType {
    SEV_RECORD_INVALID  = 0,            /* never on a stream */
    SEV_RECORD_HELLO    = 1,
    SEV_RECORD_CERTS    = 2,            /* on the return path only */
    SEV_RECORD_MANIFEST = 3,
    SEV_RECORD_SESSION  = 4,
    SEV_RECORD_BLOCK    = 5,
    SEV_RECORD_PAGES    = 6,
    SEV_RECORD_STATE    = 7,
    SEV_RECORD_BREAK    = 8,
    SEV_RECORD_END      = 9,
    SEV_RECORD_IMAGE    = 10,
    SEV_RECORD_HEADERS  = 11,
    SEV_RECORD_DIGEST   = 12,
    SEV_RECORD_SHARED   = 13,
    SEV_RECORD_ACK      = 14,           /* on the return path only */
    SEV_RECORD_GO       = 15,
    SEV_RECORD_LANE     = 16,
    SEV_RECORD_SEALED   = 17,
    SEV_RECORD_VCPUS    = 18,           /* SEV-ES guests only */
    SEV_RECORD_VMSA     = 19,           /* the same */
    SEV_RECORD_WRAP     = 20,           /* in a file of its own: template/wrap.h */
    SEV_RECORD__MAX,
} SevRecordType;

/* Bytes that belong to somebody else: decode() points into its input. */
typedef struct SevSpan {
    const uint8_t *data;
    size_t len;
} SevSpan;

static inline SevSpan sev_span(const void *data, size_t len)
{
    return (SevSpan) { .data = data, .len = len };
}

/* Without its 0; NULL is empty. */
static inline SevSpan sev_span_text(const char *s)
{
    return sev_span(s, s ? strlen(s) : 0);
}

/* How a guest is handed over when all of it is there. */
enum {
    SEV_HANDOVER_NONE = 0,              /* of before there was one */
    SEV_HANDOVER_ACK_GO = 1,            /* the target says ACK, waits for GO */
};

typedef struct SevRecordHello {
    uint64_t policy, api_major, api_minor, build;
    SevSpan fingerprint;                /* of the source's PDH */
    uint64_t handover;                  /* SEV_HANDOVER_...; not there: NONE */
} SevRecordHello;

typedef struct SevRecordCerts {
    SevSpan pdh, plat, amd;             /* amd may be empty */
} SevRecordCerts;

/* How the pages of a template are laid out. */
enum {
    SEV_LAYOUT_STREAM = 1,              /* PAGES records follow */
    SEV_LAYOUT_MAPPED = 2,              /* at fixed offsets of this file */
    SEV_LAYOUT_IN_PLACE = 3,            /* in the files that back RAM */
};

/* How a private page of a template is sealed. */
enum {
    SEV_METHOD_PACKET = 1,              /* SEND_UPDATE_DATA */
    SEV_METHOD_LANE = 2,                /* a program in the guest */
};

typedef struct SevRecordManifest {
    uint64_t layout;                    /* SEV_LAYOUT_... */
    uint64_t policy, api_major, api_minor, build;
    uint64_t page_size, blocks, ram_bytes;  /* lengths they may grow to */
    SevSpan fingerprint;                /* of the PDH it is sealed to */
    SevSpan measurement;                /* may be empty */
    SevSpan machine;
    uint64_t method;                    /* SEV_METHOD_... */
    uint64_t vcpus;
    SevSpan cpu;                        /* type of the CPUs */
    SevSpan chip;                       /* fingerprint of its CEK, not PDH */
    SevSpan ram_layout;                 /* digest of names and lengths, hex */
} SevRecordManifest;

typedef struct SevRecordSession {
    uint64_t policy, handle, api_major, api_minor, build;
    SevSpan measurement;                /* may be empty */
    SevSpan target;                     /* fingerprint it is sealed to */
    SevSpan pdh;                        /* of the source: certificate */
    SevSpan session;                    /* SEV_RECORD_SESSION_LEN */
} SevRecordSession;

typedef struct SevRecordBlock {
    uint64_t number;                    /* 0, 1, 2 ... in order */
    uint64_t length;                    /* used_length */
    SevSpan name;                       /* idstr */
} SevRecordBlock;

/* The block's pages are at their offset from @pages, headers likewise. */
typedef struct SevRecordImage {
    uint64_t block, method;
    uint64_t layout;                    /* MAPPED or IN_PLACE */
    uint64_t pages, headers;            /* offsets in the file; IN_PLACE: 0 */
} SevRecordImage;

typedef struct SevRecordPages {
    uint64_t block, count;
    SevSpan pages;                      /* count * SEV_RECORD_PAGE_LEN */
} SevRecordPages;

/* Of the packets that lie at @offset and after it in the block itself. */
typedef struct SevRecordHeaders {
    uint64_t block, offset, count;
    SevSpan headers;                    /* count * SEV_RECORD_PACKET_HDR */
} SevRecordHeaders;

/* SHA-256 over the headers of all private pages of all MAPPED blocks. */
typedef struct SevRecordDigest {
    SevSpan digest;                     /* SEV_RECORD_DIGEST_LEN */
} SevRecordDigest;

/* Of pages of MAPPED and IN_PLACE blocks: template/shared-sum.h. */
typedef struct SevRecordShared {
    uint64_t pages, sum;
} SevRecordShared;

/* In [offset, offset + length) of the block, the runs are private. */
typedef struct SevRecordState {
    uint64_t block, offset, length, count;
    SevSpan runs;                       /* count * SEV_RECORD_RUN_LEN */
} SevRecordState;

/* The lane's program and its key: packets for places of its own memory. */
typedef struct SevRecordLane {
    SevSpan program;                    /* SHA-256 of its file */
    uint64_t count;
    SevSpan packets;                    /* count * SEV_RECORD_PAGE_LEN */
} SevRecordLane;

/* What the lane made of all that it sealed: as a packet, header first. */
typedef struct SevRecordSealed {
    SevSpan packet;                     /* SEV_RECORD_PACKET_LEN */
} SevRecordSealed;

/* An SEV-ES guest's vCPUs; vCPU number n is the n-th of these. */
typedef struct SevRecordVcpus {
    uint64_t ghcb;                      /* highest version offered to it */
    uint64_t count;
    SevSpan ids;                        /* APIC ids: count * 8, big-endian */
} SevRecordVcpus;

/* The packet that SEND_UPDATE_VMSA made of a vCPU's registers. */
typedef struct SevRecordVmsa {
    uint64_t number;                    /* 0, 1, 2 ... in order */
    SevSpan packet;                     /* SEV_RECORD_PACKET_LEN */
} SevRecordVmsa;

/* Of a template's image for another platform; what follows is sealed to that. */
typedef struct SevRecordWrap {
    SevSpan image;                      /* SEV_RECORD_DIGEST_LEN */
    SevSpan chip;                       /* fingerprint of its CEK, not PDH */
} SevRecordWrap;

typedef struct SevRecordEnd {
    uint64_t packets;                   /* in all PAGES records */
    uint64_t private_pages;             /* in all STATE records */
} SevRecordEnd;

/* The target has everything; transcript.h says what the digest is of. */
typedef struct SevRecordAck {
    SevSpan digest;                     /* SEV_RECORD_DIGEST_LEN */
    uint64_t status;                    /* of ATTESTATION, if it failed */
    SevSpan report;                     /* SEV_RECORD_REPORT_LEN, or empty */
} SevRecordAck;

typedef struct SevRecord {
    SevRecordType type;
    union {
        SevRecordHello hello;
        SevRecordCerts certs;
        SevRecordManifest manifest;
        SevRecordSession session;
        SevRecordBlock block;
        SevRecordPages pages;
        SevRecordState state;
        SevRecordEnd end;
        SevRecordImage image;
        SevRecordHeaders headers;
        SevRecordDigest digest;
        SevRecordShared shared;
        SevRecordAck ack;
        SevRecordLane lane;
        SevRecordSealed sealed;
        SevRecordVcpus vcpus;
        SevRecordVmsa vmsa;
        SevRecordWrap wrap;
    } u;
} SevRecord;

const char *sev_record_name(SevRecordType type);

/* Is this text of a record equal to @text?  Not for secrets. */
bool sev_span_is(SevSpan span, const char *text);

bool sev_span_is_bytes(SevSpan span, const void *bytes, size_t len);

/* As lower-case hex digits; the caller frees it. */
char *sev_span_hex(SevSpan span);

/* Append the record to @out.  Its fields must be within the limits above. */
void sev_record_encode(const SevRecord *rec, GByteArray *out);

/*
 * Decode the one record in @buf, which must end where the record ends.  On
 * success the spans of @rec point into @buf.
 */
bool sev_record_decode(SevRecord *rec, const uint8_t *buf, size_t len,
                       Error **errp);

/*
 * Judge a header of SEV_RECORD_HEADER_LEN bytes before its payload is read:
 * magic, version, type, and a length that this type can have.
 */
bool sev_record_decode_header(const uint8_t *buf, SevRecordType *type,
                              size_t *payload_len, Error **errp);

/* Page number @i of a decoded PAGES record: its packet, header first. */
const uint8_t *sev_record_page(const SevRecordPages *pages, size_t i,
                               uint64_t *offset);

/* Run number @i of a decoded STATE record. */
void sev_record_run(const SevRecordState *state, size_t i,
                    uint64_t *offset, uint64_t *length);

/*
 * A PAGES record made in place, so that the firmware writes its packets where
 * they are sent from.  @buf has room for SEV_RECORD_MAX bytes.
 * sev_pages_packet() is where packet @i goes; sev_pages_end() writes the rest
 * and returns the length of the record.
 */
uint8_t *sev_pages_packet(uint8_t *buf, size_t i);
void sev_pages_set_offset(uint8_t *buf, size_t i, uint64_t offset);
size_t sev_pages_end(uint8_t *buf, uint64_t block, size_t count);

/* A run appended to the bytes that SevRecordState.runs will point at. */
void sev_runs_append(GByteArray *runs, uint64_t offset, uint64_t length);

#endif /* MIGRATION_SEV_WIRE_RECORD_H */
