/* For worker/dist alone. */
#ifndef ATH_DIST_LAUNCH_H
#define ATH_DIST_LAUNCH_H

#include "worker/dist/dist.h"

/* Runs mpirun with n_ranks of the same command line and ends the process as they end (supervise.h).
 * Returns only on failure. */
ATH_MUST ath_err ath_dist_launch(int32_t n_ranks);

#endif
