/*
 * The records: their fields, in the order of their bytes.
 *
 * docs/interop/sev-record.rst has the same tables for people; test-record-table.c
 * fails when they differ, and prints the one that is right.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "record-fields.h"

#define ROW(form_, name_, at_, meaning_, ...)                           \
    { .form = SEV_FIELD_ ## form_, .name = name_, .meaning = meaning_,  \
      .at = offsetof(SevRecord, u.at_), ## __VA_ARGS__ }
#define U64(at_, name_, meaning_) ROW(U64, name_, at_, meaning_)
#define LATER(at_, name_, meaning_) ROW(LATER, name_, at_, meaning_)
#define BLOB(at_, name_, min_, max_, meaning_) \
    ROW(BLOB, name_, at_, meaning_, .min = min_, .max = max_)
#define WHOLE(at_, name_, len_, meaning_) \
    ROW(WHOLE, name_, at_, meaning_, .max = len_)
#define TEXT(at_, name_, min_, max_, meaning_) \
    ROW(TEXT, name_, at_, meaning_, .min = min_, .max = max_)
#define FINGERPRINT(at_, name_, meaning_) \
    TEXT(at_, name_, SEV_RECORD_FINGERPRINT_LEN, SEV_RECORD_FINGERPRINT_LEN, \
         meaning_)
#define ENTRIES(at_, name_, count_, max_, size_, meaning_)              \
    ROW(ENTRIES, name_, at_, meaning_, .max = max_, .size = size_,      \
        .count = offsetof(SevRecord, u.count_))
#define BYTES(at_, name_, size_, meaning_) \
    ROW(BYTES, name_, at_, meaning_, .max = 1, .size = size_)
#define PART(name_, size_, meaning_)                                    \
    { .form = SEV_FIELD_PART, .name = name_, .meaning = meaning_,       \
      .size = size_ }
/* Of a packet, wherever one is */
#define PACKET                                                          \
    PART("header", SEV_RECORD_PACKET_HDR, "flags (4), IV (16), MAC (32): "  \
         "SEND_UPDATE_DATA's packet header"),                           \
    PART("data", SEV_RECORD_PACKET_DATA, "transport ciphertext")
#define FIELDS(...) (const SevField[]) { __VA_ARGS__, {} }

#define MEASUREMENT_MEANING "launch measurement, base64; a claim, nothing " \
    "binds it to the packets"

const SevRecordRow sev_record_rows[SEV_RECORD__MAX] = {
    [SEV_RECORD_HELLO] = { "HELLO", FIELDS(
        U64(hello.policy, "policy", "the guest's"),
        U64(hello.api_major, "api-major",
            "API of the firmware that launched the guest"),
        U64(hello.api_minor, "api-minor", "the same"),
        U64(hello.build, "build", "of that firmware"),
        FINGERPRINT(hello.fingerprint, "fingerprint",
                    "SHA-256 of the source's PDH, hex"),
        LATER(hello.handover, "hand-over",
              "1: the target says ACK and waits for GO. Not there, and never "
              "0, in a HELLO of before there was one")) },

    [SEV_RECORD_CERTS] = { "CERTS", FIELDS(
        BLOB(certs.pdh, "pdh", 1, SEV_RECORD_PDH_MAX,
             "PDH certificate, firmware format"),
        BLOB(certs.plat, "plat", 1, SEV_RECORD_PLAT_MAX, "PEK, OCA, CEK"),
        BLOB(certs.amd, "amd", 0, SEV_RECORD_AMD_MAX, "ASK, ARK")) },

    [SEV_RECORD_MANIFEST] = { "MANIFEST", FIELDS(
        U64(manifest.layout, "layout", "1 stream, 2 mapped, 3 in place"),
        U64(manifest.policy, "policy", "as in SESSION"),
        U64(manifest.api_major, "api-major", "as in SESSION"),
        U64(manifest.api_minor, "api-minor", "as in SESSION"),
        U64(manifest.build, "build", "as in SESSION"),
        U64(manifest.page_size, "page-size", "4096"),
        U64(manifest.blocks, "blocks", "migrated RAM blocks"),
        U64(manifest.ram_bytes, "ram-bytes",
            "the sum of their maximum lengths"),
        FINGERPRINT(manifest.fingerprint, "fingerprint",
                    "the platform it is sealed to"),
        TEXT(manifest.measurement, "measurement", 0, SEV_RECORD_TEXT_MAX,
             MEASUREMENT_MEANING),
        TEXT(manifest.machine, "machine", 1, SEV_RECORD_TEXT_MAX,
             "versioned machine type"),
        U64(manifest.method, "method",
            "how pages are sealed; 1: packets of SEND_UPDATE_DATA, 2: by the "
            "lane (LANE). 0 is never valid"),
        U64(manifest.vcpus, "vcpus", "their number"),
        TEXT(manifest.cpu, "cpu", 1, SEV_RECORD_TEXT_MAX, "their type"),
        FINGERPRINT(manifest.chip, "chip",
                    "SHA-256 of the public key of that platform's CEK, hex. "
                    "The same with another fingerprint: its PDH was replaced"),
        FINGERPRINT(manifest.ram_layout, "ram-layout",
                    "SHA-256, hex, of a line \"NAME 0xLENGTH\" for each RAM "
                    "block, sorted, with the length it may grow to in "
                    "lower-case hex")) },

    [SEV_RECORD_SESSION] = { "SESSION", FIELDS(
        U64(session.policy, "policy", "the guest's; below 2^32"),
        U64(session.handle, "handle", "the guest's; below 2^32"),
        U64(session.api_major, "api-major",
            "API of the firmware that launched the guest; below 2^8"),
        U64(session.api_minor, "api-minor", "the same; below 2^8"),
        U64(session.build, "build", "of that firmware; below 2^8"),
        TEXT(session.measurement, "measurement", 0, SEV_RECORD_TEXT_MAX,
             MEASUREMENT_MEANING),
        FINGERPRINT(session.target, "target",
                    "fingerprint of the platform it is sealed to"),
        BLOB(session.pdh, "pdh", 1, SEV_RECORD_PDH_MAX,
             "the source's PDH certificate"),
        BLOB(session.session, "session", SEV_RECORD_SESSION_LEN,
             SEV_RECORD_SESSION_LEN, "SEND_START's session data (nonce, "
             "wrapped TEK and TIK, IV, MACs)")) },

    [SEV_RECORD_BLOCK] = { "BLOCK", FIELDS(
        U64(block.number, "number", "0, 1, 2 ... in order"),
        U64(block.length, "length",
            "used length in bytes; must be the target's"),
        TEXT(block.name, "name", 1, SEV_RECORD_TEXT_MAX,
             "upstream's idstr")) },

    [SEV_RECORD_PAGES] = { "PAGES", FIELDS(
        U64(pages.block, "block", "its number"),
        U64(pages.count, "count", "entries that follow"),
        ENTRIES(pages.pages, "pages", pages.count, SEV_RECORD_PAGES_MAX,
                SEV_RECORD_PAGE_LEN, "packets of this block"),
        PART("offset", 8, "in the block; a multiple of 4096"),
        PACKET) },

    [SEV_RECORD_STATE] = { "STATE", FIELDS(
        U64(state.block, "block", "its number"),
        U64(state.offset, "offset", "a multiple of 4096"),
        U64(state.length, "length", "a multiple of 4096, not 0"),
        U64(state.count, "count", "entries that follow"),
        ENTRIES(state.runs, "runs", state.count, SEV_RECORD_RUNS_MAX,
                SEV_RECORD_RUN_LEN, "private pages in a row"),
        PART("offset", 8, "in the block; a multiple of 4096"),
        PART("length", 8, "a multiple of 4096, not 0")) },

    [SEV_RECORD_BREAK] = { "BREAK" },

    [SEV_RECORD_END] = { "END", FIELDS(
        U64(end.packets, "packets", "entries in all PAGES records"),
        U64(end.private_pages, "private-pages",
            "pages in all runs of all STATE records")) },

    [SEV_RECORD_IMAGE] = { "IMAGE", FIELDS(
        U64(image.block, "block", "its number"),
        U64(image.method, "method", "as in MANIFEST"),
        U64(image.layout, "layout", "2 or 3"),
        U64(image.pages, "pages", "layout 2: offset of the pages in the file, "
            "a multiple of 4096; layout 3: 0"),
        U64(image.headers, "headers", "layout 2: offset of the headers in the "
            "file, a multiple of 4096; layout 3: 0")) },

    [SEV_RECORD_HEADERS] = { "HEADERS", FIELDS(
        U64(headers.block, "block", "its number"),
        U64(headers.offset, "offset",
            "of the first page; never less than where the last record ended"),
        U64(headers.count, "count", "entries that follow"),
        ENTRIES(headers.headers, "headers", headers.count,
                SEV_RECORD_HEADERS_MAX, SEV_RECORD_PACKET_HDR,
                "each as in PAGES, of the next page")) },

    [SEV_RECORD_DIGEST] = { "DIGEST", FIELDS(
        BLOB(digest.digest, "digest", SEV_RECORD_DIGEST_LEN,
             SEV_RECORD_DIGEST_LEN, "SHA-256 of the headers of all private "
             "pages that lie in layout 2, block by block, page by page")) },

    [SEV_RECORD_SHARED] = { "SHARED", FIELDS(
        U64(shared.pages, "pages", "how many pages of blocks in layout 2 or 3 "
            "are neither private nor all zeros"),
        U64(shared.sum, "sum", "of their CRC-32s, modulo 2^64")) },

    [SEV_RECORD_ACK] = { "ACK", FIELDS(
        BLOB(ack.digest, "digest", SEV_RECORD_DIGEST_LEN,
             SEV_RECORD_DIGEST_LEN,
             "of all that was read; see \"What an ACK proves\""),
        U64(ack.status, "status", "of ATTESTATION, when it failed; 0 when "
            "there is a report, or no answer"),
        WHOLE(ack.report, "report", SEV_RECORD_REPORT_LEN,
              "ATTESTATION's report")) },

    [SEV_RECORD_GO] = { "GO" },

    [SEV_RECORD_LANE] = { "LANE", FIELDS(
        BLOB(lane.program, "program", SEV_RECORD_DIGEST_LEN,
             SEV_RECORD_DIGEST_LEN, "SHA-256 of the program's file. A claim: "
             "what the program is, is in the launch measurement"),
        U64(lane.count, "count", "entries that follow; not 0"),
        ENTRIES(lane.packets, "packets", lane.count, SEV_RECORD_LANE_MAX,
                SEV_RECORD_PAGE_LEN, "the program and its key"),
        PART("place", 8, "in the lane's address space: pages of the image "
             "from 0x200000 on, its 3 page tables from 0x280000 on, then the "
             "page with the key, 0x400000"),
        PACKET) },

    [SEV_RECORD_SEALED] = { "SEALED", FIELDS(
        BYTES(sealed.packet, "packet", SEV_RECORD_PACKET_LEN,
              "what the program made of its table of page versions, and of "
              "sums: a header as in LANE, and 4096 bytes")) },

    [SEV_RECORD_VCPUS] = { "VCPUS", FIELDS(
        U64(vcpus.ghcb, "ghcb", "the highest version of the GHCB protocol "
            "that the guest was offered; must be the target's"),
        U64(vcpus.count, "count", "entries that follow; must be the target's, "
            "not 0"),
        ENTRIES(vcpus.ids, "ids", vcpus.count, SEV_RECORD_VCPUS_MAX, 8,
                "APIC ids, ascending; vCPU number n of a VMSA record has the "
                "nth of these"),
        PART("id", 8, "APIC id")) },

    [SEV_RECORD_VMSA] = { "VMSA", FIELDS(
        U64(vmsa.number, "number", "of the vCPU: 0, 1, 2 ... in order"),
        BYTES(vmsa.packet, "packet", SEV_RECORD_PACKET_LEN,
              "what SEND_UPDATE_VMSA made of its registers: a header and data "
              "as in PAGES")) },

    [SEV_RECORD_WRAP] = { "WRAP", FIELDS(
        BLOB(wrap.image, "image", SEV_RECORD_DIGEST_LEN, SEV_RECORD_DIGEST_LEN,
             "of which template: SHA-256 of its MANIFEST and its SESSION"),
        FINGERPRINT(wrap.chip, "chip", "as in MANIFEST, of the platform that "
                    "the wrap is for")) },
};
