#include "cli/cmd.h"
#include "cli/target.h"
#include "worker/model/base.h"
#include <stddef.h>

typedef struct values {
    int64_t layout, dtype;
    bool force;
} values;

static const ath_opt opts[] = {
    {"dtype", ATH_OPT_WORD, offsetof(values, dtype), "same|fp32|fp16|bf16", "same",
     "of the weights; same: each tensor as it is"},
    {"layout", ATH_OPT_WORD, offsetof(values, layout), ATH_TARGET_LAYOUTS, "auto",
     "single file or diffusers folder; auto: a file where OUT ends in .safetensors"},
    {"force", ATH_OPT_SWITCH, offsetof(values, force), .help = "replace OUT"},
    {0},
};

static const ath_st_dtype dtypes[] = {ATH_N_ST_DTYPES, ATH_ST_F32, ATH_ST_F16, ATH_ST_BF16};

static ath_err find(void *context, ath_part part, const char *name, ath_st_tensor *out)
{
    const ath_st_tensor *t = NULL;

    ATH_TRY(ath_base_find(context, part, name, &t));
    *out = *t;
    return ATH_OK;
}

static ath_err run(const void *given, int n_args, char **args)
{
    const values *v = given;
    ath_layout layout;
    ath_base *base = NULL;

    (void)n_args;
    ATH_TRY(ath_target_layout(args[1], v->layout, v->force, &layout));
    ATH_TRY(ath_base_open(args[0], &base));
    const ath_save_from from = {.find = find, .context = base};
    ath_err err = ath_model_save(args[1], layout, ath_base_spec(base), dtypes[v->dtype], &from);
    ath_base_close(&base);
    return err;
}

const ath_cmd ath_cmd_convert = {
    .name = "convert",
    .args = "IN OUT",
    .help = "writes a model in another layout or type: single file, diffusers folder, .ckpt in",
    .min_args = 2,
    .max_args = 2,
    .opts = opts,
    .values_bytes = sizeof(values),
    .run = run,
};
