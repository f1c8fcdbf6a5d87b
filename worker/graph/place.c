/*
 * The passes "lives" and "place". A buffer lives from its first write to its last use; the largest is
 * placed first, at the lowest offset that is free for its whole life; ties by number.
 */
#include "core/arena.h"
#include "worker/graph/plan_private.h"
#include <stdlib.h>
#include <string.h>

enum { ALIGN = 64 };

static size_t aligned(size_t bytes)
{
    return (bytes + ALIGN - 1) / ALIGN * ALIGN;
}

typedef struct life {
    ath_plan *plan;
    int32_t step;
} life;

static void note_use(void *context, int32_t b, bool is_write)
{
    life *l = context;
    buf *x = &l->plan->bufs[b];

    (void)is_write;
    if (x->first == NONE) x->first = l->step;
    x->last = l->step;
}

static void find_lives(ath_plan *plan)
{
    for (int32_t i = 0; i < plan->n_steps; i++) {
        life l = {plan, i};
        ath_step_each_use(&plan->steps[i], note_use, &l);
    }
    for (int32_t b = 0; b < plan->n_bufs; b++)
        if (plan->bufs[b].keep && plan->bufs[b].first != NONE) plan->bufs[b].last = plan->n_steps;
}

typedef struct room {
    int32_t buf;
    size_t bytes, offset;
    int32_t first, last;
} room;

static int largest_first(const void *left, const void *right)
{
    const room *a = left, *b = right;

    if (a->bytes != b->bytes) return a->bytes > b->bytes ? -1 : 1;
    return a->buf < b->buf ? -1 : 1;
}

/* The lowest offset where `r` fits beside those of the first n that live at the same time. They are
 * looked through again from the new offset whenever one stands in the way. */
static size_t lowest_free(const room *rooms, int32_t n, const room *r)
{
    size_t at = 0;
    bool moved = true;

    while (moved) {
        moved = false;
        for (int32_t i = 0; i < n; i++) {
            const room *o = &rooms[i];
            const bool meets = o->first <= r->last && r->first <= o->last;
            if (!meets || o->offset >= at + r->bytes || at >= o->offset + o->bytes) continue;
            at = o->offset + o->bytes;
            moved = true;
        }
    }
    return at;
}

static size_t most_alive(const room *rooms, int32_t n, int32_t n_steps)
{
    size_t most = 0;

    for (int32_t at = 0; at < n_steps; at++) {
        size_t alive = 0;
        for (int32_t i = 0; i < n; i++)
            if (rooms[i].first <= at && at <= rooms[i].last) alive += rooms[i].bytes;
        most = alive > most ? alive : most;
    }
    return most;
}

static ath_err place(ath_plan *plan, ath_arena *arena)
{
    ath_plan_stats *stats = &plan->stats;
    room *rooms = NULL;
    int32_t n = 0;

    ATH_TRY(ATH_ARENA_NEW(arena, plan->n_bufs + 1, &rooms));
    for (int32_t b = 0; b < plan->n_bufs; b++) {
        const buf *x = &plan->bufs[b];
        if (x->home != IN_ARENA || x->first == NONE) continue;
        rooms[n++] = (room){b, aligned(x->bytes), 0, x->first, x->last};
        stats->unshared_bytes += aligned(x->bytes);
    }
    stats->arena_floor = most_alive(rooms, n, plan->n_steps);
    if (!plan->opts.no_sharing) qsort(rooms, (size_t)n, sizeof *rooms, largest_first);
    for (int32_t i = 0; i < n; i++) {
        room *r = &rooms[i];
        if (!plan->opts.no_sharing)
            r->offset = lowest_free(rooms, i, r);
        else
            r->offset = stats->arena_bytes;
        plan->bufs[r->buf].offset = r->offset;
        if (r->offset + r->bytes > stats->arena_bytes) stats->arena_bytes = r->offset + r->bytes;
    }
    return ATH_OK;
}

ath_err ath_plan_place(ath_plan *plan)
{
    ath_plan_stats *stats = &plan->stats;
    ath_arena arena = {0};

    find_lives(plan);
    for (int32_t b = 0; b < plan->n_bufs; b++) {
        if (plan->bufs[b].home != IN_INPUT) continue;
        plan->bufs[b].offset = plan->input_bytes;
        plan->input_bytes += aligned(plan->bufs[b].bytes);
    }
    stats->n_steps = plan->n_steps;
    stats->n_buckets = plan->n_buckets;
    stats->n_params = plan->n_trainables;
    stats->n_frozen = plan->n_frozen;
    stats->param_bytes = (size_t)plan->slab_count * ath_dtype_bytes(plan->full);
    ath_err err = place(plan, &arena);
    ath_arena_release(&arena);
    return err;
}
