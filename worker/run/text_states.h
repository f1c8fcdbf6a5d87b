/*
 * Text states where the text encoder is frozen: a network of its own beside the trainer's, over the
 * same weights. One thread at a time.
 */
#ifndef ATH_RUN_TEXT_STATES_H
#define ATH_RUN_TEXT_STATES_H

#include "worker/graph/exec.h"
#include "worker/model/spec.h"

typedef struct ath_text_states_opts {
    ath_text_spec spec;
    ath_backend backend;
    ath_dtype dtype; /* of activations: F32 or BF16 */
    int32_t n_threads;
    int32_t clip_skip, n_chunks;
    ath_weights *weights; /* borrowed until destroy */
    ath_err (*load)(void *context, const ath_plan *plan, ath_weights *weights);
    void *load_context; /* borrowed for create */
} ath_text_states_opts;

typedef struct ath_text_states ath_text_states;
ATH_MUST ath_err ath_text_states_create(const ath_text_states_opts *opts, ath_text_states **out);
void ath_text_states_destroy(ath_text_states **states);

/* An ath_loader_states_fn: ids [n_chunks, positions] -> states [(positions - 2) n_chunks + 2, width].
 * Of several chunks the first state is the first one's, the last the last one's, between them are the
 * states of all tokens (spec/training-semantics 3.4). */
ATH_MUST ath_err ath_text_states_make(void *states, const int32_t *ids, float *out);

#endif
