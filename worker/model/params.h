/*
 * The parameters of a part, found by recording its network: there is no second list of them.
 */
#ifndef ATH_MODEL_PARAMS_H
#define ATH_MODEL_PARAMS_H

#include "core/arena.h"
#include "core/io/safetensors.h"
#include "worker/model/spec.h"

typedef struct ath_param {
    const char *name; /* the diffusers key */
    int32_t n_dim;
    int64_t dim[ATH_MAX_DIMS];
} ath_param;

/* Records a part with the smallest step data that it takes: parameters do not depend on it. */
void ath_params_record(ath_net *n, const ath_model_spec *spec, ath_part part);

/* All of them in the order of recording, in `arena`. EINVAL and ESHAPE where the spec makes no net. */
ATH_MUST ath_err ath_params_list(const ath_model_spec *spec, ath_part part, ath_arena *arena,
                                 const ath_param **out, int32_t *n);

/* The engine's type for that of a file; NONE where parameters cannot have it. */
ath_dtype ath_param_dtype(ath_st_dtype dtype);

int64_t ath_param_count(const ath_param *p); /* elements */

#endif
