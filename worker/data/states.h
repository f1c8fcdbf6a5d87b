/*
 * Text states of captions where the text encoder is frozen: made by the caller's function, kept by the
 * hash of their token ids, the last used ones in memory and, where they are asked for ahead, in the
 * cache from run to run.
 */
#ifndef ATH_DATA_STATES_H
#define ATH_DATA_STATES_H

#include "core/hash.h"

/* Token ids [n_chunks, positions] of a caption -> states [tokens, width]. */
typedef ath_err ath_states_make_fn(void *context, const int32_t *ids, float *states);

typedef struct ath_state_store_opts {
    int64_t n_ids, n_states; /* numbers of a caption */
    int32_t room;            /* captions in memory; at least 1 */
    const char *folder;      /* of the cache; borrowed */
    ath_hash encoder; /* identity of all that decides the states but the ids; {0}: no cache */
    ath_states_make_fn *make;
    void *context; /* borrowed */
} ath_state_store_opts;

typedef struct ath_state_store ath_state_store;
ATH_MUST ath_err ath_state_store_create(const ath_state_store_opts *opts, ath_state_store **out);
void ath_state_store_destroy(ath_state_store **store);

/* Makes what the cache lacks of ids [n, n_ids], each rank an even share. All ranks, the same ids; an
 * error is everybody's. Without a cache nothing happens. */
ATH_MUST ath_err ath_state_store_fill(ath_state_store *store, int64_t n, const int32_t *ids);

/* States of a caption, valid until the next find. One thread at a time. */
ATH_MUST ath_err ath_state_store_find(ath_state_store *store, const int32_t *ids,
                                      const float **states);

#endif
