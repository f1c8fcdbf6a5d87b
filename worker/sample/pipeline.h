/*
 * From a prompt to pictures: encode, denoise under guidance, decode (docs/sampling.md). The bits of a
 * picture follow from the model, the recipe, its seed, how many are in its batch and its place among
 * them: neither from its neighbours' seeds nor from what was drawn before.
 */
#ifndef ATH_SAMPLE_PIPELINE_H
#define ATH_SAMPLE_PIPELINE_H

#include "core/io/image.h"
#include "core/text/prompt.h"
#include "worker/sample/networks.h"
#include "worker/sample/sampler.h"
#include "worker/sample/start_noise.h"

enum { ATH_PICTURES_MAX = 64, ATH_SIDE_STEP = 8 };

/* Everything that makes a batch of pictures of one prompt; they differ in their seeds. */
typedef struct ath_recipe {
    const char *prompt, *negative; /* negative: "" where there is none */
    double cfg;                    /* guidance; 1: the negative prompt is not asked */
    int32_t width, height;         /* in pixels, multiples of ATH_SIDE_STEP */
    int32_t n_steps;
    ath_sampler sampler;
    ath_spacing spacing;
    ath_prediction prediction;
    double eta;
    ath_noise_kind noise;
} ath_recipe;

/* ATH_EINVAL where no picture can be made so, for any model. */
ATH_MUST ath_err ath_recipe_check(const ath_recipe *recipe);

typedef struct ath_pipeline_opts {
    ath_networks_opts networks;
    /* told after each step; may be NULL */
    void (*progress)(void *context, int32_t step, int32_t n_steps);
    void *progress_context;
} ath_pipeline_opts;

typedef struct ath_pipeline ath_pipeline;
ATH_MUST ath_err ath_pipeline_create(const ath_pipeline_opts *opts, ath_pipeline **out);
void ath_pipeline_destroy(ath_pipeline **pipeline);

/* Draws n pictures, seeds[i] for images[i], in one batch; the caller releases the images. */
ATH_MUST ath_err ath_pipeline_draw(ath_pipeline *pipeline, const ath_recipe *recipe, int32_t n,
                                   const uint64_t *seeds, ath_image *images);

/* Text states as they enter the U-Net; chunks of ATH_CHUNK tokens. */
typedef struct ath_states {
    int32_t n_tokens;
    float *negative, *prompt; /* [n_tokens, width] */
} ath_states;

/* The middle of it: `x` [n, h, w, latents] is standard normal noise and becomes the latents.
 * `sources` [n] give the noise that samplers add; NULL where they add none. */
ATH_MUST ath_err ath_pipeline_denoise(ath_pipeline *pipeline, const ath_recipe *recipe, int32_t n,
                                      const ath_states *states, ath_noise_source *sources,
                                      float *x);

/* The end of it: one latent to 8 bits by clamping and rounding; after a denoise of this size. */
ATH_MUST ath_err ath_pipeline_decode(ath_pipeline *pipeline, const ath_recipe *recipe,
                                     const float *latent, ath_image *out);

#endif
