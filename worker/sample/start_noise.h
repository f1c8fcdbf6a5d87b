/*
 * The noise of a picture: what sampling begins with and what samplers add on their way. It depends
 * on the kind, the seed and how much was drawn before: one source per picture, so that a picture is
 * the same whatever is drawn beside it. Planes come one after the other (C,H,W), as peers draw them.
 */
#ifndef ATH_SAMPLE_START_NOISE_H
#define ATH_SAMPLE_START_NOISE_H

#include "core/err.h"

typedef enum ath_noise_kind {
    ATH_NOISE_OWN,       /* Philox as everywhere in this program (core/rng.h) */
    ATH_NOISE_TORCH_CPU, /* torch.randn of a CPU generator: MT19937, the seed's low 32 bits */
    ATH_NOISE_NV,        /* torch.randn of a CUDA generator, as the WebUI computes it */
    ATH_N_NOISE_KINDS
} ath_noise_kind;

enum { ATH_MT_WORDS = 624 };

typedef struct ath_noise_source {
    ath_noise_kind kind;
    uint64_t seed;
    uint32_t n_draws;            /* OWN, NV: calls so far */
    uint32_t word[ATH_MT_WORDS]; /* TORCH_CPU: the generator */
    int32_t at;                  /* words of it used up */
    bool has_spare;              /* a second number left over from a draw of few */
    double spare;
} ath_noise_source;

void ath_noise_begin(ath_noise_source *source, ath_noise_kind kind, uint64_t seed);

/* The next n standard normal numbers. Exact up to the platform's log, sin and cos: computed in
 * double, rounded once. */
void ath_noise_draw(ath_noise_source *source, int64_t n, float *out);

#endif
