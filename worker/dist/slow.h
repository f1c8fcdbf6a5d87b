/*
 * Which rank is slow, not for once but for good: its work on a micro-batch takes more than 4/3 of the
 * median rank's in 26 of its last 32 steps with others. Told once, and again only after it kept up for half of them.
 * Only worth a line in the log: nothing is ended for it.
 */
#ifndef ATH_DIST_SLOW_H
#define ATH_DIST_SLOW_H

#include "core/err.h"

typedef struct ath_slow_rank {
    uint32_t slow_steps; /* a bit for each of the last 32 steps */
    bool is_told;
} ath_slow_rank;

typedef struct ath_slow {
    int32_t n;
    ath_slow_rank *rank;
    double *sorted;
} ath_slow;

ATH_MUST ath_err ath_slow_init(ath_slow *slow, int32_t n);
/* Accepts {0}. */
void ath_slow_release(ath_slow *slow);

/* A step: the time of each rank's micro-batch, 0 where it had none. The rank to be told of, and how many
 * times the median it took; -1: none. */
int32_t ath_slow_step(ath_slow *slow, const double *seconds, double *times);

#endif
