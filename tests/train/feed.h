/*
 * What tests of the trainer give it: the base of models.safetensors, and micro-batches made of `mix`, a
 * hash of two numbers that make_trainer.py computes too.
 */
#ifndef ATH_TESTS_TRAIN_FEED_H
#define ATH_TESTS_TRAIN_FEED_H

#include "core/io/safetensors.h"
#include "worker/train/trainer.h"

/* Word i of a stream. */
uint32_t feed_mix(uint32_t stream, uint32_t i);

/* An ath_trainer_load_fn: `context` is the open models.safetensors. */
ATH_MUST ath_err feed_load(void *context, const ath_plan *plan, ath_weights *weights,
                           ath_slab *slab);

/* A trainer of the tiny model in F32 on the host, both networks, with the adapter or NULL; `base` is the open
 * models.safetensors. A test changes what it is about. */
ath_trainer_opts feed_opts(ath_st *base, const ath_lora *adapter, int32_t n_leaves_max);

enum { FEED_SAMPLES = 2, FEED_LATENTS = FEED_SAMPLES * 96 * 4, FEED_IDS = FEED_SAMPLES * 3 * 77 };

/* A micro-batch with the memory that `in` points into. */
typedef struct feed {
    ath_micro_in in;
    int32_t first; /* sample of the step */
    float x[FEED_LATENTS], target[FEED_LATENTS], time[FEED_SAMPLES], weight[FEED_SAMPLES];
    int32_t ids[FEED_IDS];
} feed;

/* Leaf i of a step of `n_samples`: of two, one and one samples in turn, each of another shape. */
void feed_make(feed *f, int32_t step, int32_t leaf, int32_t n_samples, int32_t n_chunks);

#endif
