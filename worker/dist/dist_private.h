/* For worker/dist alone. */
#ifndef ATH_DIST_PRIVATE_H
#define ATH_DIST_PRIVATE_H

#include "worker/dist/dist.h"

/* What an MPI call returned, as an error that names the rank. Before a call that waits for other ranks
 * stands ath_stage_wait(true), which this takes back. */
ATH_MUST ath_err ath_dist_check(int code, const char *what);

#endif
