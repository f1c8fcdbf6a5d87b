#include "cli/cmd.h"
#include "cli/target.h"
#include "core/io/file.h"
#include "core/mem.h"
#include "worker/model/config.h"
#include "worker/model/init.h"
#include <stddef.h>
#include <string.h>

enum { SPEC_BYTES_MAX = 1 << 20 };

typedef struct values {
    const char *spec;
    int64_t seed, layout, dtype, vae;
    bool force;
} values;

static const ath_opt opts[] = {
    {"spec", ATH_OPT_TEXT, offsetof(values, spec), "sd15|tiny|FILE", "sd15",
     "which network; FILE holds the numbers as JSON"},
    {"seed", ATH_OPT_INT, offsetof(values, seed), "0..9223372036854775807", "0",
     "of the random numbers: the same seed gives the same weights in either layout"},
    {"layout", ATH_OPT_WORD, offsetof(values, layout), ATH_TARGET_LAYOUTS, "auto",
     "single file or diffusers folder; auto: a file where OUT ends in .safetensors"},
    {"dtype", ATH_OPT_WORD, offsetof(values, dtype), "fp32|fp16|bf16", "fp32", "of the weights"},
    {"vae", ATH_OPT_WORD, offsetof(values, vae), "random|box", "random",
     "the autoencoder; box: constructed, means over squares of pixels, so that small models that "
     "are "
     "trained from nothing draw clear pictures"},
    {"force", ATH_OPT_SWITCH, offsetof(values, force), .help = "replace OUT"},
    {0},
};

static const ath_st_dtype dtypes[] = {ATH_ST_F32, ATH_ST_F16, ATH_ST_BF16};

static ath_err read_spec(const char *which, ath_model_spec *out)
{
    char *text = NULL;
    size_t n = 0;

    if (strcmp(which, "sd15") == 0 || strcmp(which, "tiny") == 0) {
        *out = which[0] == 's' ? ath_model_sd15 : ath_model_tiny;
        return ATH_OK;
    }
    ATH_TRY(ath_file_read(which, SPEC_BYTES_MAX, &text, &n));
    ath_err err = ath_spec_parse(which, text, n, out);
    ath_mem_free(&text);
    return err;
}

static ath_err run(const void *given, int n_args, char **args)
{
    const values *v = given;
    ath_model_spec spec;
    ath_layout layout;
    ath_init *init = NULL;

    (void)n_args;
    ATH_TRY(ath_target_layout(args[0], v->layout, v->force, &layout));
    ATH_TRY(read_spec(v->spec, &spec));
    ATH_TRY(ath_init_create(&spec, (uint64_t)v->seed, dtypes[v->dtype], &init));
    const ath_save_from from = {.find = ath_init_find, .context = init};
    ath_err err = v->vae ? ath_init_use_box(init) : ATH_OK;
    if (!err) err = ath_model_save(args[0], layout, &spec, dtypes[v->dtype], &from);
    ath_init_destroy(&init);
    return err;
}

const ath_cmd ath_cmd_init = {
    .name = "init",
    .args = "OUT",
    .help = "writes a model with fresh random weights (as diffusers makes them: no layer at zero)",
    .min_args = 1,
    .max_args = 1,
    .opts = opts,
    .values_bytes = sizeof(values),
    .run = run,
};
