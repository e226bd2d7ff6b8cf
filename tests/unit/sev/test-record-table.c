/*
 * The table of records: as the document has it for people, and as those who
 * make a record's bytes without it believe it to be.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "migration/sev/wire/record-fields.h"

/* --- The document ------------------------------------------------------- */

/* "32", or "1 to 255" */
static void say_range(GString *out, size_t min, size_t max)
{
    if (min != max) {
        g_string_append_printf(out, "%zu to ", min);
    }
    g_string_append_printf(out, "%zu", max);
}

static void say_bytes(GString *out, const SevField *f)
{
    switch (f->form) {
    case SEV_FIELD_U64:
        g_string_append(out, "8");
        break;
    case SEV_FIELD_LATER:
        g_string_append(out, "8, or not there");
        break;
    case SEV_FIELD_BLOB:
    case SEV_FIELD_TEXT:
        g_string_append(out, f->form == SEV_FIELD_BLOB ? "blob, " : "text, ");
        say_range(out, f->min, f->max);
        break;
    case SEV_FIELD_WHOLE:
        g_string_append_printf(out, "blob, %zu or empty", f->max);
        break;
    case SEV_FIELD_ENTRIES:
        g_string_append_printf(out, "%zu each, 0 to %zu", f->size, f->max);
        break;
    case SEV_FIELD_BYTES:
    case SEV_FIELD_PART:
        g_string_append_printf(out, "%zu", f->size);
        break;
    default:
        g_assert_not_reached();
    }
}

/* As squeezed() leaves a table of the document. */
static char *document_table(const SevField *fields)
{
    GString *out = g_string_new("\n==\nfield | bytes | meaning\n==\n");

    for (const SevField *f = fields; f->form; f++) {
        g_string_append_printf(out, "%s%s | ",
                               f->form == SEV_FIELD_PART ? "entry: " : "",
                               f->name);
        say_bytes(out, f);
        g_string_append_printf(out, " | %s\n", f->meaning);
    }
    g_string_append(out, "==\n");
    return g_string_free(out, false);
}

static char *replace(const char *text, const char *pattern, const char *with)
{
    g_autoptr(GRegex) regex = g_regex_new(pattern, G_REGEX_MULTILINE, 0, NULL);

    return g_regex_replace_literal(regex, text, -1, 0, with, 0, NULL);
}

/*
 * A simple table of reStructuredText without its widths: a row is one line,
 * " | " is between its cells, and "==" is a border.
 */
static char *squeezed(const char *text)
{
    g_autofree char *borders = replace(text, "^=+(  =+)+$", "==");
    g_autofree char *rows = replace(borders, "\n +(?=[^ \n])", " ");

    return replace(rows, " {2,}", " | ");
}

/* What the document says about this record, from its heading to the next. */
static char *document_section(const char *document, int type, const char *name)
{
    g_autofree char *heading = g_strdup_printf("\n%d %s\n~~~", type, name);
    const char *start = strstr(document, heading), *end, *chapter;

    if (!start) {
        return NULL;
    }
    start += strlen(heading);
    end = strstr(start, "\n~~~");
    chapter = strstr(start, "\n---");
    end = end && (!chapter || end < chapter) ? end : chapter;
    return end ? g_strndup(start, end - start) : g_strdup(start);
}

/* Headings of records: "\n1 HELLO\n~~~~~~~\n" */
static size_t document_headings(const char *document)
{
    size_t headings = 0;

    for (const char *at = document; (at = strstr(at, "\n~~~")); at++) {
        const char *line = g_strrstr_len(document, at - document, "\n");

        headings += line && g_ascii_isdigit(line[1]);
    }
    return headings;
}

static void test_document(void)
{
    g_autofree char *document = NULL;
    size_t records = 0;

    g_assert_true(g_file_get_contents(SEV_RECORD_DOCUMENT, &document, NULL,
                                      NULL));
    for (int type = 0; type < SEV_RECORD__MAX; type++) {
        const SevRecordRow *row = &sev_record_rows[type];
        g_autofree char *section = NULL, *have = NULL, *want = NULL;

        if (!row->name) {
            continue;
        }
        records++;
        section = document_section(document, type, row->name);
        have = section ? squeezed(section) : NULL;
        want = row->fields ? document_table(row->fields)
                           : g_strdup("No payload");
        if (!have || !strstr(have, want)) {
            printf("# docs/interop/sev-record.rst lacks, under \"%d %s\":\n"
                   "%s\n", type, row->name, want);
            g_test_fail();
        }
    }
    g_assert_cmpuint(document_headings(document), ==, records);
}

/* --- The table ---------------------------------------------------------- */

static size_t largest(SevRecordType type)
{
    size_t min, max;

    sev_fields_limits(sev_record_rows[type].fields, &min, &max);
    g_assert_cmpuint(min, <=, max);
    return max;
}

/* Sums in record.h that others rely on before there is a record. */
static void test_limits(void)
{
    size_t min, max;

    for (int type = 1; type < SEV_RECORD__MAX; type++) {
        g_assert_nonnull(sev_record_rows[type].name);
        g_assert_cmpuint(largest(type), <=, SEV_RECORD_PAYLOAD_MAX);
    }
    sev_fields_limits(sev_record_rows[SEV_RECORD_PAGES].fields, &min, &max);
    g_assert_cmpuint(min, ==, SEV_RECORD_PAGES_HEAD);
    g_assert_cmpuint(max, ==, SEV_RECORD_PAYLOAD_MAX);
    g_assert_cmpuint(SEV_RECORD_HEADER_LEN + largest(SEV_RECORD_MANIFEST), ==,
                     SEV_RECORD_MANIFEST_MAX);
    g_assert_cmpuint(SEV_RECORD_HEADER_LEN + largest(SEV_RECORD_IMAGE), ==,
                     SEV_RECORD_IMAGE_LEN);
    /* The return path has 16 bits for a length. */
    g_assert_cmpuint(SEV_RECORD_HEADER_LEN + largest(SEV_RECORD_CERTS), <=,
                     UINT16_MAX);
    g_assert_cmpuint(SEV_RECORD_HEADER_LEN + largest(SEV_RECORD_ACK), <=,
                     UINT16_MAX);
}

/* What an entry is made of is all of it. */
static void test_parts(void)
{
    for (int type = 1; type < SEV_RECORD__MAX; type++) {
        const SevField *f = sev_record_rows[type].fields;
        size_t size = 0, parts = 0;

        for (; f && f->form; f++) {
            if (f->form == SEV_FIELD_ENTRIES) {
                size = f->size;
            } else if (f->form == SEV_FIELD_PART) {
                parts += f->size;
            }
        }
        g_assert_true(!parts || parts == size);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sev/record-table/document", test_document);
    g_test_add_func("/sev/record-table/limits", test_limits);
    g_test_add_func("/sev/record-table/parts", test_parts);
    return g_test_run();
}
