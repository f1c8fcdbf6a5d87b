#include "worker/data/states.h"

#include "core/log.h"
#include "core/mem.h"
#include "worker/data/cache.h"
#include "worker/dist/dist.h"
#include "worker/dist/tree.h"

static const char kind[] = "text";

/* A caption in memory; used 0: none. */
typedef struct slot {
    ath_hash key;
    int64_t used;
    float *states;
} slot;

struct ath_state_store {
    ath_state_store_opts opts;
    ath_cache *cache; /* NULL: none */
    slot *slots;
    float *states; /* [room, n_states] */
    int64_t n_used;
};

static ath_hash key_of(const ath_state_store *s, const int32_t *ids)
{
    const ath_hash hash = ath_hash_of(ids, (size_t)s->opts.n_ids * sizeof *ids);
    const ath_hash both[] = {hash, s->opts.encoder};

    return ath_hash_of(both, sizeof both);
}

ath_err ath_state_store_create(const ath_state_store_opts *opts, ath_state_store **out)
{
    ath_state_store *s = NULL;
    ath_err err = ATH_OK;

    ATH_ASSERT(opts->room > 0);
    ATH_TRY_OUT(ATH_NEW(1, "text states", &s));
    s->opts = *opts;
    ATH_TRY_OUT(ATH_NEW(opts->room, "text states", &s->slots));
    ATH_TRY_OUT(ATH_NEW(opts->room * opts->n_states, "text states", &s->states));
    for (int32_t i = 0; i < opts->room; i++) s->slots[i].states = s->states + i * opts->n_states;
    *out = s;
    s = NULL;
out:
    ath_state_store_destroy(&s);
    return err;
}

void ath_state_store_destroy(ath_state_store **store)
{
    ath_state_store *s = *store;

    if (!s) return;
    ath_cache_close(&s->cache);
    ath_mem_free(&s->slots);
    ath_mem_free(&s->states);
    ath_mem_free(store);
}

/* ---- ahead ---- */

static bool is_good(const ath_state_store *s, ath_hash key)
{
    const float *found = NULL;

    if (!ath_cache_has(s->cache, key)) return false;
    if (ath_cache_find(s->cache, key, s->opts.n_states, &found) == ATH_OK) return true;
    ath_log(ATH_LOG_WARN, "cache", ATH_KV("made again", "text states"),
            ATH_KV("why", ath_err_text()));
    ath_err_clear();
    return false;
}

/* Captions [first, end): pictures often share one, and it is made once. */
static ath_err make_share(ath_state_store *s, const int32_t *ids, int64_t first, int64_t end)
{
    ath_cache_writer *w = NULL;
    ath_hash *done = NULL;
    int64_t n_done = 0;
    ath_err err = ATH_OK;

    ATH_TRY_OUT(ATH_NEW(end - first, "captions", &done));
    ATH_TRY_OUT(ath_cache_write(s->opts.folder, kind, &w));
    for (int64_t i = first; i < end; i++) {
        const ath_hash key = key_of(s, ids + i * s->opts.n_ids);
        bool is_done = is_good(s, key);
        for (int64_t k = 0; k < n_done && !is_done; k++) is_done = ath_hash_is_equal(done[k], key);
        if (is_done) continue;
        ATH_TRY_OUT(s->opts.make(s->opts.context, ids + i * s->opts.n_ids, s->states));
        ATH_TRY_OUT(ath_cache_put(w, key, s->opts.n_states, s->states));
        done[n_done++] = key;
    }
    ATH_TRY_OUT(ath_cache_publish(&w));
out:
    ath_cache_discard(&w);
    ath_mem_free(&done);
    return err;
}

ath_err ath_state_store_fill(ath_state_store *s, int64_t n, const int32_t *ids)
{
    const int32_t rank = ath_dist_rank(), size = ath_dist_size();

    if (ath_hash_is_equal(s->opts.encoder, (ath_hash){0})) return ATH_OK;
    ATH_TRY(ath_dist_agree(ath_cache_open(s->opts.folder, kind, &s->cache)));
    for (int32_t i = 0; i < s->opts.room; i++) s->slots[i].used = 0;
    ATH_TRY(ath_dist_agree(make_share(s, ids, ath_tree_cut((int32_t)n, size, rank),
                                      ath_tree_cut((int32_t)n, size, rank + 1))));
    ath_cache_close(&s->cache);
    return ath_dist_agree(ath_cache_open(s->opts.folder, kind, &s->cache));
}

/* ---- at use ---- */

static slot *find_slot(const ath_state_store *s, ath_hash key)
{
    slot *oldest = s->slots;

    for (int32_t i = 0; i < s->opts.room; i++) {
        slot *at = &s->slots[i];
        if (at->used && ath_hash_is_equal(at->key, key)) return at;
        if (at->used < oldest->used) oldest = at;
    }
    oldest->used = 0;
    return oldest;
}

ath_err ath_state_store_find(ath_state_store *s, const int32_t *ids, const float **states)
{
    const ath_hash key = key_of(s, ids);

    if (s->cache && is_good(s, key)) return ath_cache_find(s->cache, key, s->opts.n_states, states);
    slot *at = find_slot(s, key);
    if (!at->used) ATH_TRY(s->opts.make(s->opts.context, ids, at->states));
    at->key = key;
    at->used = ++s->n_used;
    *states = at->states;
    return ATH_OK;
}
