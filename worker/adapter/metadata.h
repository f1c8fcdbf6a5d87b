/*
 * What a trained file says of itself: kohya's ss_* keys and ModelSpec's modelspec.* keys
 * (spec/adapters-and-formats 3.3, 3.4; spec/training-semantics 10.4), made from job and plan. Values
 * are written as Python prints them, since that is what their readers know.
 */
#ifndef ATH_ADAPTER_METADATA_H
#define ATH_ADAPTER_METADATA_H

#include "core/arena.h"
#include "core/io/safetensors_writer.h"
#include "proto/job.pb-c.h"
#include "proto/plan.pb-c.h"

/* How far training was when the file was made. */
typedef struct ath_trained {
    int64_t epoch, step;                 /* done */
    int64_t started_ns, finished_ns;     /* wall time */
    double loss;                         /* moving average; NaN: none yet */
    const char *base_name;               /* the base's file name; NULL: that of the job's path */
    const char *base_hash, *base_sha256; /* see model_hash.h; NULL: not known */
} ath_trained;

/* In the order of their keys; texts in `arena`. A model that is no adapter gets modelspec.* alone. */
ATH_MUST ath_err ath_metadata_make(const Athanor__Job *job, const Athanor__Plan *plan,
                                   const ath_trained *trained, ath_arena *arena,
                                   const ath_st_meta **out, int32_t *n);

#endif
