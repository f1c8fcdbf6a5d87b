/* Messages of floats that run beside the work, for worker/dist alone. With one rank nothing is sent. */
#ifndef ATH_DIST_EXCHANGE_H
#define ATH_DIST_EXCHANGE_H

#include "core/err.h"

typedef struct ath_exchange ath_exchange;

/* All ranks call it together. Room for so many messages in, out, gathers and sums at a time, each under a
 * number of its own. Tags are below `n_tags`. */
typedef struct ath_exchange_opts {
    int64_t n_in, n_out, n_gathers, n_sums;
    int32_t n_tags;
} ath_exchange_opts;
ATH_MUST ath_err ath_exchange_create(const ath_exchange_opts *opts, ath_exchange **out);
/* Everything begun was waited for. All ranks call it together, before MPI is gone. */
void ath_exchange_destroy(ath_exchange **exchange);

/* The other end of a message; messages of one tag between two ranks arrive in the order sent. */
typedef struct ath_peer {
    int32_t rank, tag;
} ath_peer;
/* Begin; the memory is the message's until it was waited for. */
ATH_MUST ath_err ath_exchange_receive(ath_exchange *x, int64_t i, ath_peer from, float *to,
                                      int64_t n);
ATH_MUST ath_err ath_exchange_send(ath_exchange *x, int64_t i, ath_peer to, const float *from,
                                   int64_t n);
/* Rank r gives the n[r] numbers at first[r] of `data`; all have all of them. `n` and `first` too must
 * stay. All ranks begin their gathers in the same order. */
ATH_MUST ath_err ath_exchange_gather(ath_exchange *x, int64_t i, float *data, const int *n,
                                     const int *first);

/* The library's own sum, in its own order: rank r gets the sum of all ranks' `data` where its n[r] numbers
 * lie, rank after rank. `n` and `data` must stay. All ranks begin their sums in the same order. */
ATH_MUST ath_err ath_exchange_sum(ath_exchange *x, int64_t i, const float *data, const int *n,
                                  float *out);

/* Gives the library the time that messages need to move. */
ATH_MUST ath_err ath_exchange_poll(ath_exchange *x);
/* Wait; numbers under which nothing was begun are done. */
ATH_MUST ath_err ath_exchange_wait_in(ath_exchange *x, int64_t first, int64_t n);
ATH_MUST ath_err ath_exchange_wait_out(ath_exchange *x);
ATH_MUST ath_err ath_exchange_wait_gathers(ath_exchange *x);
ATH_MUST ath_err ath_exchange_wait_sum(ath_exchange *x, int64_t i);

#endif
