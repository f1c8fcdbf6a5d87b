/*
 * AdamW over the slices of the parameters that this rank owns (worker/dist/reduce.h): moments are kept
 * for them alone. The arithmetic is the op adamw's, element by element, so the bits do not depend on
 * how the parameters were cut.
 */
#ifndef ATH_TRAIN_OPTIMIZER_H
#define ATH_TRAIN_OPTIMIZER_H

#include "worker/dist/reduce.h"
#include "worker/train/trainer.h"

typedef struct ath_optimizer ath_optimizer;

/* What is updated: all borrowed until destroy. */
typedef struct ath_optimizer_on {
    ath_device *device;
    const ath_plan *plan; /* whose buckets are reduced */
    ath_slab *slab;
    ath_reduce *reduce;
    float *values; /* the slab's for the host: itself, or a copy that is new where the host sums */
} ath_optimizer_on;

/* Local. Backend, threads, betas, eps, decay and max_norm of `opts`. */
ATH_MUST ath_err ath_optimizer_create(const ath_trainer_opts *opts, const ath_optimizer_on *on,
                                      ath_optimizer **out);
void ath_optimizer_destroy(ath_optimizer **optimizer);

/* All ranks, after ath_reduce_finish gave `norm`, which is finite: updates, and gathers what is new.
 * Counts the updates for the bias correction. */
ATH_MUST ath_err ath_optimizer_step(ath_optimizer *optimizer, double norm,
                                    const ath_trainer_rates *rates);

/* Updates done. */
int64_t ath_optimizer_n_done(const ath_optimizer *optimizer);

/* The moments of all parameters, which rank 0 has in the slab's layout; NULL elsewhere. All ranks:
 * collect fills them, restore takes them and the count of updates. */
typedef struct ath_moments {
    float *first, *second;
} ath_moments;
ATH_MUST ath_err ath_optimizer_collect(const ath_optimizer *optimizer, const ath_moments *out);
ATH_MUST ath_err ath_optimizer_restore(ath_optimizer *optimizer, const ath_moments *in,
                                       int64_t n_done);
size_t ath_optimizer_bytes(const ath_optimizer *optimizer);

#endif
