#include "worker/train/noising.h"

#include "worker/train/posterior.h"
#include <string.h>

ath_err ath_noising_init(const Athanor__Job *job, float scale, ath_noising *out)
{
    const Athanor__Noise *noise = job->noise;
    const Athanor__Train *train = job->train;

    out->times = (ath_times){(int32_t)noise->min_timestep, (int32_t)noise->max_timestep};
    out->offset = (ath_offset_opts){.offset = noise->offset};
    out->pyramid = (ath_pyramid_opts){(int32_t)noise->pyramid_iterations, noise->pyramid_discount};
    out->loss = (ath_loss_opts){.v_prediction = train->v_prediction,
                                .prior_weight = train->prior_loss_weight,
                                .min_snr_gamma = train->min_snr_gamma};
    out->scale = scale;
    ATH_TRY(ath_times_check(out->times));
    ATH_TRY(ath_loss_check(&out->loss));
    ath_ddpm_init(&out->ddpm, (ath_ddpm_opts){0});
    return ATH_OK;
}

/* The scaled sample of the autoencoder. */
static void take_sample(const ath_noising *noising, const ath_noising_in *in, int64_t n, float *x)
{
    const ath_draw_kind kind = in->is_mirrored ? ATH_DRAW_LATENT_MIRRORED : ATH_DRAW_LATENT;

    ath_draw_normals(&in->latent, kind, 0, n, x);
    ath_posterior_sample((int64_t)in->shape.h * in->shape.w, in->shape.c, in->moments, x, x);
    for (int64_t i = 0; i < n; i++) x[i] *= noising->scale;
}

void ath_noising_make(const ath_noising *noising, const ath_noising_in *in, ath_noising_out *out)
{
    const int64_t n = (int64_t)in->shape.h * in->shape.w * in->shape.c;
    float *noise = out->target;

    take_sample(noising, in, n, out->x);
    ath_draw_normals(&in->draw, ATH_DRAW_NOISE, 0, n, noise);
    ath_noise_offset(&in->draw, noising->offset, in->shape, out->x, noise);
    ath_noise_pyramid(&in->draw, noising->pyramid, in->shape, out->scratch, noise);
    out->time = ath_draw_time(&in->draw, noising->times);
    out->weight =
        ath_loss_weight(&noising->loss, noising->ddpm.snr[out->time], in->is_regularization);
    const ath_ddpm_mix mix = ath_ddpm_mix_of(&noising->ddpm, out->time);
    if (noising->loss.v_prediction) ath_ddpm_velocity(mix, n, out->x, noise, out->scratch);
    ath_ddpm_add_noise(mix, n, out->x, noise, out->x);
    if (noising->loss.v_prediction) memcpy(out->target, out->scratch, (size_t)n * sizeof(float));
}
