/*
 * Runs a fuzz target without libFuzzer: every file of a folder, and some
 * thousand mutations of them.  The smoke test of `meson test`.
 *
 * usage: TARGET FOLDER [SECONDS]
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

typedef struct Input {
    uint8_t *data;
    size_t len;
} Input;

static GArray *load_folder(const char *path)
{
    GArray *inputs = g_array_new(false, false, sizeof(Input));
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *file = g_build_filename(path, name, NULL);
        Input input;

        if (g_file_get_contents(file, (char **)&input.data, &input.len,
                                NULL)) {
            g_array_append_val(inputs, input);
        }
    }
    return inputs;
}

static void mutate(GRand *rand, GByteArray *out, const GArray *inputs)
{
    const Input *from = &g_array_index(inputs, Input,
                                       g_rand_int_range(rand, 0,
                                                        inputs->len));
    int changes = g_rand_int_range(rand, 1, 8);

    g_byte_array_set_size(out, 0);
    g_byte_array_append(out, from->data, from->len);
    for (int i = 0; i < changes && out->len; i++) {
        guint at = g_rand_int_range(rand, 0, out->len);

        switch (g_rand_int_range(rand, 0, 4)) {
        case 0:
            out->data[at] ^= 1u << g_rand_int_range(rand, 0, 8);
            break;
        case 1:
            out->data[at] = g_rand_int(rand);
            break;
        case 2:
            g_byte_array_remove_range(out, at, MIN(out->len - at, 4));
            break;
        default:
            g_byte_array_append(out, from->data, MIN(from->len, at));
            break;
        }
    }
}

/* libFuzzer's, for targets that have a mutator of their own; main() has no use for it. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t len, size_t most)
{
    return len;
}

int main(int argc, char **argv)
{
    int ready = LLVMFuzzerInitialize ? LLVMFuzzerInitialize(&argc, &argv) : 0;
    GArray *inputs = load_folder(argc > 1 ? argv[1] : ".");
    double seconds = argc > 2 ? atof(argv[2]) : 2;
    gint64 end = g_get_monotonic_time() + seconds * 1e6;
    GByteArray *bytes = g_byte_array_new();
    GRand *rand = g_rand_new_with_seed(1);
    unsigned runs = 0;

    if (ready) {
        return ready;
    }
    for (guint i = 0; i < inputs->len; i++) {
        Input *input = &g_array_index(inputs, Input, i);

        LLVMFuzzerTestOneInput(input->data, input->len);
    }
    while (inputs->len && g_get_monotonic_time() < end) {
        mutate(rand, bytes, inputs);
        LLVMFuzzerTestOneInput(bytes->data, bytes->len);
        runs++;
    }
    printf("1..1\n%sok 1 - %u files, %u mutations\n",
           inputs->len ? "" : "not ", inputs->len, runs);
    for (guint i = 0; i < inputs->len; i++) {
        g_free(g_array_index(inputs, Input, i).data);
    }
    g_array_free(inputs, true);
    g_byte_array_free(bytes, true);
    g_rand_free(rand);
    return 0;
}
