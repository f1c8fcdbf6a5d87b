/*
 * The diffusion that training undoes: 1000 times, of which time t keeps sqrt(alpha_bar) of the
 * picture and adds sqrt(1 - alpha_bar) of noise (spec/training-semantics 5.1, 5.2, 5.4, 5.7). The
 * root of beta grows evenly from sqrt(0.00085) to sqrt(0.012).
 *
 * Twice: in double, and as diffusers has it, each step rounded to float (the last bit of a few
 * entries depends on its vector width there). Arithmetic on pictures is in float, never less.
 */
#ifndef ATH_TRAIN_DDPM_H
#define ATH_TRAIN_DDPM_H

#include "core/err.h"

enum { ATH_DDPM_TIMES = 1000 };

typedef struct ath_ddpm {
    double alpha_bar[ATH_DDPM_TIMES];
    float alpha_bar_f32[ATH_DDPM_TIMES];
    /* alpha_bar / (1 - alpha_bar) for loss weights: of the schedule before zero_terminal_snr changed
     * it, as the field has it. */
    double snr[ATH_DDPM_TIMES];
    bool like_diffusers; /* coefficients from alpha_bar_f32 */
} ath_ddpm;

typedef struct ath_ddpm_opts {
    bool zero_terminal_snr; /* stretch it so that nothing of the picture is left at time 999 */
    bool like_diffusers;
} ath_ddpm_opts;

void ath_ddpm_init(ath_ddpm *ddpm, ath_ddpm_opts opts);

/* How much of the picture, how much of the noise: both rounded to float. 0 <= t < 1000. */
typedef struct ath_ddpm_mix {
    float picture, noise;
} ath_ddpm_mix;
ath_ddpm_mix ath_ddpm_mix_of(const ath_ddpm *ddpm, int32_t t);

/* out = picture x + noise z, each operation rounded; `out` may be either. */
void ath_ddpm_add_noise(ath_ddpm_mix mix, int64_t n, const float *x, const float *z, float *out);

/* What v-prediction aims at: picture z - noise x. */
void ath_ddpm_velocity(ath_ddpm_mix mix, int64_t n, const float *x, const float *z, float *out);

#endif
