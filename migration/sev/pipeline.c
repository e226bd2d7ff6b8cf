/*
 * The secure processor works while the line is written.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "qemu/rcu.h"
#include "qemu/thread.h"
#include "qemu/timer.h"
#include "pipeline.h"
#include "migration/sev/wire/record.h"
#include "seal.h"

/*
 * Records on their way, 4 MiB of buffers.  At silicon's pace a record is 10 ms
 * of work, so that the secure processor stays busy for as long as ram.c looks
 * for dirty pages between two turns of the "sev" section (50 ms), and then some.
 */
#define DEPTH 16

struct SevPipeline {
    const SevSource *source;
    QemuThread thread;
    bool started;               /* migration thread, and the end */
    size_t pages;               /* migration thread */

    QemuMutex lock;             /* protects the rest */
    QemuCond work, made;
    bool stop;
    size_t n_put, n_made, n_got;        /* got <= made <= put <= got + DEPTH */
    /* From put to made the thread's, then the migration thread's. */
    SevBatch ring[DEPTH];
};

/* --- The thread ----------------------------------------------------------- */

/* The next batch, or NULL at the end.  Lock held. */
static SevBatch *next_batch(SevPipeline *p)
{
    while (!p->stop && p->n_made == p->n_put) {
        bool is_full = p->n_put - p->n_got == DEPTH;
        int64_t start = get_clock();

        qemu_cond_wait(&p->work, &p->lock);
        stat64_add(is_full ? &sev_page_stats.line_wait_ns
                           : &sev_page_stats.page_wait_ns,
                   get_clock() - start);
    }
    return p->stop ? NULL : &p->ring[p->n_made % DEPTH];
}

static void *pipeline_thread(void *opaque)
{
    SevPipeline *p = opaque;
    SevBatch *batch;

    rcu_register_thread();
    qemu_mutex_lock(&p->lock);
    while ((batch = next_batch(p))) {
        qemu_mutex_unlock(&p->lock);
        sev_seal_packets(p->source, batch->buf, batch->rb, batch->offsets,
                         &batch->n, &batch->err);
        qemu_mutex_lock(&p->lock);
        p->n_made++;
        qemu_cond_signal(&p->made);
    }
    qemu_mutex_unlock(&p->lock);
    rcu_unregister_thread();
    return NULL;
}

/* --- Birth and end -------------------------------------------------------- */

SevPipeline *sev_pipeline_new(const SevSource *s)
{
    SevPipeline *p = g_new0(SevPipeline, 1);

    p->source = s;
    qemu_mutex_init(&p->lock);
    qemu_cond_init(&p->work);
    qemu_cond_init(&p->made);
    return p;
}

/* With the first page: a migration over multifd needs no thread of ours. */
static void pipeline_start(SevPipeline *p)
{
    for (size_t i = 0; i < DEPTH; i++) {
        p->ring[i].offsets = g_new(ram_addr_t, SEV_RECORD_PAGES_MAX);
        p->ring[i].buf = g_malloc(SEV_RECORD_MAX);
    }
    p->started = true;
    qemu_thread_create(&p->thread, "sev-pipeline", pipeline_thread, p,
                       QEMU_THREAD_JOINABLE);
}

void sev_pipeline_free(SevPipeline *p)
{
    if (!p) {
        return;
    }
    if (p->started) {
        WITH_QEMU_LOCK_GUARD(&p->lock) {
            p->stop = true;
            qemu_cond_signal(&p->work);
        }
        qemu_thread_join(&p->thread);
    }
    for (size_t i = 0; i < DEPTH; i++) {
        error_free(p->ring[i].err);
        g_free(p->ring[i].offsets);
        g_free(p->ring[i].buf);
    }
    qemu_cond_destroy(&p->made);
    qemu_cond_destroy(&p->work);
    qemu_mutex_destroy(&p->lock);
    g_free(p);
}

/* --- The migration thread ------------------------------------------------- */

size_t sev_pipeline_put(SevPipeline *p, const SevPage *pages, size_t n)
{
    size_t most = MIN(n, sev_seal_turn());
    SevBatch *batch;

    if (!p->started) {
        pipeline_start(p);
    }
    QEMU_LOCK_GUARD(&p->lock);
    if (p->n_put - p->n_got == DEPTH) {
        return 0;
    }
    batch = &p->ring[p->n_put % DEPTH];
    batch->rb = pages->rb;
    for (batch->n = 0; batch->n < most && pages[batch->n].rb == pages->rb;
         batch->n++) {
        batch->offsets[batch->n] = pages[batch->n].offset;
    }
    batch->taken = batch->n;
    p->pages += batch->n;
    p->n_put++;
    qemu_cond_signal(&p->work);
    return batch->n;
}

size_t sev_pipeline_pages(const SevPipeline *p)
{
    return p->pages;
}

SevBatch *sev_pipeline_get(SevPipeline *p, int ms)
{
    QEMU_LOCK_GUARD(&p->lock);
    if (p->n_got == p->n_made && ms && p->n_put != p->n_got) {
        qemu_cond_timedwait(&p->made, &p->lock, ms);
    }
    return p->n_got == p->n_made ? NULL : &p->ring[p->n_got % DEPTH];
}

void sev_pipeline_release(SevPipeline *p)
{
    SevBatch *batch = &p->ring[p->n_got % DEPTH];

    p->pages -= batch->taken;
    g_clear_pointer(&batch->err, error_free);
    QEMU_LOCK_GUARD(&p->lock);
    p->n_got++;
    /* Who waits may do so for another reason from now on. */
    qemu_cond_signal(&p->work);
}
