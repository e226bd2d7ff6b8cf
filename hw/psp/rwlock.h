/*
 * A readers-writer lock under which writers do not starve.
 *
 * glib's lets new readers in while a writer waits; threads that send packets
 * without a pause would keep SEND_CANCEL out for ever.  Here a writer closes
 * the door behind the readers that are inside.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef PSP_RWLOCK_H
#define PSP_RWLOCK_H

#include <glib.h>

typedef struct PspRwLock {
    GRWLock lock;
    GMutex door;                /* a waiting writer holds it */
    gint closed;                /* so that readers need not try it */
} PspRwLock;

static inline void psp_rw_init(PspRwLock *rw)
{
    g_rw_lock_init(&rw->lock);
    g_mutex_init(&rw->door);
    rw->closed = 0;
}

static inline void psp_rw_clear(PspRwLock *rw)
{
    g_rw_lock_clear(&rw->lock);
    g_mutex_clear(&rw->door);
}

/* A thread must not take it twice: a writer may come between. */
static inline void psp_rw_read_lock(PspRwLock *rw)
{
    if (g_atomic_int_get(&rw->closed)) {
        g_mutex_lock(&rw->door);
        g_mutex_unlock(&rw->door);
    }
    g_rw_lock_reader_lock(&rw->lock);
}

static inline void psp_rw_read_unlock(PspRwLock *rw)
{
    g_rw_lock_reader_unlock(&rw->lock);
}

static inline void psp_rw_write_lock(PspRwLock *rw)
{
    g_mutex_lock(&rw->door);
    g_atomic_int_set(&rw->closed, 1);
    g_rw_lock_writer_lock(&rw->lock);
    g_atomic_int_set(&rw->closed, 0);
    g_mutex_unlock(&rw->door);
}

static inline void psp_rw_write_unlock(PspRwLock *rw)
{
    g_rw_lock_writer_unlock(&rw->lock);
}

#endif /* PSP_RWLOCK_H */
