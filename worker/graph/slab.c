#include "core/arena.h"
#include "core/mem.h"
#include "worker/graph/exec_private.h"
#include <inttypes.h>
#include <string.h>

struct ath_slab {
    ath_stream *stream;
    ath_arena arena;
    ath_plan_param *params; /* names in the arena */
    int32_t n_params;
    size_t element;
    ath_buf part[ATH_N_SLAB_PARTS]; /* moments: {0} where the plan has no update */
};

static bool has_update(const ath_plan *plan)
{
    for (int32_t i = 0; i < plan->n_steps; i++)
        if (plan->steps[i].is_update) return true;
    return false;
}

static ath_err fill(ath_slab *slab, ath_device *device, const ath_plan *plan)
{
    const size_t bytes = (size_t)plan->slab_count * ath_dtype_bytes(plan->full);

    slab->element = ath_dtype_bytes(plan->full);
    ATH_TRY(ath_stream_create(device, &slab->stream));
    ATH_TRY(ATH_NEW(plan->n_trainables, "trainables", &slab->params));
    for (int32_t i = 0; i < plan->n_trainables; i++) {
        slab->params[i] = plan->trainables[i];
        ATH_TRY(
            ath_arena_print(&slab->arena, &slab->params[i].name, "%s", plan->trainables[i].name));
    }
    slab->n_params = plan->n_trainables;
    for (int i = 0; i < (has_update(plan) ? ATH_N_SLAB_PARTS : ATH_MOMENT1); i++) {
        ATH_TRY(ath_buf_create(device, bytes, "trainable parameters", &slab->part[i]));
        ATH_TRY(ath_buf_zero(slab->stream, slab->part[i], 0, bytes));
    }
    return ath_stream_sync(slab->stream);
}

ath_err ath_slab_create(ath_device *device, const ath_plan *plan, ath_slab **out)
{
    ath_slab *slab = NULL;

    ATH_TRY(ATH_NEW(1, "slab", &slab));
    ath_err err = fill(slab, device, plan);
    if (err)
        ath_slab_destroy(&slab);
    else
        *out = slab;
    return err;
}

void ath_slab_destroy(ath_slab **slab)
{
    ath_slab *s = *slab;

    if (!s) return;
    for (int i = 0; i < ATH_N_SLAB_PARTS; i++) ath_buf_release(&s->part[i]);
    ath_stream_destroy(&s->stream);
    ath_mem_free(&s->params);
    ath_arena_release(&s->arena);
    ath_mem_free(slab);
}

static ath_err find(const ath_slab *slab, ath_slab_part part, const char *name, size_t bytes,
                    size_t *offset)
{
    char text[ATH_DESC_TEXT];

    ATH_NEED(slab->part[part].address, ATH_EMISSING,
             "parameter %s: the slab has no moments, it was made for a plan without update", name);
    for (int32_t i = 0; i < slab->n_params; i++) {
        const ath_plan_param *p = &slab->params[i];
        if (strcmp(p->name, name) != 0) continue;
        ATH_NEED(bytes == ath_desc_bytes(&p->desc), ATH_ESHAPE,
                 "parameter %s is %s: %zu bytes given, wanted %zu", name,
                 ath_desc_print(&p->desc, text), bytes, ath_desc_bytes(&p->desc));
        *offset = (size_t)p->offset * slab->element;
        return ATH_OK;
    }
    return ath_raise(ATH_EMISSING, "no trainable parameter %s", name);
}

ath_err ath_slab_write(ath_slab *slab, ath_slab_part part, const char *name, const void *host,
                       size_t bytes)
{
    size_t offset = 0;

    ATH_TRY(find(slab, part, name, bytes, &offset));
    ATH_TRY(ath_buf_write(slab->stream, slab->part[part], offset, host, bytes));
    return ath_stream_sync(slab->stream);
}

ath_err ath_slab_read(ath_slab *slab, ath_slab_part part, const char *name, void *host,
                      size_t bytes)
{
    size_t offset = 0;

    ATH_TRY(find(slab, part, name, bytes, &offset));
    return ath_buf_read(slab->stream, slab->part[part], offset, host, bytes);
}

ath_err ath_slab_fit(const ath_slab *slab, const ath_plan *plan)
{
    ATH_NEED(slab && slab->n_params == plan->n_trainables, ATH_ESHAPE,
             "slab: holds %" PRId32 " parameters, the plan wants %" PRId32,
             slab ? slab->n_params : 0, plan->n_trainables);
    ATH_NEED(slab->part[ATH_MOMENT1].address || !has_update(plan), ATH_EMISSING,
             "slab: has no moments, the plan updates: make the slab for a plan that does");
    for (int32_t i = 0; i < slab->n_params; i++) {
        const ath_plan_param *have = &slab->params[i], *want = &plan->trainables[i];
        ATH_NEED(strcmp(have->name, want->name) == 0 && have->offset == want->offset &&
                     have->bucket == want->bucket && ath_desc_is_equal(&have->desc, &want->desc),
                 ATH_ESHAPE,
                 "slab: parameter %" PRId32 " is %s at %" PRId64 ", the plan wants %s at %" PRId64,
                 i, have->name, have->offset, want->name, want->offset);
    }
    return ATH_OK;
}

ath_buf ath_slab_part_of(const ath_slab *slab, ath_slab_part part)
{
    return slab->part[part];
}
