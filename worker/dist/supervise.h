/*
 * The process that starts mpirun stays beside it. It passes signals on once all ranks can take them,
 * learns of each rank's end over a local socket, and ends with the ranks' own exit code. For worker/dist
 * alone.
 */
#ifndef ATH_DIST_SUPERVISE_H
#define ATH_DIST_SUPERVISE_H

#include "core/err.h"
#include "worker/dist/judge.h"

/* Runs `argv` (mpirun) until it ends and ends this process with the ranks' exit code. Returns only on
 * failure: EMPI where it does not start, EPEER with the verdict where a rank was lost (without a text
 * where it was said already). USR1, USR2, TERM and the
 * first INT reach the ranks as USR1, since mpirun kills on TERM; a second INT, or any where ranks do not
 * catch USR1, ends all. If this process is killed, mpirun and the ranks end too. */
ATH_MUST ath_err ath_supervise(char *const *argv, int32_t n_ranks);

/* In a rank, after MPI is up and before it goes. Harmless where nobody supervises. */
void ath_supervise_hello(int32_t rank);
void ath_supervise_bye(void);

/* Of the watch: the run's folder, and a verdict for the supervisor to say. False where nobody supervises. */
void ath_supervise_folder(const char *folder);
bool ath_supervise_tell(const ath_verdict *verdict);

#endif
