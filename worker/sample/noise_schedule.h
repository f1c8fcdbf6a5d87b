/*
 * How much noise a picture holds, and the steps by which a sampler takes it away
 * (spec/adapters-and-formats 8.1 to 8.3; docs/sampling.md says which program each table matches).
 *
 * Two ways to write a noisy picture: x + sigma z (what Euler and its relatives step through), and the
 * same divided by sqrt(1 + sigma^2), of variance one (what the network takes, what DDIM steps
 * through). alpha_bar = 1 / (1 + sigma^2). All in double.
 */
#ifndef ATH_SAMPLE_NOISE_SCHEDULE_H
#define ATH_SAMPLE_NOISE_SCHEDULE_H

#include "core/err.h"

enum { ATH_TIMES = 1000 }; /* times of training: 0 .. 999 */

typedef struct ath_noise_schedule {
    double alpha_bar[ATH_TIMES];
    double sigma[ATH_TIMES], log_sigma[ATH_TIMES];
} ath_noise_schedule;

/* Stable Diffusion's: the root of beta grows evenly from sqrt(0.00085) to sqrt(0.012). */
void ath_noise_schedule_init(ath_noise_schedule *s);

/* Between the times log sigma is linear. A sigma outside the table gives its end. */
double ath_sigma_of_time(const ath_noise_schedule *s, double t);
double ath_time_of_sigma(const ath_noise_schedule *s, double sigma);

typedef enum ath_sampler {
    ATH_SAMPLER_DDIM,
    ATH_SAMPLER_EULER,
    ATH_SAMPLER_EULER_A,
    ATH_SAMPLER_DPMPP_2M,
    ATH_N_SAMPLERS
} ath_sampler;

/* Where the steps lie: name, what the WebUI calls it (NULL: it has none such). */
#define ATH_SPACING_MAP(X)                                                                       \
    X(AUTO, "auto", NULL) /* DDIM leading, Euler and Euler a uniform, DPM++ 2M karras */         \
    X(UNIFORM, "uniform", "Uniform")             /* even in time, 999 to 0, times not rounded */ \
    X(KARRAS, "karras", "Karras")                /* even in sigma^(1/7) */                       \
    X(EXPONENTIAL, "exponential", "Exponential") /* even in log sigma */                         \
    X(SGM_UNIFORM, "sgm_uniform", "SGM Uniform") /* even in time, 0 itself left out */           \
    X(LEADING, "leading", NULL)                  /* diffusers, steps_offset 1 */                 \
    X(LINSPACE, "linspace", NULL)                /* diffusers */                                 \
    X(TRAILING, "trailing", NULL)                /* diffusers */                                 \
    X(DDIM, "ddim", "DDIM")                      /* the WebUI's DDIM: one call less than steps */

typedef enum ath_spacing {
#define ATH_SPACING_ENUM(name, text, webui) ATH_SPACING_##name,
    ATH_SPACING_MAP(ATH_SPACING_ENUM)
#undef ATH_SPACING_ENUM
        ATH_N_SPACINGS
} ath_spacing;

/* "karras", "Karras"; the second NULL where the WebUI has none such. */
const char *ath_spacing_name(ath_spacing spacing);
const char *ath_spacing_webui(ath_spacing spacing);

/* What AUTO is for a sampler; others are themselves. */
ath_spacing ath_spacing_resolve(ath_spacing spacing, ath_sampler sampler);

/* Step i goes from sigma[i] to sigma[i + 1]; the network is asked once, at time[i]. */
typedef struct ath_steps {
    int32_t n;
    double time[ATH_TIMES];
    double
        sigma[ATH_TIMES + 1]; /* falling; the last is 0, or above it where the peer stops there */
    double start;             /* standard normal numbers times this are where the sampler begins */
} ath_steps;

/* The steps of a sampler. `n` is what people call "steps": 1 .. 1000; ATH_EINVAL where this spacing
 * cannot have so many or so few. */
ATH_MUST ath_err ath_steps_init(ath_steps *steps, const ath_noise_schedule *s, ath_sampler sampler,
                                ath_spacing spacing, int32_t n);

#endif
