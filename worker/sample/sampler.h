/*
 * Samplers: from noise to a latent, step by step (spec/adapters-and-formats 8.4). They know no
 * network: a callback predicts. Whoever has something that predicts noise can draw with them:
 * pictures, previews while training, grids.
 */
#ifndef ATH_SAMPLE_SAMPLER_H
#define ATH_SAMPLE_SAMPLER_H

#include "worker/sample/noise_schedule.h"

/* "ddim", "DDIM" as the WebUI writes it. */
const char *ath_sampler_name(ath_sampler sampler);
const char *ath_sampler_webui(ath_sampler sampler);

/* What the network answers: the noise, or the velocity sqrt(a) noise - sqrt(1 - a) picture. */
typedef enum ath_prediction { ATH_PREDICTS_NOISE, ATH_PREDICTS_VELOCITY } ath_prediction;

/* The answer to `x` [n], of variance one, at time t (not whole with some spacings), into `out` [n].
 * Called once a step; an error ends the sampling. */
typedef ath_err ath_predict_fn(void *context, const float *x, double t, float *out);

/* Fresh standard normal numbers [n], for samplers that add noise. Called in the order of the steps,
 * only where a step needs some. */
typedef ath_err ath_fresh_noise_fn(void *context, float *out);

typedef struct ath_sampling {
    ath_sampler sampler;
    const ath_steps *steps; /* made for this sampler */
    ath_prediction prediction;
    double eta; /* share of noise that is added anew: DDIM, mostly 0; Euler a, mostly 1 */
    ath_predict_fn *predict;
    ath_fresh_noise_fn *fresh_noise; /* may be NULL where nothing is added */
    void *context;
} ath_sampling;

/* `x` [n]: standard normal numbers in, the latent out (what the autoencoder's scale is taken off).
 * Element by element, in double, rounded to float after each step: the bits depend on the elements
 * and the predictions alone. */
ATH_MUST ath_err ath_sampler_run(const ath_sampling *s, int64_t n, float *x);

#endif
