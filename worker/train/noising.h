/*
 * From a latent's moments to what a step is fed: sample, noise, time, noisy latent, target, weight
 * (spec/training-semantics 4, 5). A function of the job and of the sample's name alone, in float; so a
 * sample is the same on any number of ranks and in any cut of a batch.
 */
#ifndef ATH_TRAIN_NOISING_H
#define ATH_TRAIN_NOISING_H

#include "proto/job.pb-c.h"
#include "worker/train/ddpm.h"
#include "worker/train/extra_noise.h"
#include "worker/train/loss_weight.h"

typedef struct ath_noising {
    ath_ddpm ddpm;
    ath_times times;
    ath_offset_opts offset;
    ath_pyramid_opts pyramid;
    ath_loss_opts loss;
    float scale; /* of latents (ath_vae_spec) */
} ath_noising;

/* EJOB where the job asks for what cannot be. */
ATH_MUST ath_err ath_noising_init(const Athanor__Job *job, float scale, ath_noising *out);

typedef struct ath_noising_in {
    ath_latent_shape shape;
    const float *moments; /* [h, w, 2 c] */
    ath_draw draw;        /* of this use */
    ath_draw latent;      /* of the autoencoder's sample: of the picture, or of this use */
    bool is_mirrored, is_regularization;
} ath_noising_in;

/* x, target and scratch [h, w, c]. `*weight` is that of the sample's loss before it is shared out. */
typedef struct ath_noising_out {
    float *x, *target, *scratch;
    int32_t time;
    double weight;
} ath_noising_out;
void ath_noising_make(const ath_noising *noising, const ath_noising_in *in, ath_noising_out *out);

#endif
