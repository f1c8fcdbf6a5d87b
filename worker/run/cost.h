/* What a micro-batch of a job costs, found by compiling its program: nothing is loaded or run. */
#ifndef ATH_RUN_COST_H
#define ATH_RUN_COST_H

#include "core/err.h"
#include "proto/job.pb-c.h"

#include <stdint.h>

typedef struct ath_cost {
    double flop;              /* useful operations of its forward and backward */
    int64_t activation_bytes; /* activations, their gradients, scratch */
    double flop_per_s;        /* that this machine's kernels are good for, on the job's threads */
} ath_cost;

/* Of n samples of width x height pixels, in a model of the job's kind. The rate is measured, now: half a
 * second, and no truer than within a factor of two: what else the machine does now counts. */
ATH_MUST ath_err ath_cost_of(const Athanor__Job *job, int64_t n, int64_t width, int64_t height,
                             ath_cost *out);

#endif
