/*
 * Does a key outlive its use?  A thread plays a guest's whole life; then all
 * writable memory of the process is searched for every key there was.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "chip.h"
#include "hw/psp/identity.h"

/* Needles are kept masked, or the search would find the list. */
#define MASK 0x5a
#define NEEDLES_MAX 64
#define NEEDLE_LEN 16

typedef struct Needle {
    uint8_t masked[NEEDLE_LEN];
    const char *what;
} Needle;

static Needle needles[NEEDLES_MAX];
static unsigned needle_count;

static void needle_add(const char *what, const uint8_t *bytes, bool reverse)
{
    Needle *needle = &needles[needle_count++];

    g_assert_cmpuint(needle_count, <=, NEEDLES_MAX);
    needle->what = what;
    for (int i = 0; i < NEEDLE_LEN; i++) {
        needle->masked[i] = bytes[reverse ? NEEDLE_LEN - 1 - i : i] ^ MASK;
    }
}

/* Parts of a private number, in both byte orders */
static void needle_add_number(const char *what, const uint8_t *d)
{
    needle_add(what, d + 8, false);
    needle_add(what, d + 8, true);
}

/* VEKs, and TEK with TIK, are drawn as 32 bytes; nothing else is. */
static void needle_saw_random(const void *bytes, size_t len)
{
    if (len == 32) {
        needle_add("first half of a VEK, or a TEK", bytes, false);
        needle_add("second half of a VEK, or a TIK",
                   (const uint8_t *)bytes + 16, false);
    }
}

/* --- The search ---------------------------------------------------------- */

/* volatile: other threads may write the memory that is searched */
static bool needle_is_at(const Needle *needle, const volatile uint8_t *p)
{
    for (int i = 0; i < NEEDLE_LEN; i++) {
        if ((p[i] ^ MASK) != needle->masked[i]) {
            return false;
        }
    }
    return true;
}

static unsigned search_range(const char *name, uintptr_t from, uintptr_t to,
                             bool tell)
{
    unsigned found = 0;

    for (uintptr_t at = from; at + NEEDLE_LEN <= to; at++) {
        /* volatile: other threads may write here */
        const volatile uint8_t *p = (const volatile uint8_t *)at;

        for (unsigned i = 0; i < needle_count; i++) {
            if ((*p ^ MASK) == needles[i].masked[0] &&
                needle_is_at(&needles[i], p)) {
                if (tell) {
                    g_test_message("%s in %s", needles[i].what, name);
                }
                found++;
            }
        }
    }
    return found;
}

static unsigned search_all(bool tell)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    unsigned found = 0;
    char line[512];

    g_assert_nonnull(maps);
    while (fgets(line, sizeof(line), maps)) {
        uintptr_t from, to;
        char mode[5], name[256] = "anonymous memory";

        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s %*s %*s %*s %255s",
                   &from, &to, mode, name) >= 3 &&
            mode[0] == 'r' && mode[1] == 'w' &&
            !g_str_has_prefix(name, "/dev")) {
            found += search_range(name, from, to, tell);
        }
    }
    fclose(maps);
    return found;
}

/* --- A life -------------------------------------------------------------- */

static void note_identity(Chip *chip)
{
    PspIdentity *id = psp_identity_decode(chip->nv, NULL);

    needle_add_number("the PDH", id->pdh.d);
    needle_add_number("the PEK", id->pek.d);
    needle_add_number("the OCA", id->oca.d);
    needle_add_number("the CEK", id->cek.d);
    needle_add_number("a prime of the ARK", id->ark.p);
    needle_add_number("a prime of the ASK", id->ask.q);
    psp_identity_free(id);
}

static gpointer life(gpointer opaque)
{
    PspTransportKeys keys;
    Chip *chip = chip_new_blank("wipe");
    PspMeasure measure;
    PspSession session;
    uint8_t secret[16];

    chip_init(chip, 0);
    note_identity(chip);
    chip_export(chip);

    chip_random(chip, &keys, sizeof(keys));
    needle_add("the owner's TEK", keys.tek, false);
    needle_add("the owner's TIK", keys.tik, false);
    chip_random(chip, secret, sizeof(secret));
    needle_add("a secret", secret, false);

    chip->saw_random = needle_saw_random;
    chip_ok(chip_launch_owned(chip, 0, &keys));
    chip_ok(chip_activate(chip, 1));
    chip_ok(chip_update(chip, PSP_CMD_LAUNCH_UPDATE_DATA, AT_PAGE, 4096));
    chip_ok(chip_measure(chip, &measure));
    chip_seal(chip, &keys, PSP_PACKET_SECRET, &measure, secret, 16);
    psp_wipe(secret, sizeof(secret));
    chip_ok(chip_packet(chip, PSP_CMD_LAUNCH_SECRET, AT_PAGE, 16));
    psp_wipe(&keys, sizeof(keys));
    chip_ok(chip_simple(chip, PSP_CMD_LAUNCH_FINISH));
    chip_ok(chip_send_start(chip, chip, &session));
    for (int i = 0; i < 40; i++) {
        chip_ok(chip_packet(chip, PSP_CMD_SEND_UPDATE_DATA, AT_PAGE, 4096));
    }
    chip_ok(chip_receive_start(chip, chip, 0, &session));
    chip_ok(chip_activate(chip, 2));
    chip_ok(chip_packet(chip, PSP_CMD_RECEIVE_UPDATE_DATA, AT_PAGE, 4096));
    chip_ok(chip_simple(chip, PSP_CMD_RECEIVE_FINISH));
    chip->saw_random = NULL;
    /* a platform in use has its keys; the search would see them */
    g_assert_cmpuint(search_all(false), >=, 8);
    chip_free(chip);
    return GUINT_TO_POINTER(search_all(true));
}

/* The search finds what is there. */
static void test_search(void)
{
    static uint8_t planted[16];

    for (int i = 0; i < 16; i++) {
        planted[i] = 3 * i + 99;
    }
    needle_count = 0;
    needle_add("planted", planted, false);
    g_assert_cmpuint(search_all(false), >=, 1);
    psp_wipe(planted, sizeof(planted));
    g_assert_cmpuint(search_all(true), ==, 0);
}

static void test_provider(gconstpointer provider)
{
    gpointer found;

    if (!psp_packet_set_provider(provider)) {
        g_test_skip("this machine has no such provider");
        return;
    }
    needle_count = 0;
    found = g_thread_join(g_thread_new("life", life, NULL));
    g_assert_cmpuint(needle_count, >=, 12 + 3 + 2 * 3);
    g_assert_cmpuint(GPOINTER_TO_UINT(found), ==, 0);
    g_assert_cmpuint(search_all(true), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    /* their shadow is memory too, and too much of it */
    return g_test_run();
#endif
    g_test_add_func("/psp/wipe/search", test_search);
    g_test_add_data_func("/psp/wipe/nettle", "nettle", test_provider);
    g_test_add_data_func("/psp/wipe/ipsec-mb", "ipsec-mb", test_provider);
    return g_test_run();
}
