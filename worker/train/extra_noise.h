/*
 * Noise with more than white in it: offset, pyramid (multires), input perturbation
 * (spec/training-semantics 5.2, 5.3). Arrays are one sample [h,w,c], channels last.
 *
 * Where peers draw a strength or take a standard deviation over a batch, here each sample is on its
 * own: what it sees does not depend on its neighbours, nor on how a batch was cut. Offset before
 * pyramid where both are wanted.
 */
#ifndef ATH_TRAIN_EXTRA_NOISE_H
#define ATH_TRAIN_EXTRA_NOISE_H

#include "worker/train/draws.h"

typedef struct ath_latent_shape {
    int32_t h, w, c;
} ath_latent_shape;

typedef struct ath_offset_opts {
    double offset;           /* 0: off */
    double adaptive;         /* more by this times |mean of the latent's channel|; not below 0 */
    bool is_random_strength; /* offset times a number in [0, 1) */
} ath_offset_opts;

/* noise += strength * one normal number per channel. `x0` is read where adaptive is not 0. */
void ath_noise_offset(const ath_draw *draw, ath_offset_opts opts, ath_latent_shape shape,
                      const float *x0, float *noise);

typedef struct ath_pyramid_opts {
    int32_t iterations; /* 0: off; at most 63 */
    double discount;
} ath_pyramid_opts;

/* Adds smaller and smaller normal noise, made large again between pixel centres, each level times
 * discount^level; then divides by the standard deviation (of n - 1) of the sample. `scratch` is as
 * large as the noise. */
void ath_noise_pyramid(const ath_draw *draw, ath_pyramid_opts opts, ath_latent_shape shape,
                       float *scratch, float *noise);

/* noise += strength * normal: for the noisy latent alone, not for the target. */
void ath_noise_perturb(const ath_draw *draw, double gamma, bool is_random_strength, int64_t n,
                       float *noise);

#endif
