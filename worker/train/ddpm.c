#include "worker/train/ddpm.h"

#include <math.h>

enum { N = ATH_DDPM_TIMES };

/* Moves sqrt(alpha_bar) so that its last value is 0 and its first stays. The steps between are taken
 * from the moved values and multiplied up again, as peers do. */
static void stretch(double *alpha_bar)
{
    const double first = sqrt(alpha_bar[0]), last = sqrt(alpha_bar[N - 1]);
    double before = 1, product = 1;

    for (int t = 0; t < N; t++) {
        const double root = (sqrt(alpha_bar[t]) - last) * (first / (first - last));
        const double beta = 1 - root * root / before;
        before = root * root;
        product *= 1 - beta;
        alpha_bar[t] = product;
    }
}

static void stretch_f32(float *alpha_bar)
{
    const float first = sqrtf(alpha_bar[0]), last = sqrtf(alpha_bar[N - 1]);
    float before = 1;
    double product = 1;

    for (int t = 0; t < N; t++) {
        const float root = (sqrtf(alpha_bar[t]) - last) * (first / (first - last));
        const float beta = 1 - root * root / before;
        before = root * root;
        product *= (double)(1 - beta);
        alpha_bar[t] = (float)product;
    }
}

void ath_ddpm_init(ath_ddpm *d, ath_ddpm_opts opts)
{
    const double first = sqrt(0.00085), last = sqrt(0.012);
    const float first_f32 = (float)first, last_f32 = (float)last;
    const float step_f32 = (last_f32 - first_f32) / (N - 1);
    double product = 1, product_f32 = 1;

    for (int t = 0; t < N; t++) {
        const double root = first + (last - first) * t / (N - 1);
        product *= 1 - root * root;
        d->alpha_bar[t] = product;
        d->snr[t] = product / (1 - product);
        /* an even row in float is counted from the nearer end; products run in double and are
         * rounded where they are kept */
        const float root_f32 =
            t < N / 2 ? first_f32 + step_f32 * (float)t : last_f32 - step_f32 * (float)(N - 1 - t);
        product_f32 *= (double)(1 - root_f32 * root_f32);
        d->alpha_bar_f32[t] = (float)product_f32;
    }
    d->like_diffusers = opts.like_diffusers;
    if (opts.zero_terminal_snr) {
        stretch(d->alpha_bar);
        stretch_f32(d->alpha_bar_f32);
    }
}

ath_ddpm_mix ath_ddpm_mix_of(const ath_ddpm *d, int32_t t)
{
    ATH_ASSERT(0 <= t && t < N);
    if (d->like_diffusers)
        return (ath_ddpm_mix){sqrtf(d->alpha_bar_f32[t]), sqrtf(1 - d->alpha_bar_f32[t])};
    return (ath_ddpm_mix){(float)sqrt(d->alpha_bar[t]), (float)sqrt(1 - d->alpha_bar[t])};
}

void ath_ddpm_add_noise(ath_ddpm_mix mix, int64_t n, const float *x, const float *z, float *out)
{
    for (int64_t i = 0; i < n; i++) out[i] = mix.picture * x[i] + mix.noise * z[i];
}

void ath_ddpm_velocity(ath_ddpm_mix mix, int64_t n, const float *x, const float *z, float *out)
{
    for (int64_t i = 0; i < n; i++) out[i] = mix.picture * z[i] - mix.noise * x[i];
}
