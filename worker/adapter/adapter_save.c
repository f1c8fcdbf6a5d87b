#include "core/arena.h"
#include "worker/adapter/adapter_file.h"
#include "worker/adapter/model_hash.h"
#include "worker/adapter/module.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

typedef struct saving {
    const char *path;
    const ath_adapter_save *save;
    ath_arena arena;
    ath_st_out *out; /* two tensors a module and its alpha */
    int64_t n;
} saving;

/* Below it everything rounds to a finite number. */
static float limit_of(ath_st_dtype dtype)
{
    if (dtype == ATH_ST_F16) return 65520;
    return dtype == ATH_ST_BF16 ? 0x1.ffp127f : INFINITY;
}

static ath_err need_finite(const saving *s, const ath_plan_param *p, const float *value)
{
    const float limit = limit_of(s->save->dtype);

    for (int64_t i = 0; i < ath_desc_count(&p->desc); i++)
        ATH_NEED(fabsf(value[i]) < limit, ATH_ENAN,
                 "%s: %s holds %g at %" PRId64 ", which is no finite %s; nothing was written",
                 s->path, p->name, (double)value[i], i, ath_st_dtype_name(s->save->dtype));
    return ATH_OK;
}

static ath_err add_alpha(saving *s, const char *module, const ath_plan_param *p)
{
    const ath_lora *l = s->save->lora;
    const bool is_wide = p->desc.n_dim == 4 && p->desc.dim[2] > 1;
    ath_st_out *out = &s->out[s->n];
    float *alpha = NULL;

    ATH_TRY(ath_arena_new(&s->arena, 1, sizeof *alpha, (void **)&alpha));
    *alpha = is_wide ? l->conv_alpha : l->alpha;
    *out = (ath_st_out){.dtype = s->save->dtype, .from = ATH_ST_F32, .data = alpha};
    ATH_TRY(ath_arena_print(&s->arena, &out->name, "%s.alpha", module));
    s->n++;
    return ATH_OK;
}

static ath_err add_param(saving *s, const ath_plan_param *p)
{
    char module[ATH_MODULE_BYTES];
    ath_module_param parts = {0};
    const float *value = NULL;
    ath_st_out *out = &s->out[s->n];

    ATH_NEED(ath_module_param_of(p->name, &parts) && p->desc.dtype == ATH_F32 &&
                 ath_module_name(p->name, parts.layer, module),
             ATH_EINVAL, "%s: %s is no parameter of a LoRA", s->path, p->name);
    ATH_TRY(s->save->value(s->save->context, p->name, &value));
    ATH_TRY(need_finite(s, p, value));
    *out = (ath_st_out){.dtype = s->save->dtype,
                        .from = ATH_ST_F32,
                        .n_dim = p->desc.n_dim,
                        .dim = p->desc.dim,
                        .data = value};
    ATH_TRY(ath_arena_print(&s->arena, &out->name, "%s.lora_%s.weight", module,
                            parts.is_up ? "up" : "down"));
    s->n++;
    return parts.is_up ? ATH_OK : add_alpha(s, module, p);
}

/* The old hash looks at the file as it would be with its ss_* metadata alone. */
static ath_err write_file(saving *s)
{
    const ath_adapter_save *save = s->save;
    ath_model_hash hash;
    ath_st_meta *meta = NULL;
    int32_t n_own = 0;

    ATH_TRY(ATH_ARENA_NEW(&s->arena, save->n_meta + 2, &meta));
    for (int32_t i = 0; i < save->n_meta; i++)
        if (strncmp(save->meta[i].key, "ss_", 3) == 0) meta[n_own++] = save->meta[i];
    ATH_TRY(ath_model_hash_of_tensors(s->path, s->n, s->out, n_own, meta, &hash));
    if (save->n_meta) memcpy(meta, save->meta, (size_t)save->n_meta * sizeof *meta);
    meta[save->n_meta] = (ath_st_meta){"sshs_legacy_hash", hash.window};
    meta[save->n_meta + 1] = (ath_st_meta){"sshs_model_hash", hash.sha256};
    return ath_st_write(s->path, s->n, s->out, save->n_meta + 2, meta);
}

ath_err ath_adapter_save_file(const char *path, const ath_adapter_save *save)
{
    saving s = {.path = path, .save = save};
    ath_err err = ATH_OK;

    ATH_TRY_OUT(ATH_ARENA_NEW(&s.arena, 2 * (int64_t)save->n_params, &s.out));
    for (int32_t i = 0; i < save->n_params; i++) ATH_TRY_OUT(add_param(&s, &save->params[i]));
    ATH_TRY_OUT(write_file(&s));
out:
    ath_arena_release(&s.arena);
    return err;
}
