/*
 * What training draws at random. Each draw is a pure function of its name: seed, kind, epoch, sample
 * and a place within the draw (core/rng.h), so it is the same on any number of ranks, in any batch,
 * after any resume, and there is no state to save.
 */
#ifndef ATH_TRAIN_DRAWS_H
#define ATH_TRAIN_DRAWS_H

#include "core/err.h"

/*
 * The table of kinds: number, name, what is drawn. Numbers are part of the recipe: one that was used
 * stays, a new kind takes a new one. Kinds of other parts lie above: 0x100.. the coordinator's
 * shuffles, 'init' adapters' and networks' first values, 'PICT' pictures.
 */
#define ATH_DRAW_MAP(X)                                                                       \
    X(1, TIME, "the time step")                                                               \
    X(2, NOISE, "the noise that the network learns to tell")                                  \
    X(3, OFFSET, "noise offset: one number per channel")                                      \
    X(4, OFFSET_STRENGTH, "noise offset: its random strength")                                \
    X(5, PYRAMID, "pyramid noise: place = level * 2^26 + block")                              \
    X(6, PYRAMID_RATIO, "pyramid noise: by how much a level is smaller; place = level")       \
    X(7, PERTURB, "input perturbation: noise that the network is not told of")                \
    X(8, PERTURB_STRENGTH, "input perturbation: its random strength")                         \
    X(9, LATENT, "the autoencoder's sample; epoch 0 where latents are kept")                  \
    X(10, LATENT_MIRRORED, "the same of the mirrored picture")                                \
    X(11, FLIP, "whether a picture is mirrored")                                              \
    X(12, CROP, "where a picture is cut")                                                     \
    X(13, CAPTION_DROP, "whether the caption is left out")                                    \
    X(14, CAPTION_SHUFFLE, "the order of tags; place = position")                             \
    X(15, TAG_DROP, "whether a tag is left out; place = tag before shuffling")                \
    X(16, WILDCARD, "choices within a caption; place = choice")                               \
    X(17, ADAPTER_DROP, "dropout in adapters; sample = hash of the module's name and sample") \
    X(18, ROUND, "stochastic rounding; epoch = step, sample = parameter")

typedef enum ath_draw_kind {
#define ATH_DRAW_ENUM(number, name, text) ATH_DRAW_##name = number,
    ATH_DRAW_MAP(ATH_DRAW_ENUM)
#undef ATH_DRAW_ENUM
} ath_draw_kind;

/* Whose draw: a sample of an epoch under a seed. */
typedef struct ath_draw {
    uint64_t seed;
    uint32_t epoch, sample;
} ath_draw;

/* The four words at a place of a draw. */
void ath_draw_words(const ath_draw *draw, ath_draw_kind kind, uint32_t place, uint32_t out[4]);

/* In [0, 1), a multiple of 2^-53. */
double ath_draw_uniform(const ath_draw *draw, ath_draw_kind kind, uint32_t place);

/* One of 0 .. n-1, n > 0; uneven by less than n / 2^64. */
uint32_t ath_draw_below(const ath_draw *draw, ath_draw_kind kind, uint32_t place, uint32_t n);

/* Standard normal numbers, four to a place from `place` on: what the op `noise` gives too. */
void ath_draw_normals(const ath_draw *draw, ath_draw_kind kind, uint32_t place, int64_t n,
                      float *out);

/* Time steps lie in [min, max), each as likely as the others; with max <= min it is always max. */
typedef struct ath_times {
    int32_t min, max;
} ath_times;
/* Refuses what leads outside 0 .. 999. */
ATH_MUST ath_err ath_times_check(ath_times times);
int32_t ath_draw_time(const ath_draw *draw, ath_times times);

#endif
