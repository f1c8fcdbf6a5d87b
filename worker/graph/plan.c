#include "worker/graph/plan.h"

#include "core/mem.h"
#include "worker/graph/plan_private.h"
#include <string.h>

enum { BUCKET_BYTES = 25 << 20 };

ath_err ath_plan_add_buf(ath_plan *plan, buf b, int32_t *out)
{
    ATH_TRY(
        ath_mem_grow(&plan->bufs, plan->n_bufs, &plan->bufs_room, sizeof *plan->bufs, "buffers"));
    b.bytes = b.bytes ? b.bytes : ath_desc_bytes(&b.desc);
    b.first = b.last = b.index = NONE;
    plan->bufs[plan->n_bufs] = b;
    *out = plan->n_bufs++;
    return ATH_OK;
}

ath_err ath_plan_add_step(ath_plan *plan, step s, step **out)
{
    ATH_TRY(
        ath_mem_grow(&plan->steps, plan->n_steps, &plan->steps_room, sizeof *plan->steps, "steps"));
    plan->steps[plan->n_steps] = s;
    if (out) *out = &plan->steps[plan->n_steps];
    plan->n_steps++;
    return ATH_OK;
}

step ath_step_empty(step_kind kind)
{
    step s = {.kind = kind, .path = "", .file = "", .bound = NONE, .bucket = NONE, .scratch = NONE};

    for (int i = 0; i < ATH_MAX_IN; i++) s.in[i] = s.din[i] = s.pack[i] = NONE;
    for (int i = 0; i < ATH_MAX_OUT; i++) s.out[i] = s.dout[i] = NONE;
    for (int i = 0; i < ATH_MAX_SAVED; i++) s.saved[i] = NONE;
    return s;
}

void ath_step_each_use(const step *s, ath_step_use_fn use, void *context)
{
    const bool fwd = s->site.pass == ATH_FWD;

    for (int i = 0; i < ATH_MAX_IN; i++)
        if (s->in[i] != NONE && s->pack[i] == NONE) use(context, s->in[i], false);
    for (int i = 0; i < ATH_MAX_OUT; i++) {
        const bool updated = s->site.op && s->site.op->updates >> i & 1;
        if (s->dout[i] != NONE) use(context, s->dout[i], false);
        if (s->out[i] != NONE && (!fwd || updated)) use(context, s->out[i], false);
        if (s->out[i] != NONE && fwd) use(context, s->out[i], true);
    }
    for (int i = 0; i < ATH_MAX_SAVED; i++)
        if (s->saved[i] != NONE) use(context, s->saved[i], fwd);
    for (int i = 0; i < ATH_MAX_IN; i++) {
        if (s->din[i] == NONE) continue;
        if (s->site.add >> i & 1) use(context, s->din[i], false);
        use(context, s->din[i], true);
    }
    if (s->scratch != NONE) use(context, s->scratch, true);
}

static ath_plan_opts with_defaults(ath_plan_opts o)
{
    if (o.n_threads < 1) o.n_threads = 1;
    if (!o.bucket_bytes) o.bucket_bytes = BUCKET_BYTES;
    if (o.beta1 == 0) o.beta1 = 0.9;
    if (o.beta2 == 0) o.beta2 = 0.999;
    if (o.eps == 0) o.eps = 1e-8f;
    return o;
}

static ath_err check_backend(const ath_net *net, ath_backend backend)
{
    const bool is64 = net->compute == ATH_F64;

    ATH_NEED(is64 == (backend == ATH_REF64), ATH_EDTYPE,
             "plan: a net that computes in %s cannot run on backend %s: f64 needs ref64 and ref64 "
             "needs f64",
             ath_dtype_name(net->compute), ath_backend_name(backend));
    return ATH_OK;
}

ath_err ath_plan_create(const ath_net *net, const ath_plan_opts *opts, ath_plan **out)
{
    ath_err err = ATH_OK;
    ath_plan *plan = NULL;

    ATH_TRY(ath_net_check(net));
    ATH_TRY(check_backend(net, opts->backend));
    ATH_TRY(ATH_NEW(1, "plan", &plan));
    plan->opts = with_defaults(*opts);
    plan->full = net->compute == ATH_F64 ? ATH_F64 : ATH_F32;
    ATH_TRY_OUT(ath_plan_schedule(plan, net));
    ATH_TRY_OUT(ath_plan_bucket(plan));
    ATH_TRY_OUT(ath_plan_bind(plan));
    ATH_TRY_OUT(ath_plan_place(plan));
    ATH_TRY_OUT(ath_plan_make_hash(plan));
    *out = plan;
    plan = NULL;
out:
    ath_plan_destroy(&plan);
    return err;
}

void ath_plan_destroy(ath_plan **plan)
{
    ath_plan *p = *plan;

    if (!p) return;
    for (int32_t i = 0; i < p->n_bounds; i++) ath_bound_release(&p->bounds[i].bound);
    ath_mem_free(&p->bufs);
    ath_mem_free(&p->steps);
    ath_mem_free(&p->bounds);
    ath_mem_free(&p->packs);
    ath_mem_free(&p->trainables);
    ath_mem_free(&p->frozen);
    ath_mem_free(&p->buckets);
    ath_arena_release(&p->arena);
    ath_mem_free(plan);
}

ath_plan_stats ath_plan_get_stats(const ath_plan *plan)
{
    return plan->stats;
}

ath_hash ath_plan_get_hash(const ath_plan *plan)
{
    return plan->hash;
}

int32_t ath_plan_trainables(const ath_plan *plan, const ath_plan_param **out)
{
    *out = plan->trainables;
    return plan->n_trainables;
}

int64_t ath_plan_bucket_span(const ath_plan *plan, int32_t i, int64_t *first)
{
    ATH_ASSERT(0 <= i && i < plan->n_buckets);
    *first = plan->buckets[i].first;
    return plan->buckets[i].count;
}

int32_t ath_plan_frozen(const ath_plan *plan, const ath_plan_param **out)
{
    *out = plan->frozen;
    return plan->n_frozen;
}
