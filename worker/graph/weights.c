#include "core/arena.h"
#include "core/hash.h"
#include "core/mem.h"
#include "worker/graph/exec_private.h"
#include <string.h>

/* What a block had when it was first looked at; not known once somebody put it. */
typedef struct seen {
    ath_hash digest;
    bool is_known;
} seen;

typedef struct entry {
    const char *name;
    ath_desc desc;
    ath_buf plain; /* {0}: given back, its packings serve */
    seen seen;
    bool is_drawable; /* the source can put the same values again */
} entry;

typedef struct packed {
    int32_t entry;
    uint64_t key;
    ath_buf bytes;
    seen seen;
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
    const ath_plan **users; /* of the execs that hold addresses of ours */
    int32_t n_users;
    int64_t users_room;
    ath_weights_source_fn *source;
    const void *source_context;
    bool is_drawing; /* what is put now comes from the source */
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
    ath_mem_free(&w->users);
    ath_arena_release(&w->arena);
    ath_mem_free(weights);
}

ath_device *ath_weights_device(const ath_weights *weights)
{
    return weights->device;
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

size_t ath_weights_bytes(const ath_weights *weights)
{
    size_t bytes = 0;

    for (int32_t i = 0; i < weights->n_entries; i++) bytes += weights->entries[i].plain.bytes;
    for (int32_t i = 0; i < weights->n_packs; i++) bytes += weights->packs[i].bytes.bytes;
    return bytes;
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

static ath_err add(ath_weights *w, const char *name, const ath_desc *desc, ath_dtype dtype,
                   const void *host)
{
    entry e = {.desc = *desc, .is_drawable = w->is_drawing};

    ATH_TRY(ath_arena_print(&w->arena, &e.name, "%s", name));
    ATH_TRY(
        ath_mem_grow(&w->entries, w->n_entries, &w->entries_room, sizeof *w->entries, "weights"));
    ATH_TRY(ath_buf_create(w->device, ath_desc_bytes(desc), name, &e.plain));
    ath_err err = upload(w, e.plain, desc, dtype, host);
    if (err)
        ath_buf_release(&e.plain);
    else
        w->entries[w->n_entries++] = e;
    return err;
}

/* ---- packings ---- */

typedef struct pack_job {
    const binding *b;
    ath_call call;
    int operand;
    void *packed;
} pack_job;

static ath_err run_pack(const void *arg)
{
    const pack_job *job = arg;
    return job->b->kernel->pack(&job->call, job->operand, job->packed);
}

static ath_err make_pack(ath_weights *w, const packed *p, const ath_plan *plan, const pack *want)
{
    const binding *b = &plan->bounds[want->bound];
    pack_job job = {b,
                    {.site = &b->site, .bound = &b->bound, .stream = w->stream},
                    want->operand,
                    p->bytes.address};

    job.call.in[want->operand] = w->entries[p->entry].plain.address;
    ATH_TRY(ath_stream_launch(w->stream, run_pack, &job));
    return ath_stream_sync(w->stream);
}

static int32_t find_pack(const ath_weights *w, int32_t i, uint64_t key)
{
    for (int32_t k = 0; k < w->n_packs; k++)
        if (w->packs[k].entry == i && w->packs[k].key == key) return k;
    return NONE;
}

static ath_err add_pack(ath_weights *w, int32_t i, const ath_plan *plan, const pack *want)
{
    packed p = {.entry = i, .key = want->key};

    ATH_TRY(
        ath_mem_grow(&w->packs, w->n_packs, &w->packs_room, sizeof *w->packs, "packed weights"));
    ATH_TRY(ath_buf_create(w->device, want->bytes, "packed weight", &p.bytes));
    ath_err err = make_pack(w, &p, plan, want);
    if (err)
        ath_buf_release(&p.bytes);
    else
        w->packs[w->n_packs++] = p;
    return err;
}

/* Makes a packing again from new plain bytes with the kernel of whoever uses it. One that nobody
 * uses goes: *gone. */
static ath_err remake(ath_weights *w, packed *p, bool *gone)
{
    for (int32_t u = 0; u < w->n_users; u++) {
        const ath_plan *plan = w->users[u];
        for (int32_t k = 0; k < plan->n_packs; k++) {
            const pack *have = &plan->packs[k];
            if (have->key != p->key ||
                strcmp(plan->frozen[have->frozen].name, w->entries[p->entry].name) != 0)
                continue;
            p->seen.is_known = false;
            return make_pack(w, p, plan, have);
        }
    }
    ath_buf_release(&p->bytes);
    *gone = true;
    return ATH_OK;
}

/* New values in the old places. The source brings the values that the packings are made of. */
static ath_err replace(ath_weights *w, int32_t i, const ath_desc *desc, ath_dtype dtype,
                       const void *host)
{
    char found[ATH_DESC_TEXT], wanted[ATH_DESC_TEXT];
    entry *e = &w->entries[i];

    ATH_NEED(ath_desc_is_equal(&e->desc, desc), ATH_ESHAPE, "weight %s is %s, put again as %s",
             e->name, ath_desc_print(&e->desc, found), ath_desc_print(desc, wanted));
    if (!e->plain.address)
        ATH_TRY(ath_buf_create(w->device, ath_desc_bytes(desc), e->name, &e->plain));
    ATH_TRY(upload(w, e->plain, desc, dtype, host));
    e->is_drawable = w->is_drawing;
    e->seen.is_known = false;
    for (int32_t k = w->n_packs - 1; k >= 0 && !w->is_drawing; k--) {
        bool gone = false;
        if (w->packs[k].entry == i) ATH_TRY(remake(w, &w->packs[k], &gone));
        if (gone) w->packs[k] = w->packs[--w->n_packs];
    }
    return ath_stream_sync(w->stream); /* those who read it wait for other streams */
}

ath_err ath_weights_put(ath_weights *weights, const char *name, ath_desc desc, ath_dtype dtype,
                        const void *host)
{
    const int32_t i = find(weights, name);

    if (i == NONE) return add(weights, name, &desc, dtype, host);
    return replace(weights, i, &desc, dtype, host);
}

void ath_weights_draw_from(ath_weights *weights, ath_weights_source_fn *source, const void *context)
{
    weights->source = source;
    weights->source_context = context;
}

/* ---- what it holds, and held ---- */

bool ath_weights_block(const ath_weights *w, int32_t i, const char **name, ath_buf *out)
{
    if (i >= w->n_entries + w->n_packs) return false;
    const bool is_plain = i < w->n_entries;
    const packed *p = is_plain ? NULL : &w->packs[i - w->n_entries];

    *name = w->entries[is_plain ? i : p->entry].name;
    *out = is_plain ? w->entries[i].plain : p->bytes;
    return true;
}

const char *ath_weights_look(ath_weights *w)
{
    const char *name = NULL, *changed = NULL;
    ath_buf b = {0};

    for (int32_t i = 0; ath_weights_block(w, i, &name, &b); i++) {
        seen *s = i < w->n_entries ? &w->entries[i].seen : &w->packs[i - w->n_entries].seen;
        if (!b.address) continue;
        const ath_hash now = ath_hash_of(b.address, b.bytes);
        if (!s->is_known) *s = (seen){now, true};
        if (!ath_hash_is_equal(s->digest, now)) changed = name;
    }
    return changed;
}

/* ---- what a plan wants ---- */

static bool reads_plain(const ath_plan *plan, int32_t frozen)
{
    for (int32_t i = 0; i < plan->n_steps; i++) {
        const step *s = &plan->steps[i];
        for (int k = 0; k < ATH_MAX_IN; k++) {
            const buf *b = s->in[k] == NONE ? NULL : &plan->bufs[s->in[k]];
            if (b && b->home == IN_FROZEN && b->index == frozen && s->pack[k] == NONE) return true;
        }
    }
    return false;
}

static ath_err draw(ath_weights *w, const ath_plan_param *p)
{
    w->is_drawing = true;
    ath_err err = w->source(w->source_context, p, w);
    w->is_drawing = false;
    return err;
}

static ath_err need(const ath_weights *w, const ath_plan_param *p, int32_t *out)
{
    char found[ATH_DESC_TEXT], wanted[ATH_DESC_TEXT];
    const int32_t i = w ? find(w, p->name) : NONE;

    ATH_NEED(i != NONE, ATH_EMISSING, "weight %s is missing, wanted %s", p->name,
             ath_desc_print(&p->desc, wanted));
    ATH_NEED(ath_desc_is_equal(&w->entries[i].desc, &p->desc), ATH_ESHAPE,
             "weight %s is %s, wanted %s", p->name, ath_desc_print(&w->entries[i].desc, found),
             ath_desc_print(&p->desc, wanted));
    *out = i;
    return ATH_OK;
}

/* Is there all that the plan wants of its frozen parameter f, entry i? */
static bool has_all(const ath_weights *w, const ath_plan *plan, int32_t f, int32_t i)
{
    if (i == NONE || w->entries[i].plain.address) return i != NONE;
    for (int32_t k = 0; k < plan->n_packs; k++)
        if (plan->packs[k].frozen == f && find_pack(w, i, plan->packs[k].key) == NONE) return false;
    return !reads_plain(plan, f);
}

static bool is_read_plain(const ath_weights *w, const char *name)
{
    for (int32_t u = 0; u < w->n_users; u++) {
        const ath_plan *plan = w->users[u];
        for (int32_t f = 0; f < plan->n_frozen; f++)
            if (strcmp(plan->frozen[f].name, name) == 0 && reads_plain(plan, f)) return true;
    }
    return false;
}

/* Makes what is missing of frozen parameter f, then gives back plain bytes that nobody reads. */
static ath_err settle(ath_weights *w, const ath_plan *plan, int32_t f, int32_t *out)
{
    const ath_plan_param *p = &plan->frozen[f];

    if (w && w->source && !has_all(w, plan, f, find(w, p->name))) ATH_TRY(draw(w, p));
    ATH_TRY(need(w, p, out));
    entry *e = &w->entries[*out];
    for (int32_t k = 0; k < plan->n_packs; k++) {
        const pack *want = &plan->packs[k];
        if (want->frozen != f || find_pack(w, *out, want->key) != NONE) continue;
        ATH_TRY(add_pack(w, *out, plan, want));
    }
    if (!e->plain.address || !e->is_drawable || reads_plain(plan, f) || is_read_plain(w, e->name))
        return ATH_OK;
    ATH_TRY(ath_stream_sync(w->stream));
    ath_buf_release(&e->plain);
    return ATH_OK;
}

ath_err ath_weights_attach(ath_weights *weights, const ath_plan *plan, int32_t *frozen,
                           ath_buf *packs)
{
    for (int32_t f = 0; f < plan->n_frozen; f++) ATH_TRY(settle(weights, plan, f, &frozen[f]));
    for (int32_t k = 0; k < plan->n_packs; k++) {
        const int32_t at = find_pack(weights, frozen[plan->packs[k].frozen], plan->packs[k].key);
        packs[k] = weights->packs[at].bytes;
        ATH_ASSERT(packs[k].bytes >= plan->packs[k].bytes);
    }
    if (!plan->n_frozen) return ATH_OK;
    ATH_TRY(ath_stream_sync(weights->stream)); /* runs wait for other streams */
    ATH_TRY(ath_mem_grow(&weights->users, weights->n_users, &weights->users_room,
                         sizeof *weights->users, "plans of weights"));
    weights->users[weights->n_users++] = plan;
    return ATH_OK;
}

void ath_weights_detach(ath_weights *weights, const ath_plan *plan)
{
    for (int32_t u = 0; weights && u < weights->n_users; u++) {
        if (weights->users[u] != plan) continue;
        weights->users[u] = weights->users[--weights->n_users];
        return;
    }
}

ath_buf ath_weights_plain(const ath_weights *weights, int32_t i)
{
    return weights->entries[i].plain;
}
