#include "worker/train/extra_noise.h"

#include <math.h>

enum { LEVELS_MAX = 63, LEVEL_SHIFT = 26 };

static double mean_of_channel(ath_latent_shape s, const float *x, int32_t channel)
{
    const int64_t n = (int64_t)s.h * s.w;
    double sum = 0;

    for (int64_t i = 0; i < n; i++) sum += (double)x[i * s.c + channel];
    return sum / (double)n;
}

void ath_noise_offset(const ath_draw *draw, ath_offset_opts opts, ath_latent_shape s,
                      const float *x0, float *noise)
{
    double offset = opts.offset;

    if (opts.offset == 0) return;
    if (opts.is_random_strength) offset *= ath_draw_uniform(draw, ATH_DRAW_OFFSET_STRENGTH, 0);
    for (int32_t channel = 0; channel < s.c; channel++) {
        float four[4];
        double strength = offset;
        ath_draw_normals(draw, ATH_DRAW_OFFSET, (uint32_t)channel / 4, 4, four);
        if (opts.adaptive != 0) strength += opts.adaptive * fabs(mean_of_channel(s, x0, channel));
        if (opts.adaptive != 0 && strength < 0) strength = 0;
        const float add = (float)strength * four[channel % 4];
        for (int64_t i = 0; i < (int64_t)s.h * s.w; i++) noise[i * s.c + channel] += add;
    }
}

/* Where a pixel of the large picture lies in the small one, between its pixels `low` and `high`. */
typedef struct between {
    int32_t low, high;
    double part; /* of high */
} between;

static between place_of(int32_t i, int32_t small, int32_t large)
{
    const double at = (i + 0.5) * small / large - 0.5;
    between b = {.part = at < 0 ? 0 : at};

    b.low = (int32_t)b.part;
    b.part -= b.low;
    b.high = b.low + 1 < small ? b.low + 1 : small - 1;
    return b;
}

/* Adds `from` [small.h,small.w,c], made as large as s. */
static void add_level(const float *from, ath_latent_shape small, double weight, ath_latent_shape s,
                      float *noise)
{
    for (int32_t y = 0; y < s.h; y++) {
        const between v = place_of(y, small.h, s.h);
        const float *low = from + (int64_t)v.low * small.w * s.c;
        const float *high = from + (int64_t)v.high * small.w * s.c;
        for (int32_t x = 0; x < s.w; x++) {
            const between u = place_of(x, small.w, s.w);
            for (int32_t c = 0; c < s.c; c++) {
                const int32_t i = u.low * s.c + c, k = u.high * s.c + c;
                const double upper = (1 - u.part) * (double)low[i] + u.part * (double)low[k];
                const double lower = (1 - u.part) * (double)high[i] + u.part * (double)high[k];
                const double value = (1 - v.part) * upper + v.part * lower;
                noise[((int64_t)y * s.w + x) * s.c + c] += (float)(weight * value);
            }
        }
    }
}

static void divide_by_deviation(int64_t n, float *x)
{
    double mean = 0, sum = 0;

    for (int64_t i = 0; i < n; i++) mean += (double)x[i];
    mean /= (double)n;
    for (int64_t i = 0; i < n; i++) sum += ((double)x[i] - mean) * ((double)x[i] - mean);
    const float deviation = (float)sqrt(sum / (double)(n - 1));
    for (int64_t i = 0; i < n; i++) x[i] /= deviation;
}

void ath_noise_pyramid(const ath_draw *draw, ath_pyramid_opts opts, ath_latent_shape s,
                       float *scratch, float *noise)
{
    double weight = 1;

    if (opts.iterations == 0) return;
    ATH_ASSERT(opts.iterations <= LEVELS_MAX);
    for (int32_t level = 0; level < opts.iterations; level++, weight *= opts.discount) {
        const double ratio =
            2 * ath_draw_uniform(draw, ATH_DRAW_PYRAMID_RATIO, (uint32_t)level) + 2;
        const double by = pow(ratio, level);
        ath_latent_shape small = {(int32_t)(s.h / by), (int32_t)(s.w / by), s.c};
        if (small.h < 1) small.h = 1;
        if (small.w < 1) small.w = 1;
        ath_draw_normals(draw, ATH_DRAW_PYRAMID, (uint32_t)level << LEVEL_SHIFT,
                         (int64_t)small.h * small.w * s.c, scratch);
        add_level(scratch, small, weight, s, noise);
        if (small.h == 1 || small.w == 1) break;
    }
    divide_by_deviation((int64_t)s.h * s.w * s.c, noise);
}

void ath_noise_perturb(const ath_draw *draw, double gamma, bool is_random_strength, int64_t n,
                       float *noise)
{
    if (gamma == 0) return;
    if (is_random_strength) gamma *= ath_draw_uniform(draw, ATH_DRAW_PERTURB_STRENGTH, 0);
    for (int64_t i = 0; i < n; i += 4) {
        float four[4];
        ath_draw_normals(draw, ATH_DRAW_PERTURB, (uint32_t)(i / 4), 4, four);
        for (int64_t k = 0; k < 4 && i + k < n; k++) noise[i + k] += (float)gamma * four[k];
    }
}
