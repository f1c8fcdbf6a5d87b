#include "core/arena.h"
#include "core/mem.h"
#include "worker/graph/exec_private.h"
#include <string.h>

typedef struct entry {
    const char *name;
    ath_desc desc;
    ath_buf plain;
} entry;

typedef struct packed {
    int32_t entry;
    uint64_t key;
    ath_buf bytes;
} packed;

struct ath_weights {
    ath_device *device;
    ath_stream *stream;
    ath_arena arena;
    entry *entries;
    int32_t n_entries;
    int64_t entries_room;
    packed *packs;
    int32_t n_packs;
    int64_t packs_room;
};

ath_err ath_weights_create(ath_device *device, ath_weights **out)
{
    ath_weights *w = NULL;

    ATH_TRY(ATH_NEW(1, "weights", &w));
    w->device = device;
    ath_err err = ath_stream_create(device, &w->stream);
    if (err)
        ath_weights_destroy(&w);
    else
        *out = w;
    return err;
}

void ath_weights_destroy(ath_weights **weights)
{
    ath_weights *w = *weights;

    if (!w) return;
    for (int32_t i = 0; i < w->n_entries; i++) ath_buf_release(&w->entries[i].plain);
    for (int32_t i = 0; i < w->n_packs; i++) ath_buf_release(&w->packs[i].bytes);
    ath_stream_destroy(&w->stream);
    ath_mem_free(&w->entries);
    ath_mem_free(&w->packs);
    ath_arena_release(&w->arena);
    ath_mem_free(weights);
}

static int32_t find(const ath_weights *w, const char *name)
{
    for (int32_t i = 0; i < w->n_entries; i++)
        if (strcmp(w->entries[i].name, name) == 0) return i;
    return NONE;
}

bool ath_weights_has(const ath_weights *weights, const char *name)
{
    return find(weights, name) != NONE;
}

/* Writes `host` of dtype `from` as desc.dtype. */
static ath_err upload(ath_weights *w, ath_buf to, const ath_desc *desc, ath_dtype from,
                      const void *host)
{
    void *converted = NULL;
    ath_err err = ATH_OK;

    if (from == desc->dtype) return ath_buf_write(w->stream, to, 0, host, ath_desc_bytes(desc));
    ATH_TRY(ath_mem_new(ath_desc_bytes(desc), 1, "converted weight", &converted));
    ath_dtype_convert(converted, desc->dtype, host, from, ath_desc_count(desc));
    err = ath_buf_write(w->stream, to, 0, converted, ath_desc_bytes(desc));
    ath_mem_free(&converted);
    return err;
}

ath_err ath_weights_put(ath_weights *weights, const char *name, ath_desc desc, ath_dtype dtype,
                        const void *host)
{
    entry e = {.desc = desc};

    ATH_NEED(find(weights, name) == NONE, ATH_EINVAL, "weight %s: put twice", name);
    ATH_TRY(ath_arena_print(&weights->arena, &e.name, "%s", name));
    ATH_TRY(ath_mem_grow(&weights->entries, weights->n_entries, &weights->entries_room,
                         sizeof *weights->entries, "weights"));
    ATH_TRY(ath_buf_create(weights->device, ath_desc_bytes(&desc), name, &e.plain));
    ath_err err = upload(weights, e.plain, &desc, dtype, host);
    if (err)
        ath_buf_release(&e.plain);
    else
        weights->entries[weights->n_entries++] = e;
    return err;
}

ath_err ath_weights_need(const ath_weights *weights, const char *name, const ath_desc *desc,
                         int32_t *out)
{
    char found[ATH_DESC_TEXT], wanted[ATH_DESC_TEXT];
    const int32_t i = weights ? find(weights, name) : NONE;

    ATH_NEED(i != NONE, ATH_EMISSING, "weight %s is missing, wanted %s", name,
             ath_desc_print(desc, wanted));
    ATH_NEED(ath_desc_is_equal(&weights->entries[i].desc, desc), ATH_ESHAPE,
             "weight %s is %s, wanted %s", name, ath_desc_print(&weights->entries[i].desc, found),
             ath_desc_print(desc, wanted));
    *out = i;
    return ATH_OK;
}

ath_buf ath_weights_plain(const ath_weights *weights, int32_t i)
{
    return weights->entries[i].plain;
}

typedef struct pack_job {
    const binding *b;
    int operand;
    const void *plain;
    void *packed;
} pack_job;

static ath_err run_pack(const void *arg)
{
    const pack_job *job = arg;
    return job->b->kernel->pack(&job->b->site, &job->b->bound, job->operand, job->plain,
                                job->packed);
}

ath_err ath_weights_pack(ath_weights *weights, int32_t i, const pack *want, const binding *b,
                         ath_buf *out)
{
    packed p = {.entry = i, .key = want->key};
    ath_err err = ATH_OK;

    for (int32_t k = 0; k < weights->n_packs; k++) {
        const packed *have = &weights->packs[k];
        if (have->entry != i || have->key != want->key) continue;
        ATH_ASSERT(have->bytes.bytes >= want->bytes);
        *out = have->bytes;
        return ATH_OK;
    }
    ATH_TRY(ath_mem_grow(&weights->packs, weights->n_packs, &weights->packs_room,
                         sizeof *weights->packs, "packed weights"));
    ATH_TRY(ath_buf_create(weights->device, want->bytes, "packed weight", &p.bytes));
    const pack_job job = {b, want->operand, weights->entries[i].plain.address, p.bytes.address};
    ATH_TRY_OUT(ath_stream_launch(weights->stream, run_pack, &job));
    ATH_TRY_OUT(ath_stream_sync(weights->stream));
    weights->packs[weights->n_packs++] = p;
    *out = p.bytes;
    return ATH_OK;
out:
    ath_buf_release(&p.bytes);
    return err;
}
