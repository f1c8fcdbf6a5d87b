/*
 * The pass "buckets": lays trainables out in the slab in the order in which backward completes their
 * gradients, cuts that order at a size, and puts in the steps that reduce a bucket while backward
 * still runs, wait for it, and update the parameters.
 */
#include "core/mem.h"
#include "kernels/adamw.h"
#include "kernels/ops.h"
#include "worker/graph/plan_private.h"
#include <stdlib.h>
#include <string.h>

enum { SLAB_ALIGN = 16 }; /* elements: every parameter begins on a cache line */

typedef struct item {
    int32_t value, grad; /* buffers */
    int32_t last_write;  /* step, or NONE where no gradient reaches it */
} item;

/* Completed first comes first; what backward never reaches comes last; ties as recorded. */
static int by_last_write(const void *left, const void *right)
{
    const item *a = left, *b = right;

    if ((a->last_write == NONE) != (b->last_write == NONE)) return a->last_write == NONE ? 1 : -1;
    if (a->last_write != b->last_write) return a->last_write < b->last_write ? -1 : 1;
    return a->value < b->value ? -1 : 1;
}

static int64_t padded(int64_t count)
{
    return (count + SLAB_ALIGN - 1) / SLAB_ALIGN * SLAB_ALIGN;
}

/* The schedule made a gradient buffer right behind each trainable's own. */
static ath_err find_items(const ath_plan *plan, ath_arena *arena, item **out, int32_t *n_out)
{
    int32_t n = 0;

    ATH_TRY(ATH_ARENA_NEW(arena, plan->n_bufs + 1, out));
    for (int32_t b = 0; b < plan->n_bufs; b++)
        if (plan->bufs[b].home == IN_VALUE) (*out)[n++] = (item){b, b + 1, NONE};
    for (int32_t i = 0; i < plan->n_steps; i++)
        for (int k = 0; k < ATH_MAX_IN; k++)
            for (int32_t j = 0; j < n && plan->steps[i].din[k] != NONE; j++)
                if ((*out)[j].grad == plan->steps[i].din[k]) (*out)[j].last_write = i;
    qsort(*out, (size_t)n, sizeof **out, by_last_write);
    *n_out = n;
    return ATH_OK;
}

static ath_err lay_out(ath_plan *plan, const item *items, int32_t n)
{
    const int64_t room = (int64_t)(plan->opts.bucket_bytes / ath_dtype_bytes(plan->full));

    ATH_TRY(ATH_NEW(n, "trainables", &plan->trainables));
    ATH_TRY(ATH_NEW(n, "buckets", &plan->buckets));
    for (int32_t i = 0; i < n; i++) {
        buf *value = &plan->bufs[items[i].value], *grad = &plan->bufs[items[i].grad];
        const int64_t count = padded(ath_desc_count(&value->desc));
        const bool is_reached = items[i].last_write != NONE;
        bucket *last = plan->n_buckets ? &plan->buckets[plan->n_buckets - 1] : NULL;
        if (is_reached && (!last || last->count + count > room)) {
            last = &plan->buckets[plan->n_buckets++];
            last->first = plan->slab_count;
        }
        value->offset = grad->offset = (size_t)plan->slab_count * ath_dtype_bytes(plan->full);
        plan->trainables[i] = (ath_plan_param){value->name, value->desc, plan->slab_count,
                                               is_reached ? plan->n_buckets - 1 : NONE};
        plan->slab_count += count;
        if (!is_reached) continue;
        last->count += count;
        last->last_write = items[i].last_write;
    }
    plan->n_trainables = n;
    return ATH_OK;
}

/* A buffer over the part of the slab that a bucket takes. */
static ath_err add_slice(ath_plan *plan, int32_t k, home place, int32_t *out)
{
    const bucket *b = &plan->buckets[k];
    buf slice = {.home = place,
                 .name = "bucket",
                 .desc = {plan->full, 1, {b->count}},
                 .offset = (size_t)b->first * ath_dtype_bytes(plan->full)};

    return ath_plan_add_buf(plan, slice, out);
}

static step update_step(const ath_plan *plan, const ath_op *op, const void *attr, int32_t k)
{
    step s = ath_step_empty(STEP_RUN);

    s.path = "optimizer";
    s.is_update = true;
    s.bucket = k;
    s.site = (ath_site){.op = op, .attr = attr, .n_threads = plan->opts.n_threads};
    return s;
}

static void put_operand(const ath_plan *plan, step *s, int i, int32_t b)
{
    s->in[i] = b;
    s->site.in[i] = plan->bufs[b].desc;
}

static ath_err add_update_step(ath_plan *plan, step *s)
{
    ATH_TRY(ath_op_infer(s->site.op, s->site.attr, s->site.in, s->site.out, s->site.saved));
    return ath_plan_add_step(plan, *s, NULL);
}

static ath_err add_norm(ath_plan *plan, int32_t k)
{
    step s = update_step(plan, &ath_op_norm2, NULL, k);
    int32_t grad = NONE;
    const buf norm = {.home = IN_NORMS,
                      .name = "norm",
                      .desc = {ATH_F64, 1, {1}},
                      .offset = (size_t)k * sizeof(double)};

    ATH_TRY(add_slice(plan, k, IN_GRAD, &grad));
    put_operand(plan, &s, 0, grad);
    ATH_TRY(ath_plan_add_buf(plan, norm, &s.out[0]));
    return add_update_step(plan, &s);
}

static ath_err add_adamw(ath_plan *plan)
{
    static const home parts[] = {IN_VALUE, IN_MOMENT1, IN_MOMENT2};
    const ath_plan_opts *o = &plan->opts;
    const buf all_norms = {
        .home = IN_NORMS, .name = "norms", .desc = {ATH_F64, 1, {plan->n_buckets}}};
    const buf rates = {.home = IN_INPUT, .name = "adamw", .desc = {plan->full, 1, {4}}};
    ath_adamw_attr *attr = NULL;
    int32_t norms = NONE, hyper = NONE, grad = NONE;

    ATH_TRY(ATH_ARENA_NEW(&plan->arena, 1, &attr));
    *attr = (ath_adamw_attr){.rest1 = (float)(1 - o->beta1),
                             .rest2 = (float)(1 - o->beta2),
                             .eps = o->eps,
                             .max_norm = o->max_norm};
    ATH_TRY(ath_plan_add_buf(plan, all_norms, &norms));
    ATH_TRY(ath_plan_add_buf(plan, rates, &hyper));
    for (int32_t k = 0; k < plan->n_buckets; k++) {
        step s = update_step(plan, &ath_op_adamw, attr, k);
        ATH_TRY(add_slice(plan, k, IN_GRAD, &grad));
        put_operand(plan, &s, 0, grad);
        put_operand(plan, &s, 1, hyper);
        put_operand(plan, &s, 2, norms);
        for (int i = 0; i < 3; i++) ATH_TRY(add_slice(plan, k, parts[i], &s.out[i]));
        ATH_TRY(add_update_step(plan, &s));
    }
    return ATH_OK;
}

static ath_err add_bucket_step(ath_plan *plan, step_kind kind, int32_t k)
{
    step s = ath_step_empty(kind);

    s.bucket = k;
    return ath_plan_add_step(plan, s, NULL);
}

/* Copies the steps, with a reduce step behind the one that completes a bucket. At the end the buckets
 * come back one by one, the norm of each while later ones are still on their way; AdamW needs all
 * norms to clip. */
static ath_err weave(ath_plan *plan, const step *from, int32_t n_from)
{
    const bool updates = plan->opts.update && plan->n_buckets;
    int32_t k = 0;

    plan->n_steps = 0;
    for (int32_t i = 0; i < n_from; i++) {
        ATH_TRY(ath_plan_add_step(plan, from[i], NULL));
        for (; k < plan->n_buckets && plan->buckets[k].last_write == i; k++)
            ATH_TRY(add_bucket_step(plan, STEP_REDUCE, k));
    }
    for (k = 0; k < plan->n_buckets; k++) {
        ATH_TRY(add_bucket_step(plan, STEP_WAIT, k));
        if (updates) ATH_TRY(add_norm(plan, k));
    }
    return updates ? add_adamw(plan) : ATH_OK;
}

ath_err ath_plan_bucket(ath_plan *plan)
{
    ath_arena arena = {0};
    ath_err err = ATH_OK;
    item *items = NULL;
    step *steps = NULL;
    int32_t n_items = 0, n_steps = plan->n_steps;

    ATH_TRY_OUT(find_items(plan, &arena, &items, &n_items));
    ATH_TRY_OUT(lay_out(plan, items, n_items));
    ATH_TRY_OUT(ATH_ARENA_NEW(&arena, n_steps + 1, &steps));
    memcpy(steps, plan->steps, (size_t)n_steps * sizeof *steps);
    ATH_TRY_OUT(weave(plan, steps, n_steps));
out:
    ath_arena_release(&arena);
    return err;
}
