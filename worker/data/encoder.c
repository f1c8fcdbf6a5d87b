#include "worker/data/encoder.h"

#include "core/mem.h"
#include <math.h>

struct ath_encoder {
    ath_latents_opts opts;
    ath_device *device, *own_device;
    ath_weights *weights;
    int32_t width, height; /* compiled for; 0: for none */
    ath_plan *plan;
    ath_exec *exec;
};

ath_err ath_encoder_create(const ath_latents_opts *opts, ath_encoder **out)
{
    ath_encoder *e = NULL;
    ath_err err = ATH_OK;

    ATH_TRY_OUT(ATH_NEW(1, "encoder", &e));
    e->opts = *opts;
    e->device = opts->device;
    if (!e->device) {
        ATH_TRY_OUT(ath_device_create_host(&e->own_device));
        e->device = e->own_device;
    }
    ATH_TRY_OUT(ath_weights_create(e->device, &e->weights));
    *out = e;
    e = NULL;
out:
    ath_encoder_destroy(&e);
    return err;
}

static void drop_size(ath_encoder *e)
{
    ath_exec_destroy(&e->exec);
    ath_plan_destroy(&e->plan);
    e->width = e->height = 0;
}

void ath_encoder_destroy(ath_encoder **encoder)
{
    ath_encoder *e = *encoder;

    if (!e) return;
    drop_size(e);
    ath_weights_destroy(&e->weights);
    ath_device_destroy(&e->own_device);
    ath_mem_free(encoder);
}

static ath_err compile(ath_encoder *e, int32_t width, int32_t height)
{
    const ath_plan_opts plan_opts = {.backend = e->opts.backend, .n_threads = e->opts.n_threads};
    const ath_exec_opts exec_opts = {.weights = e->weights};
    const ath_desc picture = {ATH_VAE_DTYPE, 4, {1, height, width, e->opts.spec.channels}};
    ath_net *net = NULL;
    ath_err err = ATH_OK;

    ATH_TRY_OUT(ath_net_create(ATH_VAE_DTYPE, &net));
    ath_net_keep(net, "moments",
                 ath_vae_encode(net, &e->opts.spec, ath_net_input(net, "picture", picture)));
    ATH_TRY_OUT(ath_plan_create(net, &plan_opts, &e->plan));
    ATH_TRY_OUT(e->opts.load(e->opts.load_context, e->plan, e->weights));
    ATH_TRY_OUT(ath_exec_create(e->plan, e->device, &exec_opts, &e->exec));
    e->width = width;
    e->height = height;
out:
    ath_net_destroy(&net);
    if (err) drop_size(e);
    return err;
}

ath_err ath_encoder_run(ath_encoder *e, int32_t width, int32_t height, const float *picture,
                        float *moments)
{
    const ath_vae_spec *spec = &e->opts.spec;
    const int32_t side = 1 << (spec->n_levels - 1);
    const size_t n = (size_t)(width / side) * (size_t)(height / side) * 2 * (size_t)spec->latents;
    const size_t pixels = (size_t)width * (size_t)height * (size_t)spec->channels;

    if (e->width != width || e->height != height) {
        drop_size(e);
        ATH_TRY(compile(e, width, height));
    }
    ATH_TRY(ath_exec_write(e->exec, "picture", picture, pixels * sizeof *picture));
    ATH_TRY(ath_exec_run(e->exec, ATH_PHASE_GRAD));
    ATH_TRY(ath_exec_read(e->exec, "moments", moments, n * sizeof *moments));
    for (size_t i = 0; i < n; i++)
        ATH_NEED(isfinite(moments[i]), ATH_ENAN,
                 "the autoencoder's answer is not finite; its weights are damaged or not an "
                 "autoencoder's");
    return ATH_OK;
}
