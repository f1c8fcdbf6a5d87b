/* The pass "hash", and the plan as tables for people. */
#include "core/hash.h"
#include "kernels/isa.h"
#include "worker/graph/plan_private.h"
#include <inttypes.h>
#include <string.h>

static void put_text(ath_hasher *h, const char *text)
{
    ath_hasher_put(h, text, strlen(text) + 1);
}

static void put_buf(ath_hasher *h, const ath_plan *plan, int32_t b)
{
    const int64_t none = NONE;

    if (b == NONE) {
        ath_hasher_put(h, &none, sizeof none);
        return;
    }
    const buf *x = &plan->bufs[b];
    const int64_t row[] = {x->home, (int64_t)x->bytes, (int64_t)x->offset, x->index, b};
    ath_hasher_put(h, row, sizeof row);
}

static const char *algorithm_of(const ath_plan *plan, const step *s)
{
    const char *text = plan->bounds[s->bound].bound.algorithm;
    return text ? text : "";
}

static void put_step(ath_hasher *h, const ath_plan *plan, const step *s)
{
    const ath_site *t = &s->site;
    const int32_t row[] = {(int32_t)s->kind, s->is_update,    s->bucket,         (int32_t)t->pass,
                           t->n_threads,     (int32_t)t->add, (int32_t)t->frozen};

    ath_hasher_put(h, row, sizeof row);
    if (s->kind != STEP_RUN) return;
    put_text(h, t->op->name);
    put_text(h, algorithm_of(plan, s));
    if (t->attr) ath_hasher_put(h, t->attr, t->op->attr_bytes);
    ath_hasher_put(h, t->in, sizeof t->in);
    ath_hasher_put(h, t->out, sizeof t->out);
    ath_hasher_put(h, t->din, sizeof t->din);
    for (int i = 0; i < ATH_MAX_IN; i++) {
        put_buf(h, plan, s->in[i]);
        put_buf(h, plan, s->din[i]);
        put_buf(h, plan, s->pack[i]);
    }
    for (int i = 0; i < ATH_MAX_OUT; i++) {
        put_buf(h, plan, s->out[i]);
        put_buf(h, plan, s->dout[i]);
    }
    for (int i = 0; i < ATH_MAX_SAVED; i++) put_buf(h, plan, s->saved[i]);
    put_buf(h, plan, s->scratch);
}

ath_err ath_plan_make_hash(ath_plan *plan)
{
    ath_hasher *h = NULL;
    const ath_plan_opts *o = &plan->opts;

    ATH_TRY(ath_hasher_create(&h));
    put_text(h, ath_backend_name(o->backend));
    if (o->backend == ATH_CPU) put_text(h, ath_isa_name(ath_isa_get()));
    for (int32_t i = 0; i < plan->n_steps; i++) put_step(h, plan, &plan->steps[i]);
    for (int32_t i = 0; i < plan->n_trainables; i++) {
        put_text(h, plan->trainables[i].name);
        ath_hasher_put(h, &plan->trainables[i].offset, sizeof plan->trainables[i].offset);
    }
    for (int32_t i = 0; i < plan->n_frozen; i++) put_text(h, plan->frozen[i].name);
    plan->hash = ath_hasher_get(h);
    ath_hasher_destroy(&h);
    return ATH_OK;
}

static void explain_step(const ath_plan *plan, int32_t i, ath_str *to)
{
    const step *s = &plan->steps[i];
    char desc[ATH_DESC_TEXT];

    if (s->kind != STEP_RUN) {
        ath_str_print(to, "%5" PRId32 "  %-5s bucket %" PRId32 "\n", i,
                      s->kind == STEP_REDUCE ? "sum" : "wait", s->bucket);
        return;
    }
    const ath_site *t = &s->site;
    const char *pass = t->pass == ATH_BWD ? "bwd" : s->is_again ? "again" : "fwd";
    const ath_kernel *kernel = plan->bounds[s->bound].kernel;
    const bool is_own = kernel != ath_op_kernel(t->op, t->pass, ATH_REF);
    ath_str_print(to, "%5" PRId32 "  %-5s %-12s ", i, s->is_update ? "upd" : pass, t->op->name);
    if (t->op->show && t->attr) t->op->show(t->attr, to);
    ath_str_print(to, "  %s  %s  %s%s%s", s->path, ath_desc_print(&t->out[0], desc),
                  is_own ? ath_backend_name(plan->opts.backend) : "ref",
                  *algorithm_of(plan, s) ? ":" : "", algorithm_of(plan, s));
    for (int k = 0; t->pass == ATH_BWD && k < ATH_MAX_IN; k++)
        if (s->din[k] != NONE) ath_str_print(to, "  d%d%s", k, t->add >> k & 1 ? "+" : "");
    if (s->scratch != NONE) ath_str_print(to, "  scratch %zu", plan->bufs[s->scratch].bytes);
    ath_str_print(to, "\n");
}

static void explain_buf(const ath_plan *plan, int32_t b, ath_str *to)
{
    const buf *x = &plan->bufs[b];
    char desc[ATH_DESC_TEXT];

    if (x->home != IN_ARENA || x->first == NONE) return;
    ath_str_print(to, "%5" PRId32 "  %12zu +%-12zu %5" PRId32 "..%-5" PRId32 " %s%s  %s\n", b,
                  x->offset, x->bytes, x->first, x->last, x->is_grad ? "d " : "", x->name,
                  x->desc.dtype == ATH_NONE ? "" : ath_desc_print(&x->desc, desc));
}

void ath_plan_explain(const ath_plan *plan, ath_str *to)
{
    const ath_plan_stats *t = &plan->stats;
    char hash[ATH_HASH_TEXT];

    ath_str_print(to, "steps\n");
    for (int32_t i = 0; i < plan->n_steps; i++) explain_step(plan, i, to);
    ath_str_print(to, "\narena: buffer, offset + bytes, life in steps, whose\n");
    for (int32_t b = 0; b < plan->n_bufs; b++) explain_buf(plan, b, to);
    ath_str_print(to, "\nbuckets: first element, elements, complete after\n");
    for (int32_t k = 0; k < plan->n_buckets; k++)
        ath_str_print(to, "%5" PRId32 "  %12" PRId64 " %12" PRId64 " %6" PRId32 "\n", k,
                      plan->buckets[k].first, plan->buckets[k].count, plan->buckets[k].last_write);
    ath_str_print(to,
                  "\n%" PRId32 " steps, %" PRId32 " bindings, %" PRId32 " trainables in %" PRId32
                  " buckets, %" PRId32 " frozen\n"
                  "arena %zu bytes (most alive at once %zu, unshared %zu)\n"
                  "trainable %zu, frozen %zu, packed %zu bytes; %.3f GFLOP\nplan %s\n",
                  t->n_steps, plan->n_bounds, t->n_params, t->n_buckets, t->n_frozen,
                  t->arena_bytes, t->arena_floor, t->unshared_bytes, t->param_bytes,
                  t->frozen_bytes, t->packed_bytes, t->flop / 1e9,
                  ath_hash_print(plan->hash, hash));
}
