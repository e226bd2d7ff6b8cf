/*
 * Whether a directory that nobody chose is one that lasts.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "psp-store.h"

#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * libvirt's system daemon gives each guest a HOME of its own, and each probe a
 * folder: ".../qemu/domain-N-NAME" and ".../qemu/qmp-XXXXXX".  Both are
 * removed when the process ends.
 */
static bool psp_place_is_a_guests(const char *dir)
{
    g_auto(GStrv) parts = g_strsplit(dir, "/", -1);

    for (size_t i = 0; parts[i] && parts[i + 1]; i++) {
        if (g_str_equal(parts[i], "qemu") &&
            (g_str_has_prefix(parts[i + 1], "qmp-") ||
             (g_str_has_prefix(parts[i + 1], "domain-") &&
              g_ascii_isdigit(parts[i + 1][strlen("domain-")])))) {
            return true;
        }
    }
    return false;
}

/*
 * Whether the first part of @dir that exists is another user's, where at most
 * a capability would let us write.  Root is at home in its own HOME, whoever
 * owns that.
 */
static bool psp_place_is_anothers(const char *dir)
{
    g_autofree char *place = g_strdup(dir);
    struct stat st;

    while (stat(place, &st) < 0) {
        char *parent = g_path_get_dirname(place);

        if (g_str_equal(parent, place)) {
            g_free(parent);
            return false;
        }
        g_free(place);
        place = parent;
    }
    return geteuid() && st.st_uid != geteuid() && !(st.st_mode & 022);
}

/* As install(1) takes it */
static char *psp_place_user(void)
{
    const struct passwd *user = getpwuid(geteuid());

    return user ? g_strdup(user->pw_name)
                : g_strdup_printf("%u", (unsigned)geteuid());
}

bool psp_store_check_home(const char *dir, GError **error)
{
    const char *env = g_getenv("SEV_PSP_DIR");
    g_autofree char *user = NULL;
    const char *why = NULL;

    if ((env && *env) || g_str_equal(dir, PSP_STORE_SYSTEM_DIR)) {
        return true;
    }
    if (psp_place_is_a_guests(dir)) {
        why = "is removed with this process's guest";
    } else if (!g_getenv("HOME") && !g_getenv("XDG_STATE_HOME")) {
        why = "is only a guess, because HOME is not set";
    } else if (psp_place_is_anothers(dir)) {
        why = "is in a directory of another user";
    }
    if (why) {
        user = psp_place_user();
        g_set_error(error, PSP_ERROR, PSP_ERROR_STORE,
                    "'%s' %s, and guests saved with an identity there would be"
                    " lost: make a system-wide one as root with 'install -d -m"
                    " 700 -o %s %s', or name one with SEV_PSP_DIR", dir, why,
                    user, PSP_STORE_SYSTEM_DIR);
    }
    return !why;
}
