/*
 * Ranks: processes of one program that divide its work, over MPI. One rank alone never touches MPI.
 * One thread at a time.
 */
#ifndef ATH_DIST_H
#define ATH_DIST_H

#include "core/err.h"

enum { ATH_RANKS_MAX = 4096 };

/* True where this process was started by mpirun, srun or their like. */
bool ath_dist_is_launched(void);

/*
 * Becomes one of `n_ranks` ranks (0: as many as it was launched with, or 1). First thing after the
 * options were checked: where n_ranks > 1 and nobody launched the process, it is replaced by mpirun,
 * which starts the same command line n_ranks times. ATH_EINVAL where it was launched with another
 * number; ATH_EMPI where there is no mpirun or MPI fails.
 */
ATH_MUST ath_err ath_dist_init(int32_t n_ranks);

/* All ranks call it before they end; then MPI is gone. Harmless without init. */
void ath_dist_finalize(void);

/* 0 and 1 before init. */
int32_t ath_dist_rank(void);
int32_t ath_dist_size(void);
/* The same among the ranks of this machine. */
int32_t ath_dist_local_rank(void);
int32_t ath_dist_local_size(void);

/* Waits for all ranks. */
ATH_MUST ath_err ath_dist_barrier(void);

/* All ranks give their outcome, and where any failed all fail: a failed rank with its own error, the
 * others with the code and the cause of the lowest rank that failed. Whatever all ranks must do
 * together is asked about first. */
ATH_MUST ath_err ath_dist_agree(ath_err err);

/* `bytes` of rank 0 for everybody. */
ATH_MUST ath_err ath_dist_share(void *data, size_t bytes);

/* A block of rank 0's for everybody: there `*block` and `*bytes` are given, elsewhere they are made
 * (ath_mem_free). `err` is this rank's outcome so far, as in ath_dist_agree. */
ATH_MUST ath_err ath_dist_share_block(ath_err err, uint8_t **block, size_t *bytes);

/* The numbers of all ranks, rank after rank, for everybody. Refused on all ranks alike where they are
 * not n_all together. */
ATH_MUST ath_err ath_dist_gather(const double *own, int64_t n_own, double *all, int64_t n_all);

/* Floats that lie in pieces on all ranks and whole on rank 0: rank r has n[r] of them, which are at
 * first[r] of `all`. collect brings them there, spread gives each rank its own. `all` is looked at on
 * rank 0 alone. */
ATH_MUST ath_err ath_dist_collect(const float *own, float *all, const int *n, const int *first);
ATH_MUST ath_err ath_dist_spread(const float *all, float *own, const int *n, const int *first);

#endif
