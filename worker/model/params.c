#include "worker/model/params.h"

void ath_params_record(ath_net *n, const ath_model_spec *spec, ath_part part)
{
    const int64_t u = INT64_C(1) << spec->unet.n_levels, v = INT64_C(1) << spec->vae.n_levels;

    if (part == ATH_PART_TEXT) {
        ath_val ids = ath_net_input(n, "ids", (ath_desc){ATH_I32, 2, {1, 1}});
        ath_text_encoder(n, &spec->text, ids, 1);
    } else if (part == ATH_PART_UNET) {
        const ath_desc image = {ATH_F32, 4, {1, u, u, spec->unet.in_channels}};
        ath_val x = ath_net_input(n, "x", image);
        ath_val t = ath_net_input(n, "t", (ath_desc){ATH_F32, 1, {1}});
        const ath_desc states = {ATH_F32, 3, {1, 1, spec->unet.context_width}};
        ath_unet(n, &spec->unet, x, t, ath_net_input(n, "context", states));
    } else {
        const ath_desc picture = {ATH_F32, 4, {1, v, v, spec->vae.channels}};
        const ath_desc latent = {ATH_F32, 4, {1, 2, 2, spec->vae.latents}};
        ath_vae_encode(n, &spec->vae, ath_net_input(n, "picture", picture));
        ath_vae_decode(n, &spec->vae, ath_net_input(n, "latent", latent));
    }
}

static ath_err copy(const ath_net *n, ath_arena *arena, const ath_param **out, int32_t *n_out)
{
    const char *name = NULL;
    ath_param *rows = NULL;
    int32_t count = 0;
    ath_val v = {0};

    while ((v = ath_net_next_param(n, v, &name)).i) count++;
    ATH_TRY(ATH_ARENA_NEW(arena, count, &rows));
    for (ath_param *p = rows; (v = ath_net_next_param(n, v, &name)).i; p++) {
        const ath_desc desc = ath_net_desc(n, v);
        ATH_TRY(ath_arena_print(arena, &p->name, "%s", name));
        p->n_dim = desc.n_dim;
        for (int i = 0; i < desc.n_dim; i++) p->dim[i] = desc.dim[i];
    }
    *out = rows;
    *n_out = count;
    return ATH_OK;
}

ath_err ath_params_list(const ath_model_spec *spec, ath_part part, ath_arena *arena,
                        const ath_param **out, int32_t *n)
{
    ath_net *net = NULL;
    ath_err err = ATH_OK;

    ATH_TRY(ath_net_create(ATH_F32, &net));
    ath_params_record(net, spec, part);
    ATH_TRY_OUT(ath_net_check(net));
    ATH_TRY_OUT(copy(net, arena, out, n));
out:
    ath_net_destroy(&net);
    return err;
}

int64_t ath_param_count(const ath_param *p)
{
    int64_t count = 1;

    for (int i = 0; i < p->n_dim; i++) count *= p->dim[i];
    return count;
}

ath_dtype ath_param_dtype(ath_st_dtype dtype)
{
    if (dtype == ATH_ST_F32) return ATH_F32;
    if (dtype == ATH_ST_F64) return ATH_F64;
    if (dtype == ATH_ST_F16) return ATH_F16;
    return dtype == ATH_ST_BF16 ? ATH_BF16 : ATH_NONE;
}
