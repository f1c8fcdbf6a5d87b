/* What all ranks hold alike: which of them does not. */
#ifndef ATH_RUN_REPLICAS_H
#define ATH_RUN_REPLICAS_H

#include "core/hash.h"

/* The n digests of what ranks hold after step `step` (from 0): EPEER where they are not equal, naming
 * those that differ from most of the others. Where no more than half are equal, as of two ranks, none
 * is known to be right, and all of them are named. `what` stands in the sentence. */
ATH_MUST ath_err ath_replicas_check(int64_t step, const char *what, const ath_hash *of_rank,
                                    int32_t n);

#endif
