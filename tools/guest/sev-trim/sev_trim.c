// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * sev_trim: keep a guest's free memory out of its template.
 *
 * A free page that was used before holds old bytes; it is private, so it is
 * sealed like any other page, and opened by nobody.  The balloon is no help:
 * virtio_balloon hands over private pages by address, and does not work with
 * ACCESS_PLATFORM.  Instead, free memory is taken in large blocks, made shared
 * and zero: shared zero pages are holes in a template.  Afterwards, in the
 * source and in every clone, it is made private again and given back, a block
 * at a time, or all at once when memory runs out.
 *
 *   echo 16 > /sys/kernel/sev_trim/take     leave 16 MiB free, take the rest
 *   echo 1  > /sys/kernel/sev_trim/give     give back, in the background
 *   cat /sys/kernel/sev_trim/held           KiB held now
 */
#define pr_fmt(fmt) "sev_trim: " fmt

#include <linux/gfp.h>
#include <linux/kobject.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/oom.h>
#include <linux/set_memory.h>
#include <linux/sysfs.h>
#include <linux/workqueue.h>

#define LARGEST 10              /* 4 MiB, and down to ... */
#define SMALLEST 5              /* ... 128 KiB; less is not worth a page table */
#define GIVE_PAUSE (HZ / 20)

static DEFINE_MUTEX(lock);
static LIST_HEAD(held);         /* head pages, by page->lru; order in private */
static unsigned long held_pages;
static struct kobject *folder;

static unsigned long address(struct page *page)
{
    return (unsigned long)page_address(page);
}

/* Shared, then zero through the shared mapping.  What fails is not given back. */
static bool hold(struct page *page, unsigned int order)
{
    if (set_memory_decrypted(address(page), 1 << order)) {
        pr_warn("a block of order %u is lost\n", order);
        return false;
    }
    memset(page_address(page), 0, PAGE_SIZE << order);
    set_page_private(page, order);
    list_add(&page->lru, &held);
    held_pages += 1UL << order;
    return true;
}

static void take(unsigned long leave)
{
    gfp_t gfp = GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN;
    int order;

    mutex_lock(&lock);
    for (order = LARGEST; order >= SMALLEST; order--) {
        while (global_zone_page_state(NR_FREE_PAGES) >
               leave + (1UL << order)) {
            struct page *page = alloc_pages(gfp, order);

            if (!page || !hold(page, order))
                break;
            cond_resched();
        }
    }
    mutex_unlock(&lock);
}

/* One block; its content is noise until somebody writes it. */
static bool give_one(void)
{
    struct page *page = list_first_entry_or_null(&held, struct page, lru);
    unsigned int order;

    if (!page)
        return false;
    order = page_private(page);
    list_del(&page->lru);
    held_pages -= 1UL << order;
    set_page_private(page, 0);
    if (set_memory_encrypted(address(page), 1 << order))
        pr_warn("a block of order %u is lost\n", order);
    else
        __free_pages(page, order);
    return true;
}

static void give_some(struct work_struct *work);
static DECLARE_DELAYED_WORK(giving, give_some);

static void give_some(struct work_struct *work)
{
    bool more;

    mutex_lock(&lock);
    more = give_one();
    mutex_unlock(&lock);
    if (more)
        schedule_delayed_work(&giving, GIVE_PAUSE);
}

/* The caller holds the lock. */
static unsigned long give_all(void)
{
    unsigned long before = held_pages;

    while (give_one())
        cond_resched();
    return before;
}

/*
 * As the balloon does it: better slow than dead.  The lock may be this very
 * task's, whose set_memory_decrypted() found no page for a page table.
 */
static int memory_runs_out(struct notifier_block *self, unsigned long dummy,
                           void *freed)
{
    if (mutex_trylock(&lock)) {
        *(unsigned long *)freed += give_all();
        mutex_unlock(&lock);
    }
    return NOTIFY_OK;
}

static struct notifier_block oom = { .notifier_call = memory_runs_out };

static ssize_t take_store(struct kobject *k, struct kobj_attribute *a,
                          const char *text, size_t len)
{
    unsigned long mib;
    int err = kstrtoul(text, 0, &mib);

    if (err)
        return err;
    if (mib > 1UL << 20)
        return -ERANGE;
    cancel_delayed_work_sync(&giving);
    take(mib << (20 - PAGE_SHIFT));
    return len;
}

static ssize_t give_store(struct kobject *k, struct kobj_attribute *a,
                          const char *text, size_t len)
{
    schedule_delayed_work(&giving, 0);
    return len;
}

static ssize_t held_show(struct kobject *k, struct kobj_attribute *a, char *out)
{
    return sysfs_emit(out, "%lu\n", held_pages << (PAGE_SHIFT - 10));
}

static struct kobj_attribute take_attr = __ATTR_WO(take);
static struct kobj_attribute give_attr = __ATTR_WO(give);
static struct kobj_attribute held_attr = __ATTR_RO(held);

static const struct attribute *files[] = {
    &take_attr.attr, &give_attr.attr, &held_attr.attr, NULL
};

static int __init sev_trim_init(void)
{
    int err;

    folder = kobject_create_and_add("sev_trim", kernel_kobj);
    if (!folder)
        return -ENOMEM;
    err = sysfs_create_files(folder, files);
    if (!err)
        err = register_oom_notifier(&oom);
    if (err)
        kobject_put(folder);
    return err;
}

static void __exit sev_trim_exit(void)
{
    unregister_oom_notifier(&oom);
    kobject_put(folder);            /* no more writers */
    cancel_delayed_work_sync(&giving);
    mutex_lock(&lock);
    give_all();
    mutex_unlock(&lock);
}

module_init(sev_trim_init);
module_exit(sev_trim_exit);
MODULE_DESCRIPTION("Keep free memory out of the template of an SEV guest");
MODULE_LICENSE("GPL");
