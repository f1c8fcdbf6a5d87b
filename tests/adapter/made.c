#include "tests/adapter/made.h"

#include "core/hash.h"
#include "core/rng.h"
#include "worker/model/params.h"
#include <string.h>

/* A slot a name, so that all stay valid while a file is written; no parameter here has more values. */
enum { SLOTS = 512, VALUES_MAX = 4096 };

const ath_lora made_lora = {.rank = 4, .alpha = 2, .conv_rank = 2, .conv_alpha = 1};

ath_err made_value(void *context, const char *name, const float **out)
{
    static float values[SLOTS][VALUES_MAX];
    static int n_used;
    const ath_hash h = ath_hash_of(name, strlen(name));
    const uint32_t key[2] = {(uint32_t)h.lo, (uint32_t)(h.lo >> 32)};
    float *to = values[n_used++ % SLOTS];
    uint32_t word[4];

    (void)context;
    for (uint32_t i = 0; i < VALUES_MAX / 4; i++) {
        const uint32_t counter[4] = {i, 0, 0, 0};
        ath_philox(counter, key, word);
        ath_normal4(word, to + 4 * (size_t)i);
        for (int k = 0; k < 4; k++) to[4 * i + (uint32_t)k] *= 0.15f;
    }
    *out = to;
    return ATH_OK;
}

static ath_err collect(const ath_net *net, ath_arena *arena, ath_plan_param *to, int32_t *n)
{
    const char *name = NULL;

    for (ath_val v = {0}; (v = ath_net_next_param(net, v, &name)).i;) {
        if (!strstr(name, ".own.")) continue;
        to[*n] = (ath_plan_param){.desc = ath_net_desc(net, v)};
        ATH_TRY(ath_arena_print(arena, &to[*n].name, "%s", name));
        ++*n;
    }
    return ATH_OK;
}

ath_err made_params(const ath_model_spec *spec, const ath_lora *lora, ath_arena *arena,
                    ath_plan_param **out, int32_t *n)
{
    const ath_adapter adapter = ath_lora_adapter("own", lora, 0, 0);

    *n = 0;
    ATH_TRY(ATH_ARENA_NEW(arena, 1024, out));
    for (int part = ATH_PART_TEXT; part <= ATH_PART_UNET; part++) {
        ath_net *net = NULL;
        ATH_TRY(ath_net_create(ATH_F32, &net));
        ath_net_attach(net, &adapter, 1);
        ath_params_record(net, spec, (ath_part)part);
        ath_err err = ath_net_check(net);
        if (!err) err = collect(net, arena, *out, n);
        ath_net_destroy(&net);
        ATH_TRY(err);
    }
    return ATH_OK;
}

ath_err made_write(const char *path)
{
    ath_arena arena = {0};
    ath_plan_param *params = NULL;
    int32_t n = 0;
    ath_err err = ATH_OK;

    ATH_TRY_OUT(made_params(&ath_model_tiny, &made_lora, &arena, &params, &n));
    static const ath_st_meta meta[] = {{"ss_max_train_steps", "40"}, {"ss_steps", "25"}};
    const ath_adapter_save save = {.params = params,
                                   .n_params = n,
                                   .lora = &made_lora,
                                   .dtype = ATH_ST_F16,
                                   .meta = meta,
                                   .n_meta = 2,
                                   .value = made_value};
    ATH_TRY_OUT(ath_adapter_save_file(path, &save));
out:
    ath_arena_release(&arena);
    return err;
}
