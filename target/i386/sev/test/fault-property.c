/*
 * Faults on demand: the properties that arm them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/qapi-builtin-visit.h"
#include "fault.h"

static char *get_fault(Object *obj, Error **errp)
{
    return sev_fault_get();
}

static void set_fault(Object *obj, const char *value, Error **errp)
{
    sev_fault_set(value, errp);
}

static void get_points(Object *obj, Visitor *v, const char *name, void *opaque,
                       Error **errp)
{
    strList *list = NULL, **tail = &list;

    for (int i = SEV_FAULT_NONE + 1; i < SEV_FAULT__MAX; i++) {
        QAPI_LIST_APPEND(tail, sev_fault_describe(i));
    }
    visit_type_strList(v, name, &list, errp);
    qapi_free_strList(list);
}

void sev_fault_add_properties(Object *obj)
{
    object_property_add_str(obj, "x-fault", get_fault, set_fault);
    object_property_set_description(obj, "x-fault",
        "for tests: make a step of a migration fail, POINT[:N][:ACTION]");
    object_property_add(obj, "x-fault-points", "strList", get_points, NULL,
                        NULL, NULL);
    object_property_set_description(obj, "x-fault-points",
        "for tests: what x-fault can name");
}
