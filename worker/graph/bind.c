/*
 * The pass "bind": a kernel for every step, its algorithm, its scratch, and the private layouts of
 * frozen weights it wants. Equal sites share one binding, so a U-Net of a thousand steps makes a few
 * hundred.
 */
#include "core/mem.h"
#include "worker/graph/plan_private.h"
#include <string.h>

static bool is_same_site(const ath_site *a, const ath_site *b)
{
    ath_site x = *a, y = *b;

    if (a->op != b->op) return false;
    if (a->op->attr_bytes && memcmp(a->attr, b->attr, a->op->attr_bytes) != 0) return false;
    x.attr = y.attr = NULL;
    return memcmp(&x, &y, sizeof x) == 0;
}

static ath_err add_binding(ath_plan *plan, const step *s, int32_t *out)
{
    const ath_op *op = s->site.op;
    const ath_kernel *kernel = ath_op_kernel(op, s->site.pass, plan->opts.backend);
    binding b = {.site = s->site, .kernel = kernel};

    ATH_NEED(kernel, ATH_ENOTSUP, "%s: %s has no %s kernel for backend %s (recorded at %s:%d)",
             s->path, op->name, s->site.pass == ATH_FWD ? "forward" : "backward",
             ath_backend_name(plan->opts.backend), s->file, s->line);
    ATH_TRY(ath_mem_grow(&plan->bounds, plan->n_bounds, &plan->bounds_room, sizeof *plan->bounds,
                         "bindings"));
    ATH_TRY(ath_site_bind(&s->site, kernel, &b.bound));
    plan->bounds[plan->n_bounds] = b;
    *out = plan->n_bounds++;
    return ATH_OK;
}

static ath_err bind_step(ath_plan *plan, step *s)
{
    for (int32_t i = 0; i < plan->n_bounds; i++) {
        if (!is_same_site(&plan->bounds[i].site, &s->site)) continue;
        s->bound = i;
        return ATH_OK;
    }
    return add_binding(plan, s, &s->bound);
}

/* Frozen weights are listed in the order in which steps first read them. */
static ath_err list_frozen(ath_plan *plan, int64_t *room)
{
    for (int32_t i = 0; i < plan->n_steps; i++) {
        for (int k = 0; k < ATH_MAX_IN; k++) {
            buf *b = plan->steps[i].in[k] == NONE ? NULL : &plan->bufs[plan->steps[i].in[k]];
            if (!b || b->home != IN_FROZEN || b->index != NONE) continue;
            ATH_TRY(ath_mem_grow(&plan->frozen, plan->n_frozen, room, sizeof *plan->frozen,
                                 "frozen weights"));
            plan->frozen[plan->n_frozen] = (ath_plan_param){b->name, b->desc, 0, NONE};
            b->index = plan->n_frozen++;
            plan->stats.frozen_bytes += b->bytes;
        }
    }
    return ATH_OK;
}

static ath_err find_pack(ath_plan *plan, const step *s, int operand, int32_t *out)
{
    const ath_packing *want = &plan->bounds[s->bound].bound.pack[operand];
    const int32_t frozen = plan->bufs[s->in[operand]].index;

    for (*out = 0; *out < plan->n_packs; ++*out)
        if (plan->packs[*out].frozen == frozen && plan->packs[*out].key == want->key) return ATH_OK;
    ATH_TRY(ath_mem_grow(&plan->packs, plan->n_packs, &plan->packs_room, sizeof *plan->packs,
                         "packed weights"));
    plan->packs[plan->n_packs++] = (pack){frozen, want->key, want->bytes, s->bound, operand};
    plan->stats.packed_bytes += want->bytes;
    return ATH_OK;
}

static ath_err add_packs(ath_plan *plan, int32_t i)
{
    int32_t which = NONE;

    for (int k = 0; k < ATH_MAX_IN; k++) {
        step *s = &plan->steps[i];
        if (s->in[k] == NONE || !plan->bounds[s->bound].bound.pack[k].bytes) continue;
        ATH_ASSERT(plan->bufs[s->in[k]].home == IN_FROZEN);
        ATH_TRY(find_pack(plan, s, k, &which));
        buf b = {.home = IN_PACKED,
                 .name = plan->bufs[s->in[k]].name,
                 .bytes = plan->packs[which].bytes};
        ATH_TRY(ath_plan_add_buf(plan, b, &s->pack[k]));
        plan->bufs[s->pack[k]].index = which;
    }
    return ATH_OK;
}

ath_err ath_plan_bind(ath_plan *plan)
{
    int64_t room = 0;

    ATH_TRY(list_frozen(plan, &room));
    for (int32_t i = 0; i < plan->n_steps; i++) {
        step *s = &plan->steps[i];
        if (s->kind != STEP_RUN) continue;
        ATH_TRY(bind_step(plan, s));
        ATH_TRY(add_packs(plan, i));
        const size_t scratch = plan->bounds[s->bound].bound.scratch_bytes;
        if (scratch)
            ATH_TRY(
                ath_plan_add_buf(plan, (buf){.name = "scratch", .bytes = scratch}, &s->scratch));
        if (s->site.op->flop) plan->stats.flop += s->site.op->flop(&s->site);
    }
    return ATH_OK;
}
