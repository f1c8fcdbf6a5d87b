/*
 * Micro-batches, ready for the trainer: captions, latents, times, noise, targets, weights
 * (spec/training-semantics 3, 5). A thread of its own makes them, ahead of the trainer. What is made
 * depends on job, plan, epoch and sample alone.
 */
#ifndef ATH_DATA_LOADER_H
#define ATH_DATA_LOADER_H

#include "proto/job.pb-c.h"
#include "worker/data/latents.h"
#include "worker/data/states.h"
#include "worker/train/trainer.h"

/* Where the text encoder is frozen; called by the thread that creates and takes. */
typedef ath_states_make_fn ath_loader_states_fn;

typedef struct ath_loader_opts {
    const Athanor__Job *job; /* borrowed with all below until destroy */
    const Athanor__Plan *plan;
    const ath_model_spec *spec;
    ath_latents *latents;
    ath_loader_states_fn *states; /* NULL: the text encoder trains, ids are handed over */
    void *states_context;
    ath_hash text;   /* identity of text encoder, clip skip and dtype, for the cache; {0}: none */
    int32_t n_ahead; /* micro-batches made before they are asked for; at least 1 */
} ath_loader_opts;

typedef struct ath_loader ath_loader;
/* Where captions never vary, their states are made here, by all ranks together, and kept. All ranks; an
 * error is everybody's. */
ATH_MUST ath_err ath_loader_create(const ath_loader_opts *opts, ath_loader **out);
void ath_loader_destroy(ath_loader **loader);

/* Begins to make these micro-batches of an epoch, in this order: those of this rank in all its steps
 * from `first_step` to `end_step`, counted within the epoch. The epoch is borrowed until the last was
 * taken or the loader destroyed. Refused before the last of those begun earlier was taken. */
ATH_MUST ath_err ath_loader_begin(ath_loader *loader, const Athanor__Epoch *epoch,
                                  int64_t first_step, int64_t end_step);

typedef struct ath_loaded {
    ath_micro_in in;
    const uint32_t *image; /* [in.n] of the plan; borrowed from the epoch */
    double wait_seconds;   /* that the taker waited */
} ath_loaded;
/* The next one, in order; borrowed until the next is taken; ECANCELED behind the last. The first error of the thread is given
 * when its micro-batch is asked for. */
ATH_MUST ath_err ath_loader_take(ath_loader *loader, const ath_loaded **out);

#endif
