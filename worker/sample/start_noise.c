#include "worker/sample/start_noise.h"

#include "core/rng.h"
#include <math.h>

static const double two_pi = 6.283185307179586476925;

enum { MT_SHIFT = 397, KIND_PICTURE = 0x50494354 }; /* a kind of draw that training does not use */

/* ---- MT19937 (Matsumoto and Nishimura 1998) ---- */

static void mt_seed(ath_noise_source *s, uint32_t seed)
{
    s->word[0] = seed;
    for (uint32_t i = 1; i < ATH_MT_WORDS; i++)
        s->word[i] = 1812433253u * (s->word[i - 1] ^ s->word[i - 1] >> 30) + i;
    s->at = ATH_MT_WORDS;
}

static void mt_turn(uint32_t *w)
{
    for (int i = 0; i < ATH_MT_WORDS; i++) {
        const uint32_t y = (w[i] & 0x80000000u) | (w[(i + 1) % ATH_MT_WORDS] & 0x7fffffffu);
        w[i] = w[(i + MT_SHIFT) % ATH_MT_WORDS] ^ y >> 1 ^ (y & 1 ? 0x9908b0dfu : 0);
    }
}

static uint32_t mt_next(ath_noise_source *s)
{
    if (s->at == ATH_MT_WORDS) {
        mt_turn(s->word);
        s->at = 0;
    }
    uint32_t y = s->word[s->at++];
    y ^= y >> 11;
    y ^= y << 7 & 0x9d2c5680u;
    y ^= y << 15 & 0xefc60000u;
    return y ^ y >> 18;
}

/* ---- torch on the CPU ---- */

/* 16 uniform numbers in place become 16 normal ones: 0..7 give the radius, 8..15 the angle. */
static void torch_block(float *x)
{
    for (int i = 0; i < 8; i++) {
        const double radius = sqrt(-2 * log(1 - (double)x[i])), angle = two_pi * (double)x[i + 8];
        x[i] = (float)(radius * cos(angle));
        x[i + 8] = (float)(radius * sin(angle));
    }
}

static void torch_uniform(ath_noise_source *s, int64_t n, float *out)
{
    for (int64_t i = 0; i < n; i++) out[i] = (float)(mt_next(s) & 0xffffff) * 0x1p-24f;
}

/* Whole blocks of 16; where some are left over, the last 16 are drawn again. */
static void torch_many(ath_noise_source *s, int64_t n, float *out)
{
    torch_uniform(s, n, out);
    for (int64_t i = 0; i + 16 <= n; i += 16) torch_block(out + i);
    if (n % 16 == 0) return;
    torch_uniform(s, 16, out + n - 16);
    torch_block(out + n - 16);
}

static double torch_uniform53(ath_noise_source *s)
{
    const uint64_t high = mt_next(s), low = mt_next(s);
    return (double)((high << 32 | low) & ((1ULL << 53) - 1)) * 0x1p-53;
}

static float torch_one(ath_noise_source *s)
{
    if (s->has_spare) {
        s->has_spare = false;
        return (float)s->spare;
    }
    const double angle = two_pi * torch_uniform53(s);
    const double radius = sqrt(-2 * log1p(-torch_uniform53(s)));
    s->spare = radius * sin(angle);
    s->has_spare = true;
    return (float)(radius * cos(angle));
}

static void torch_draw(ath_noise_source *s, int64_t n, float *out)
{
    if (n >= 16) {
        torch_many(s, n, out);
        return;
    }
    for (int64_t i = 0; i < n; i++) out[i] = torch_one(s);
}

/* ---- Philox ---- */

static void own_draw(ath_noise_source *s, int64_t n, float *out)
{
    const uint32_t key[2] = {(uint32_t)s->seed, (uint32_t)(s->seed >> 32)};

    for (int64_t i = 0; i < n; i += 4) {
        uint32_t word[4] = {(uint32_t)(i / 4), KIND_PICTURE, s->n_draws, 0};
        float four[4];
        ath_philox(word, key, word);
        ath_normal4(word, four);
        for (int64_t k = 0; k < 4 && i + k < n; k++) out[i + k] = four[k];
    }
}

/* One block per number, of which two words are used. The constants are floats there. */
static void nv_draw(ath_noise_source *s, int64_t n, float *out)
{
    static const float unit = 2.3283064e-10f, turn = 2.3283064e-10f * 6.2831855f;
    const uint32_t key[2] = {(uint32_t)s->seed, (uint32_t)(s->seed >> 32)};

    for (int64_t i = 0; i < n; i++) {
        uint32_t word[4] = {s->n_draws, 0, (uint32_t)i, 0};
        ath_philox(word, key, word);
        const double u = word[0] * (double)unit + (double)unit / 2;
        const double v = word[1] * (double)turn + (double)turn / 2;
        out[i] = (float)(sqrt(-2 * log(u)) * sin(v));
    }
}

void ath_noise_begin(ath_noise_source *source, ath_noise_kind kind, uint64_t seed)
{
    *source = (ath_noise_source){.kind = kind, .seed = seed};
    if (kind == ATH_NOISE_TORCH_CPU) mt_seed(source, (uint32_t)seed);
}

void ath_noise_draw(ath_noise_source *source, int64_t n, float *out)
{
    switch (source->kind) {
    case ATH_NOISE_OWN:
        own_draw(source, n, out);
        break;
    case ATH_NOISE_TORCH_CPU:
        torch_draw(source, n, out);
        break;
    case ATH_NOISE_NV:
        nv_draw(source, n, out);
        break;
    case ATH_N_NOISE_KINDS:
        ATH_ASSERT(!"a kind of noise");
    }
    source->n_draws++;
}
