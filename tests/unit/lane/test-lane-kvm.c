/*
 * The real image under KVM: what it seals and opens, what it leaves behind.
 *
 * The other end of each session is the C code in this process.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <stdlib.h>
#include <string.h>
#include "kvmlane.h"
#include "lanehost.h"

static KvmLane *lane;

static uint32_t run(uint32_t command, uint32_t count)
{
    LaneMailbox *box = kvmlane_box(lane, 0);

    box->command = command;
    box->count = count;
    box->status = LANE_IDLE;
    if (!kvmlane_run(lane, 0)) {
        g_error("it did not ring: %s", lane->why);
    }
    return box->status;
}

static LaneJob *jobs(void)
{
    return (LaneJob *)((uint8_t *)kvmlane_box(lane, 0) + LANE_JOBS);
}

static uint8_t *pages(void)
{
    return (uint8_t *)kvmlane_box(lane, 0) + LANE_PAGES;
}

static void windows(LaneMailbox *box)
{
    End none = { (uint8_t *)box - LANE_SHARED };

    end_windows(&none);
}

static void fill(uint8_t *at, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        at[i] = g_random_int();
    }
}

/* A lane in a state that no test knows, in the ring that works here */
static gboolean begin(void)
{
    const char *why = "";

    lane = kvmlane_new(g_getenv("SEV_LANE_IMAGE"), 3, &why);
    if (!lane) {
        g_test_skip(why);
        return FALSE;
    }
    fill(kvmlane_private(lane, LANE_CARRIED), LANE_PRIVATE_END - LANE_CARRIED);
    fill(lane->ram, KVMLANE_RAM);
    windows(kvmlane_box(lane, 0));
    if (run(LANE_HELLO, 0) == LANE_NO_AES) {
        g_test_skip("this CPU has no AES, PCLMULQDQ or RDRAND");
        kvmlane_free(lane);
        return FALSE;
    }
    return TRUE;
}

static void assert_zero(const void *at, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        g_assert_cmphex(((const uint8_t *)at)[i], ==, 0);
    }
}

/* All vectors, masks and general registers but the ones that it rings with */
static void assert_registers_clear(void)
{
    struct kvm_regs r = lane->regs;
    uint8_t *xsave = (uint8_t *)lane->xsave.region;

    assert_zero(xsave + 160, 256);                      /* XMM */
    assert_zero(xsave + 576, 256);                      /* YMM's upper halves */
    assert_zero(xsave + 1088, 64 + 512 + 1024);         /* masks, ZMM */
    g_assert_cmphex(r.rdx, ==, LANE_PORT);
    g_assert_cmphex(r.rax, ==, lane->rang);
    r.rdx = r.rax = r.rip = r.rflags = 0;
    assert_zero(&r, sizeof(r));
}

static void assert_scratch_clear(void)
{
    assert_zero(kvmlane_private(lane, LANE_SLOTS), LANE_SLOT_ZEROED);
}

/* Does some 16 bytes of the secret, or of its expanded key, lie anywhere? */
static void assert_key_gone(const LaneCarried *carried, const AeadKey *key)
{
    const uint8_t *from = kvmlane_private(lane, LANE_CARRIED);
    const uint8_t *end = kvmlane_private(lane, LANE_PRIVATE_END - 1) + 1;

    g_assert_null(memmem(from, end - from, carried->secret, 16));
    g_assert_null(memmem(from, end - from, carried->secret + 16, 16));
    for (int i = 0; i <= AEAD_ROUNDS; i++) {
        g_assert_null(memmem(from, end - from, key->round[i], AEAD_BLOCK));
    }
    for (int i = 0; i < AEAD_POWERS; i++) {
        g_assert_null(memmem(from, end - from, key->power[i], AEAD_BLOCK));
    }
}

/* The image seals, the library opens. */
static void test_seal(void)
{
    Sealed sealed;
    End target;

    if (!begin()) {
        return;
    }
    end_init(&target);
    g_assert_cmpuint(run(LANE_NEW_KEY, HOST_BLOCKS), ==, LANE_OK);
    assert_registers_clear();
    assert_scratch_clear();
    memcpy(end_carried(&target), kvmlane_private(lane, LANE_CARRIED), LANE_PAGE);
    g_assert_cmpuint(end_adopt(&target), ==, LANE_OK);
    for (int i = 0; i < LANE_MAX_JOBS; i++) {
        jobs()[i] = (LaneJob) { .offset = i * LANE_PAGE };
    }
    g_assert_cmpuint(run(LANE_SEAL, LANE_MAX_JOBS), ==, LANE_OK);
    assert_registers_clear();
    assert_scratch_clear();
    for (int i = 0; i < LANE_MAX_JOBS; i++) {
        sealed.job = jobs()[i];
        memcpy(sealed.page, pages() + i * LANE_PAGE, LANE_PAGE);
        g_assert_cmpuint(end_open(&target, &sealed), ==, LANE_OK);
        g_assert_cmpmem(end_page(&target, 0, i), LANE_PAGE,
                        lane->ram + i * LANE_PAGE, LANE_PAGE);
    }
    g_assert_cmpuint(run(LANE_SEAL_DIGEST, 0), ==, LANE_OK);
    assert_registers_clear();
    sealed.job = jobs()[0];
    memcpy(sealed.page, pages(), LANE_PAGE);
    g_assert_cmpuint(end_check_digest(&target, &sealed), ==, LANE_OK);
    end_clear(&target);
    kvmlane_free(lane);
}

/* The library seals, the image opens; then the key is nowhere. */
static void test_open(void)
{
    LaneCarried carried;
    AeadKey *key = g_aligned_alloc0(1, sizeof(AeadKey), 64);
    Sealed sealed;
    End source;

    if (!begin()) {
        g_aligned_free(key);
        return;
    }
    end_init(&source);
    g_assert_cmpuint(end_new_key(&source), ==, LANE_OK);
    carried = *end_carried(&source);
    *key = end_own(&source)->key;
    memcpy(kvmlane_private(lane, LANE_CARRIED), end_carried(&source), LANE_PAGE);
    g_assert_cmpuint(run(LANE_ADOPT, HOST_BLOCKS), ==, LANE_OK);
    for (int i = 0; i < 20; i++) {
        g_assert_cmpuint(end_seal(&source, 0, i, &sealed), ==, LANE_OK);
        jobs()[0] = sealed.job;
        memcpy(pages(), sealed.page, LANE_PAGE);
        g_assert_cmpuint(run(LANE_OPEN, 1), ==, LANE_OK);
        assert_registers_clear();
        assert_scratch_clear();
        g_assert_cmpmem(end_page(&source, 0, i), LANE_PAGE,
                        lane->ram + i * LANE_PAGE, LANE_PAGE);
    }
    g_assert_cmpuint(run(LANE_SEAL, 1), ==, LANE_MAY_NOT_SEAL);
    g_assert_cmpuint(end_seal_digest(&source, &sealed), ==, LANE_OK);
    jobs()[0] = sealed.job;
    memcpy(pages(), sealed.page, LANE_PAGE);
    memcpy(kvmlane_box(lane, 0)->sums, end_box(&source, 0)->sums,
           LANE_SUMS * LANE_SUM);
    g_assert_cmpuint(run(LANE_CHECK_DIGEST, 0), ==, LANE_OK);
    assert_registers_clear();
    assert_key_gone(&carried, key);
    end_clear(&source);
    kvmlane_free(lane);
    g_aligned_free(key);
}

/* A wrong tag: nothing is written, the key is nowhere. */
static void test_wrong_tag(void)
{
    LaneCarried carried;
    uint8_t before[LANE_PAGE];
    AeadKey *key = g_aligned_alloc0(1, sizeof(AeadKey), 64);

    if (!begin()) {
        g_aligned_free(key);
        return;
    }
    fill(carried.secret, AEAD_KEY);
    g_assert_cmpuint(run(LANE_NEW_KEY, HOST_BLOCKS), ==, LANE_OK);
    carried = *(LaneCarried *)kvmlane_private(lane, LANE_CARRIED);
    memset(kvmlane_private(lane, LANE_OWN), 0x11, LANE_PAGE);   /* a target now */
    aead_expand(key, carried.secret);
    g_assert_cmpuint(run(LANE_ADOPT, HOST_BLOCKS), ==, LANE_OK);
    memcpy(before, lane->ram, LANE_PAGE);
    jobs()[0] = (LaneJob) { .epoch = 1 };
    g_assert_cmpuint(run(LANE_OPEN, 1), ==, LANE_BAD_TAG);
    g_assert_cmpmem(before, LANE_PAGE, lane->ram, LANE_PAGE);
    assert_registers_clear();
    assert_key_gone(&carried, key);
    g_assert_cmpuint(run(LANE_OPEN, 1), ==, LANE_FAILED);
    kvmlane_free(lane);
    g_aligned_free(key);
}

/* A page that is not there: an exception, and the program says so. */
static void test_fault(void)
{
    LaneMailbox *box;

    if (!begin()) {
        return;
    }
    box = kvmlane_box(lane, 0);
    box->windows[1] = (LaneWindow) { KVMLANE_NOWHERE, LANE_PAGE };
    g_assert_cmpuint(run(LANE_NEW_KEY, 2), ==, LANE_OK);
    jobs()[0] = (LaneJob) { 0 };
    jobs()[1] = (LaneJob) { .block = 1 };
    g_assert_cmpuint(run(LANE_SEAL, 2), ==, LANE_FAULT);
    g_assert_cmpuint(box->fault.vector, ==, 14);
    g_assert_cmphex(box->fault.address, ==, LANE_RAM + KVMLANE_NOWHERE);
    g_assert_cmphex(box->fault.rip, >=, LANE_IMAGE);
    g_assert_cmphex(box->fault.rip, <, LANE_IMAGE + LANE_IMAGE_MAX);
    assert_registers_clear();
    assert_scratch_clear();
    /* It is ready for the next command. */
    g_assert_cmpuint(run(LANE_SEAL, 1), ==, LANE_OK);
    g_assert_cmpuint(run(LANE_WIPE, 0), ==, LANE_OK);
    assert_zero(kvmlane_private(lane, LANE_CARRIED), LANE_PAGE);
    kvmlane_free(lane);
}

/* The image is only read and executed, and so are the tables. */
static void test_nothing_written(void)
{
    g_autofree uint8_t *before = NULL;
    size_t size = LANE_CARRIED - LANE_IMAGE;

    if (!begin()) {
        return;
    }
    before = g_memdup2(kvmlane_private(lane, LANE_IMAGE), size);
    g_assert_cmpuint(run(LANE_NEW_KEY, HOST_BLOCKS), ==, LANE_OK);
    g_assert_cmpuint(run(LANE_SEAL, LANE_MAX_JOBS + 1), ==, LANE_BAD_COUNT);
    g_assert_cmpuint(run(LANE_SEAL_DIGEST, 0), ==, LANE_OK);
    g_assert_cmpmem(before, size, kvmlane_private(lane, LANE_IMAGE), size);
    kvmlane_free(lane);
}

static void test_slots(void)
{
    if (!begin()) {
        return;
    }
    kvmlane_box(lane, 1)->command = LANE_HELLO;
    g_assert_true(kvmlane_run(lane, 1));
    g_assert_cmpuint(lane->rang, ==, 1);
    g_assert_cmpuint(kvmlane_box(lane, 1)->status, ==, LANE_OK);
    /* It rings again when nobody listened. */
    g_assert_true(kvmlane_go_on(lane));
    g_assert_cmpuint(lane->rang, ==, 1);
    for (uint64_t slot = LANE_MAX_SLOTS; slot; slot = slot << 8 & UINT32_MAX) {
        g_assert_true(kvmlane_enter(lane, 0));
        lane->regs.rdi = slot;
        g_assert_cmpint(kvmlane_set_regs(lane), ==, 1);
        g_assert_true(kvmlane_go_on(lane));
        g_assert_cmpuint(lane->rang, ==, LANE_RING_BAD_SLOT);
        assert_registers_clear();
    }
    kvmlane_free(lane);
}

/* Ring 0, where this KVM runs it natively */
static void test_ring0(void)
{
    const char *why = "";
    LaneMailbox *box;

    lane = kvmlane_new(g_getenv("SEV_LANE_IMAGE"), 0, &why);
    if (!lane) {
        g_test_skip(why);
        return;
    }
    box = kvmlane_box(lane, 0);
    box->command = LANE_HELLO;
    if (!kvmlane_run(lane, 0)) {
        g_test_skip("this KVM emulates ring 0");
    } else if (box->status == LANE_OK) {
        windows(box);
        g_assert_cmpuint(run(LANE_NEW_KEY, HOST_BLOCKS), ==, LANE_OK);
        jobs()[0] = (LaneJob) { 0 };
        g_assert_cmpuint(run(LANE_SEAL, 1), ==, LANE_OK);
        assert_registers_clear();
    }
    kvmlane_free(lane);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/lane/kvm/seal", test_seal);
    g_test_add_func("/lane/kvm/open", test_open);
    g_test_add_func("/lane/kvm/wrong-tag", test_wrong_tag);
    g_test_add_func("/lane/kvm/fault", test_fault);
    g_test_add_func("/lane/kvm/nothing-written", test_nothing_written);
    g_test_add_func("/lane/kvm/slots", test_slots);
    g_test_add_func("/lane/kvm/ring0", test_ring0);
    return g_test_run();
}
