/* The budget as the ranks get it: packed messages of proto/plan.proto. */
#ifndef ATH_COORDINATOR_WIRE_H
#define ATH_COORDINATOR_WIRE_H

#include "coordinator/recipe.h"

/* A Plan: pictures, buckets, steps, the learning rates of every step. The caller frees *out with
 * ath_mem_free; equal budgets give equal bytes. EJOB where the schedule cannot be followed. */
ATH_MUST ath_err ath_budget_pack(const ath_budget *budget, const Athanor__Job *job, uint8_t **out,
                                 size_t *n);

/* An Epoch: its order, and what is drawn for each sample: mirrored or not (where the job flips), the
 * seed of its caption. EINVAL where the run has no such epoch. */
ATH_MUST ath_err ath_epoch_pack(const ath_budget *budget, const Athanor__Job *job, int64_t epoch,
                                uint8_t **out, size_t *n);

#endif
