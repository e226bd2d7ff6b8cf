/*
 * The sev-* migration parameters: all of a command's or none, every bad value
 * refused by its name, and who may receive and send.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "monitor/monitor.h"
#include "qapi/util.h"
#include "migration/sev/params.h"
#include "migration/sev/sev.h"

#define ONE "11111111111111111111111111111111" \
            "11111111111111111111111111111111"
#define TWO "2222222222222222222222222222222A" \
            "bcdef222222222222222222222222222"
#define TWO_SMALL "2222222222222222222222222222222a" \
                  "bcdef222222222222222222222222222"
#define MOST 4096

/* --- What stands in for the rest of QEMU --------------------------------- */

/* A certificate here is its letter, and something behind it. */
bool sev_certs_check(SevCertPart part, const uint8_t *data, size_t len,
                     Error **errp)
{
    if (len > 1 && data[0] == "DCA"[part]) {
        return true;
    }
    error_setg(errp, "is no such certificate");
    return false;
}

char *sev_certs_fingerprint(const SevPlatformCerts *certs, Error **errp)
{
    return g_strdup(ONE);
}

static GString *printed;

int monitor_printf(Monitor *mon, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    g_string_append_vprintf(printed, fmt, ap);
    va_end(ap);
    return 0;
}

/* --- Helpers ------------------------------------------------------------- */

static void assert_words(Error *err, const char *words)
{
    g_assert_nonnull(err);
    if (!strstr(error_get_pretty(err), words)) {
        g_error("'%s' lacks '%s'", error_get_pretty(err), words);
    }
    error_free(err);
}

static char *coded(const char *text)
{
    return g_base64_encode((const uint8_t *)text, strlen(text));
}

static strList *list_of(const char *first, const char *second)
{
    strList *list = NULL;

    if (second) {
        QAPI_LIST_PREPEND(list, g_strdup(second));
    }
    if (first) {
        QAPI_LIST_PREPEND(list, g_strdup(first));
    }
    return list;
}

/* All parameters, as the tests' other commands must leave them. */
static SevMigrationParameters *everything(void)
{
    SevMigrationParameters *p = g_new0(SevMigrationParameters, 1);

    p->sev_pdh = coded("D-pdh");
    p->sev_plat_cert = coded("C-plat");
    p->sev_amd_cert = coded("A-amd");
    p->has_sev_allowed_platforms = p->has_sev_allowed_sources = true;
    p->sev_allowed_platforms = list_of(ONE, TWO);
    p->sev_allowed_sources = list_of(TWO, NULL);
    p->has_sev_refuse_replay = p->sev_refuse_replay = true;
    p->has_sev_template_open = true;
    p->sev_template_open = SEV_TEMPLATE_OPEN_SWEEP;
    p->has_sev_acknowledgement = true;
    p->sev_acknowledgement = SEV_ACKNOWLEDGEMENT_DIGEST;
    return p;
}

static void set_everything(void)
{
    SevMigrationParameters *p = everything();

    sev_params_set(p, &error_abort);
    qapi_free_SevMigrationParameters(p);
}

static void assert_everything(void)
{
    SevMigrationParameters *wanted = everything();
    SevMigrationParameters *p = g_new0(SevMigrationParameters, 1);

    sev_params_query(p);
    g_assert_cmpstr(p->sev_pdh, ==, wanted->sev_pdh);
    g_assert_cmpstr(p->sev_plat_cert, ==, wanted->sev_plat_cert);
    g_assert_cmpstr(p->sev_amd_cert, ==, wanted->sev_amd_cert);
    g_assert_true(p->has_sev_allowed_platforms);
    g_assert_cmpstr(p->sev_allowed_platforms->value, ==, ONE);
    g_assert_cmpstr(p->sev_allowed_platforms->next->value, ==, TWO_SMALL);
    g_assert_null(p->sev_allowed_platforms->next->next);
    g_assert_true(p->has_sev_allowed_sources);
    g_assert_cmpstr(p->sev_allowed_sources->value, ==, TWO_SMALL);
    g_assert_true(sev_params_refuse_replay());
    g_assert_cmpint(sev_params_template_open(), ==, SEV_TEMPLATE_OPEN_SWEEP);
    g_assert_cmpint(p->sev_acknowledgement, ==, wanted->sev_acknowledgement);
    g_assert_cmpint(sev_params_acknowledgement(), ==,
                    wanted->sev_acknowledgement);
    qapi_free_SevMigrationParameters(wanted);
    qapi_free_SevMigrationParameters(p);
}

static void clear(void)
{
    SevMigrationParameters p = {
        .sev_pdh = (char *)"", .sev_plat_cert = (char *)"",
        .sev_amd_cert = (char *)"",
        .has_sev_allowed_platforms = true, .has_sev_allowed_sources = true,
        .has_sev_refuse_replay = true, .has_sev_template_open = true,
        .has_sev_acknowledgement = true,
    };

    sev_params_set(&p, &error_abort);
}

/* --- Set ----------------------------------------------------------------- */

static void test_not_set(void)
{
    SevMigrationParameters p = {};
    const SevPlatformCerts *certs;

    sev_params_query(&p);
    g_assert_null(p.sev_pdh);
    g_assert_null(p.sev_plat_cert);
    g_assert_null(p.sev_amd_cert);
    g_assert_false(p.has_sev_allowed_platforms || p.has_sev_allowed_sources ||
                   p.has_sev_refuse_replay || p.has_sev_template_open);
    g_assert_false(sev_params_certs(&certs, &error_abort));
    g_assert_true(sev_params_allowed(ONE, &error_abort));
    g_assert_true(sev_params_source_allowed(ONE, &error_abort));
    g_assert_false(sev_params_refuse_replay());
    g_assert_cmpint(sev_params_template_open(), ==,
                    SEV_TEMPLATE_OPEN_FIRST_TOUCH);
}

static void test_set(void)
{
    SevMigrationParameters nothing = {};

    set_everything();
    assert_everything();
    sev_params_set(&nothing, &error_abort);
    assert_everything();
    clear();
    g_assert_false(sev_params_refuse_replay());
    g_assert_cmpint(sev_params_template_open(), ==,
                    SEV_TEMPLATE_OPEN_FIRST_TOUCH);
    sev_params_query(&nothing);
    g_assert_null(nothing.sev_pdh);
    g_assert_null(nothing.sev_plat_cert);
    g_assert_null(nothing.sev_amd_cert);
    g_assert_false(nothing.has_sev_allowed_platforms);
    g_assert_false(nothing.has_sev_allowed_sources);
}

typedef enum Field {
    PDH, PLAT, AMD, PLATFORMS, SOURCES
} Field;

static const struct {
    Field field;
    const char *value;          /* base64 of a certificate, or a fingerprint */
    const char *words;
} bad[] = {
    { PDH, "!!!", "'sev-pdh': " },
    { PDH, "Qy1jZXJ0", "'sev-pdh': is no such certificate" },   /* "C-cert" */
    { PLAT, "RC1jZXJ0", "'sev-plat-cert': is no such" },        /* "D-cert" */
    { AMD, "RC1jZXJ0", "'sev-amd-cert': is no such" },
    { AMD, "QQ==", "'sev-amd-cert': is no such" },              /* "A" */
    { PLATFORMS, "", "'sev-allowed-platforms': '' is not a fingerprint" },
    { PLATFORMS, ONE "1", "is not a fingerprint of 64 hex digits" },
    { PLATFORMS, ONE "g", "is not a fingerprint of 64 hex digits" },
    { SOURCES, "1", "'sev-allowed-sources': '1' is not a fingerprint" },
    { SOURCES, "1111111111111111111111111111111g"
               "11111111111111111111111111111111",
      "1g11111111111111111111111111111111' is not a fingerprint" },
};

/* A bad value and good ones beside it: nothing of the command is taken over. */
static void test_bad(void)
{
    set_everything();
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        SevMigrationParameters *p = g_new0(SevMigrationParameters, 1);
        Error *err = NULL;

        p->sev_pdh = coded("D-other");
        p->sev_plat_cert = coded("C-other");
        p->sev_amd_cert = coded("A-other");
        p->has_sev_allowed_platforms = p->has_sev_allowed_sources = true;
        p->sev_allowed_platforms = list_of(TWO, NULL);
        p->sev_allowed_sources = list_of(ONE, NULL);
        p->has_sev_refuse_replay = p->has_sev_template_open = true;
        p->has_sev_acknowledgement = true;
        if (bad[i].field >= PLATFORMS) {
            strList **list = bad[i].field == PLATFORMS
                           ? &p->sev_allowed_platforms
                           : &p->sev_allowed_sources;

            qapi_free_strList(*list);
            *list = list_of(ONE, bad[i].value);
        } else {
            char **cert = bad[i].field == PDH ? &p->sev_pdh :
                          bad[i].field == PLAT ? &p->sev_plat_cert :
                          &p->sev_amd_cert;

            g_free(*cert);
            *cert = g_strdup(bad[i].value);
        }
        g_assert_false(sev_params_set(p, &err));
        assert_words(err, bad[i].words);
        assert_everything();
        qapi_free_SevMigrationParameters(p);
    }
    clear();
}

static void test_too_many(void)
{
    SevMigrationParameters p = { .has_sev_allowed_platforms = true };
    Error *err = NULL;

    for (int i = 0; i < MOST; i++) {
        QAPI_LIST_PREPEND(p.sev_allowed_platforms, g_strdup(ONE));
    }
    g_assert_true(sev_params_set(&p, &error_abort));
    QAPI_LIST_PREPEND(p.sev_allowed_platforms, g_strdup(ONE));
    g_assert_false(sev_params_set(&p, &err));
    assert_words(err, "'sev-allowed-platforms': more than 4096 platforms");
    qapi_free_strList(p.sev_allowed_platforms);
    clear();
}

/* --- Asked --------------------------------------------------------------- */

static void test_certs(void)
{
    const SevPlatformCerts *certs = NULL;

    /* Every subset of the three. */
    for (int given = 1; given < 8; given++) {
        g_autofree char *pdh = coded(given & 1 ? "D-pdh" : "");
        g_autofree char *plat = coded(given & 2 ? "C-plat" : "");
        g_autofree char *amd = coded(given & 4 ? "A-amd" : "");
        SevMigrationParameters p = {
            .sev_pdh = pdh, .sev_plat_cert = plat, .sev_amd_cert = amd,
        };
        Error *err = NULL;

        sev_params_set(&p, &error_abort);
        if (given < 7) {
            g_assert_false(sev_params_certs(&certs, &err));
            assert_words(err, !(given & 1) ? "'sev-pdh' is not set" :
                         !(given & 2) ? "'sev-plat-cert' is not set" :
                         "'sev-amd-cert' is not set");
        }
    }
    g_assert_true(sev_params_certs(&certs, &error_abort));
    g_assert_cmpmem(certs->pdh, certs->pdh_len, "D-pdh", 5);
    g_assert_cmpmem(certs->plat, certs->plat_len, "C-plat", 6);
    g_assert_cmpmem(certs->amd, certs->amd_len, "A-amd", 5);
    clear();
}

/* The two lists are two, and a fingerprint that is printed matches itself. */
static void test_allowed(void)
{
    Error *err = NULL;

    set_everything();
    g_assert_true(sev_params_allowed(ONE, &error_abort));
    g_assert_true(sev_params_allowed(TWO_SMALL, &error_abort));
    g_assert_false(sev_params_allowed("3", &err));
    assert_words(err, "the target platform 3 is not among the 2 of migration "
                 "parameter 'sev-allowed-platforms'");
    err = NULL;
    g_assert_true(sev_params_source_allowed(TWO_SMALL, &error_abort));
    g_assert_false(sev_params_source_allowed(ONE, &err));
    assert_words(err, "the source platform " ONE " is not among the 1 of "
                 "migration parameter 'sev-allowed-sources'");
    clear();
}

/* --- HMP ----------------------------------------------------------------- */

static void hmp(MigrationParameter param, const char *value, Error **errp)
{
    MigrateSetParameters *p = g_new0(MigrateSetParameters, 1);
    SevMigrationParameters ours = {};
    Error *err = NULL;

    sev_params_from_hmp(p, param, value, &err);
    if (!err) {
        ours.sev_pdh = p->sev_pdh;
        ours.has_sev_allowed_platforms = p->has_sev_allowed_platforms;
        ours.sev_allowed_platforms = p->sev_allowed_platforms;
        ours.has_sev_template_open = p->has_sev_template_open;
        ours.sev_template_open = p->sev_template_open;
        ours.has_sev_refuse_replay = p->has_sev_refuse_replay;
        ours.sev_refuse_replay = p->sev_refuse_replay;
        sev_params_set(&ours, &err);
    }
    error_propagate(errp, err);
    qapi_free_MigrateSetParameters(p);
}

static void test_hmp_file(void)
{
    g_autofree char *path = NULL;
    g_autofree char *text = coded("D-file");
    g_autofree char *lines = g_strdup_printf("\n %s\n\n", text);
    g_autofree char *large = g_strnfill(65537, 'A');
    int fd = g_file_open_tmp("params-XXXXXX", &path, NULL);
    SevMigrationParameters p = {};
    Error *err = NULL;

    g_assert_cmpint(fd, >=, 0);
    close(fd);
    g_assert_true(g_file_set_contents(path, lines, -1, NULL));
    hmp(MIGRATION_PARAMETER_SEV_PDH, path, &error_abort);
    sev_params_query(&p);
    g_assert_cmpstr(p.sev_pdh, ==, text);
    g_free(p.sev_pdh);

    g_assert_true(g_file_set_contents(path, large, -1, NULL));
    hmp(MIGRATION_PARAMETER_SEV_PDH, path, &err);
    assert_words(err, "at most 65536 bytes");
    unlink(path);
    err = NULL;
    hmp(MIGRATION_PARAMETER_SEV_PDH, path, &err);
    assert_words(err, "is no file of base64 text");
    err = NULL;
    hmp(MIGRATION_PARAMETER_SEV_PDH, g_get_tmp_dir(), &err);    /* a folder */
    assert_words(err, "is no file of base64 text");
    err = NULL;
    hmp(MIGRATION_PARAMETER_SEV_PDH, "/dev/zero", &err);
    assert_words(err, "is no file of base64 text");

    hmp(MIGRATION_PARAMETER_SEV_PDH, "", &error_abort);
    sev_params_query(&p);
    g_assert_null(p.sev_pdh);
}

static void test_hmp_words(void)
{
    Error *err = NULL;

    hmp(MIGRATION_PARAMETER_SEV_ALLOWED_PLATFORMS, ONE "," TWO, &error_abort);
    g_assert_true(sev_params_allowed(ONE, &error_abort));
    g_assert_true(sev_params_allowed(TWO_SMALL, &error_abort));
    hmp(MIGRATION_PARAMETER_SEV_ALLOWED_PLATFORMS, ONE ",", &err);
    assert_words(err, "'' is not a fingerprint");
    hmp(MIGRATION_PARAMETER_SEV_TEMPLATE_OPEN, "eager", &error_abort);
    err = NULL;
    hmp(MIGRATION_PARAMETER_SEV_TEMPLATE_OPEN, "later", &err);
    assert_words(err, "later");
    g_assert_cmpint(sev_params_template_open(), ==, SEV_TEMPLATE_OPEN_EAGER);
    hmp(MIGRATION_PARAMETER_SEV_REFUSE_REPLAY, "on", &error_abort);
    err = NULL;
    hmp(MIGRATION_PARAMETER_SEV_REFUSE_REPLAY, "maybe", &err);
    assert_words(err, "sev-refuse-replay");
    g_assert_true(sev_params_refuse_replay());
    err = NULL;
    hmp(MIGRATION_PARAMETER_DOWNTIME_LIMIT, "1", &err);
    assert_words(err, "'downtime-limit' cannot be set here");
    clear();
}

static void test_print(void)
{
    printed = g_string_new("");
    set_everything();
    sev_params_print(NULL);
    g_assert_nonnull(strstr(printed->str, "sev-pdh: of platform " ONE "\n"));
    g_assert_nonnull(strstr(printed->str, "sev-plat-cert: 6 bytes\n"));
    g_assert_nonnull(strstr(printed->str, "sev-amd-cert: 5 bytes\n"));
    g_assert_nonnull(strstr(printed->str, "sev-template-open: sweep\n"));
    g_assert_nonnull(strstr(printed->str, "sev-refuse-replay: on\n"));
    g_assert_nonnull(strstr(printed->str, "sev-allowed-platforms: " ONE "\n"
                            "sev-allowed-platforms: " TWO_SMALL "\n"));
    g_assert_nonnull(strstr(printed->str,
                            "sev-allowed-sources: " TWO_SMALL "\n"));
    g_string_free(printed, true);
    clear();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sev/params/not-set", test_not_set);   /* the first */
    g_test_add_func("/sev/params/set", test_set);
    g_test_add_func("/sev/params/bad", test_bad);
    g_test_add_func("/sev/params/too-many", test_too_many);
    g_test_add_func("/sev/params/certs", test_certs);
    g_test_add_func("/sev/params/allowed", test_allowed);
    g_test_add_func("/sev/params/hmp-file", test_hmp_file);
    g_test_add_func("/sev/params/hmp-words", test_hmp_words);
    g_test_add_func("/sev/params/print", test_print);
    return g_test_run();
}
