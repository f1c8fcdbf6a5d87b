/* Any bytes as a safetensors file; what the reader takes, the writer writes and the reader takes again. */
#include "core/io/file.h"
#include "core/io/safetensors_writer.h"
#include "core/mem.h"
#include "core/str.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

/* A disk of one file, in memory. */

static int sink_open(void *user, const char *path, int flags)
{
    (void)user, (void)path, (void)flags;
    return 1000;
}

static int64_t sink_write(void *user, int fd, const void *from, size_t n)
{
    (void)fd;
    ath_str_put(user, from, n);
    return (int64_t)n;
}

static int sink_done(void *user, int fd)
{
    (void)user, (void)fd;
    return 0;
}

static int sink_rename(void *user, const char *from, const char *to)
{
    (void)user, (void)from, (void)to;
    return 0;
}

static int sink_unlink(void *user, const char *path)
{
    (void)user, (void)path;
    return 0;
}

static void check_same(const ath_st *a, const ath_st *b)
{
    ATH_ASSERT(ath_st_count(a) == ath_st_count(b));
    for (int64_t i = 0; i < ath_st_count(a); i++) {
        const ath_st_tensor *t = ath_st_get(a, i), *u = ath_st_find(b, t->name);
        ATH_ASSERT(u && t->dtype == u->dtype && t->n_dim == u->n_dim && t->bytes == u->bytes);
        ATH_ASSERT(memcmp(t->dim, u->dim, (size_t)t->n_dim * sizeof *t->dim) == 0);
        ATH_ASSERT(memcmp(t->data, u->data, t->bytes) == 0);
    }
    ATH_ASSERT(ath_st_meta_count(a) == ath_st_meta_count(b));
    for (int64_t i = 0; i < ath_st_meta_count(a); i++) {
        const char *value = NULL, *key = ath_st_meta_get(a, i, &value);
        ATH_ASSERT(strcmp(ath_st_meta_find(b, key), value) == 0);
    }
}

static void write_back(const ath_st *st)
{
    ath_st_out *out = NULL;
    ath_st_meta *meta = NULL;
    ath_str file = {0};
    ath_st *again = NULL;
    const ath_io sink = {.open = sink_open,
                         .write = sink_write,
                         .sync = sink_done,
                         .close = sink_done,
                         .rename = sink_rename,
                         .unlink = sink_unlink,
                         .user = &file};

    ATH_ASSERT(!ATH_NEW(ath_st_count(st), "tensors", &out));
    ATH_ASSERT(!ATH_NEW(ath_st_meta_count(st), "metadata", &meta));
    for (int64_t i = 0; i < ath_st_count(st); i++) {
        const ath_st_tensor *t = ath_st_get(st, i);
        out[i] = (ath_st_out){t->name, t->dtype, t->dtype, t->n_dim, t->dim, t->data};
    }
    for (int64_t i = 0; i < ath_st_meta_count(st); i++)
        meta[i].key = ath_st_meta_get(st, i, &meta[i].value);
    ath_io_replace(&sink);
    ATH_ASSERT(!ath_st_write("again", ath_st_count(st), out, ath_st_meta_count(st), meta));
    ath_io_replace(NULL);
    ATH_ASSERT(!ath_st_open_bytes("again", file.text, file.n, &again));
    check_same(st, again);
    ath_st_close(&again);
    ath_str_release(&file);
    ath_mem_free(&meta);
    ath_mem_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    ath_st *st = NULL;

    if (ath_st_open_bytes("input", bytes, n, &st)) return 0;
    write_back(st);
    ath_st_close(&st);
    return 0;
}
