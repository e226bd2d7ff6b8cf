/*
 * Does the chip compute what others compute?
 *
 * Vectors A1 to A4 come from AMD's sev-tool and virtee's sev and sevctl; A5
 * and A6 from an independent script.  See tests/data/psp/README.md.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "chip.h"
#include "hw/psp/measure.h"
#include "hw/psp/packet.h"
#include "hw/psp/session.h"

static void test_kdf(void)
{
    const uint8_t zeros[16] = { 0 };
    uint8_t out[16];

    psp_kdf(zeros, 16, "sev-master-secret", zeros, 16, out);
    assert_hex(out, 16, "ab4d269fcc62bedb4511d56c386ce706");
}

/* A2 has a Z of 16 bytes, so it walks through the steps by hand. */
static void test_session_zeros(void)
{
    const uint8_t zeros[32] = { 0 };
    uint8_t master[16], kek[16], kik[16], wrap[32], mac[32];
    PspCtr ctr;

    psp_kdf(zeros, 16, "sev-master-secret", zeros, 16, master);
    psp_kdf(master, 16, "sev-kek", "", 0, kek);
    psp_kdf(master, 16, "sev-kik", "", 0, kik);
    assert_hex(kek, 16, "b6abfbfb75ea1ea74ed8750b8afdb973");
    assert_hex(kik, 16, "53b524bf5669a363f365c864acba8572");
    psp_ctr_init(&ctr, kek);
    psp_ctr_crypt(&ctr, zeros, zeros, wrap, 32);
    assert_hex(wrap, 32, "2137bc7f9bb8bd7c3e55a576a15d3454"
                         "b3856b8ba27afadf46dcfee9f02c02c4");
    psp_hmac(kik, 16, wrap, 32, mac);
    assert_hex(mac, 32, "3176c0752738bd9d5e86689534020f52"
                        "8c088f16238826b000b327dee6aeed7d");
    psp_hmac(zeros, 16, zeros, 4, mac);
    assert_hex(mac, 32, "aa7855e13839dd767cd5da7c1ff50365"
                        "40c9264b7a803029315e55375287b4af");
}

static void count_up(uint8_t *out, size_t len, uint8_t first)
{
    for (size_t i = 0; i < len; i++) {
        out[i] = first + i;
    }
}

/* The session of A5; returns its keys. */
static PspTransportKeys session_a5(PspSession *session, uint8_t z[48])
{
    PspTransportKeys keys;

    count_up(z, 48, 0x00);
    count_up(session->nonce, 16, 0x10);
    memset(session->wrap_iv, 0xff, 16);
    count_up(keys.tek, 16, 0x20);
    count_up(keys.tik, 16, 0x30);
    psp_session_wrap(z, &keys, 0x11000021, session);
    return keys;
}

static void test_session(void)
{
    uint8_t z[48], master[16], kek[16], kik[16];
    PspTransportKeys keys, again;
    PspSession session;

    keys = session_a5(&session, z);
    psp_kdf(z, 48, "sev-master-secret", session.nonce, 16, master);
    psp_kdf(master, 16, "sev-kek", "", 0, kek);
    psp_kdf(master, 16, "sev-kik", "", 0, kik);
    assert_hex(master, 16, "8e4fa6fba9b1e12fd72681fd34607d86");
    assert_hex(kek, 16, "a4c597230ccabe1ae4e55417f6b4ada9");
    assert_hex(kik, 16, "d5f7ec035a40910f0e7e9c72dc49b572");
    assert_hex(session.wrap_tk, 32, "627f995cbfd18fadb4d59bcd4a021059"
                                    "6617934e80ebf5a3666c2f53edd7f65c");
    assert_hex(session.wrap_mac, 32, "93f9778b89464403eb7d7d6b5f195c6c"
                                     "157df1e21357ddc8fdfa9f54f7e9e7cc");
    assert_hex(session.policy_mac, 32, "e628bc9d8268f0987441ed3b2cb19f4c"
                                       "8cff598e5f364404abe93617a9edca86");
    g_assert_true(psp_session_unwrap(z, &session, 0x11000021, &again));
    g_assert_cmpmem(&keys, sizeof(keys), &again, sizeof(again));
    g_assert_false(psp_session_unwrap(z, &session, 0x11000020, &again));
    g_assert_true(psp_is_zero(&again, sizeof(again)));
}

static void test_measure(void)
{
    PspMeasureInput in = {
        .api_major = 0x00, .api_minor = 0x12, .build = 0x0f, .policy = 0,
    };
    uint8_t tik[16], measure[32];
    PspHmac hmac;

    hex_to(tik, 16, "66320db73158a35a255d051758e95ed4");
    hex_to(in.mnonce, 16, "4fbe0bedbad6c86ae8f68971d103e554");
    psp_sha256("", 0, in.digest);
    psp_hmac_init(&hmac, tik, sizeof(tik));
    psp_measure(&hmac, &in, measure);
    assert_hex(measure, 32, "6faab2daae389bcd3405a05d6cafe33c"
                            "0414f7bedd0bae19ba5f38b7fd1664ea");
}

static void test_secret(void)
{
    PspTransportKeys keys;
    PspPacketHeader hdr = { 0 };
    PspTransport t;
    uint8_t measure[32], plain[64], data[64], again[64];

    hex_to(keys.tik, 16, "c6d5a9956133050912b24bbe5c372686");
    hex_to(keys.tek, 16, "52a869b79ab9c13bb6a92b0561619cb3");
    hex_to(hdr.iv, 16, "ac5474ed4dd32c7d989ec523d92559ec");
    hex_to(measure, 32, "4cb780efad3b959427b4b8d1635fe2fa"
                        "c6ed75267eef9cf1a73e0fc7d873a412");
    hex_to(plain, 64,
           "42f5741edd71664d963eef4287ff173b3a000000e5696873f084734992ec0687"
           "9ce3da0b260000004d592d4c554b532d50415353504852415345000000000000");
    psp_transport_init(&t, &keys);
    psp_packet_seal(&t, PSP_PACKET_SECRET, measure, &hdr, plain, data, 64);
    assert_hex(data, 64,
           "d14ddee4f717bf4516f87e2d48114a39d0987ca135fa3dfc05cd9fb8ed7a9988"
           "b223eb16c7b20d7e7fa58188f9e862f5db2ca29c36be9557c20b00ffdb0e5c3c");
    assert_hex(hdr.mac, 32, "bc152cde610e17f0aef557334a2d4fca"
                            "42c22c4312e3b5b85a3d47b0aac857e5");
    g_assert_true(psp_packet_open(&t, PSP_PACKET_SECRET, measure, &hdr, data,
                                  again, 64));
    g_assert_cmpmem(plain, 64, again, 64);
}

static void test_packet(void)
{
    g_autofree uint8_t *plain = g_malloc(4096);
    g_autofree uint8_t *data = g_malloc(4096);
    PspTransportKeys keys;
    PspPacketHeader hdr;
    PspSession session;
    PspTransport t;
    uint8_t z[48];

    keys = session_a5(&session, z);
    count_up(plain, 4096, 0);
    count_up(hdr.iv, 16, 0x40);
    psp_transport_init(&t, &keys);
    psp_packet_seal(&t, PSP_PACKET_DATA, NULL, &hdr, plain, data, 4096);
    assert_hex(data, 16, "85956bc37346c1e35338871e113089e6");
    assert_hex(data + 4080, 16, "40d3a6db4ef0b9719da742a927b59f56");
    assert_hex(hdr.mac, 32, "9b6ccbe9dd3320e913a2ba58dc70f74a"
                            "48545f4a4169e3fd4ad4a33fafd36d98");
    /* the same in place, and back in place */
    psp_packet_seal(&t, PSP_PACKET_DATA, NULL, &hdr, plain, plain, 4096);
    g_assert_cmpmem(plain, 4096, data, 4096);
    g_assert_true(psp_packet_open(&t, PSP_PACKET_DATA, NULL, &hdr, data, data,
                                  4096));
    count_up(plain, 4096, 0);
    g_assert_cmpmem(plain, 4096, data, 4096);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/psp/vectors/A1-kdf", test_kdf);
    g_test_add_func("/psp/vectors/A2-session-zeros", test_session_zeros);
    g_test_add_func("/psp/vectors/A3-measure", test_measure);
    g_test_add_func("/psp/vectors/A4-secret", test_secret);
    g_test_add_func("/psp/vectors/A5-session", test_session);
    g_test_add_func("/psp/vectors/A6-packet", test_packet);
    return g_test_run();
}
