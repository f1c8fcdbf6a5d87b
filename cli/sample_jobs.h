/* What athanor sample is asked for, cut in batches: pictures of one prompt that are drawn at once. */
#ifndef ATH_CLI_SAMPLE_JOBS_H
#define ATH_CLI_SAMPLE_JOBS_H

#include "core/arena.h"
#include "worker/sample/pipeline.h"

/* The options that say what to draw, as parsed. */
typedef struct ath_sample_values {
    const char *prompt, *prompts, *negative, *size;
    double cfg, eta;
    int64_t seed, count, batch, steps, sampler, schedule, predicts, noise;
} ath_sample_values;

typedef struct ath_sample_batch {
    ath_recipe recipe;
    int64_t first; /* number of its first picture among all */
    int32_t n;
    uint64_t seeds[ATH_PICTURES_MAX];
} ath_sample_batch;

/* {0} is empty. */
typedef struct ath_sample_jobs {
    ath_sample_batch *batches;
    int64_t n, room;
    ath_arena texts;
} ath_sample_jobs;

/* Reads the prompts and checks all that can be checked without the model. */
ATH_MUST ath_err ath_sample_jobs_init(ath_sample_jobs *jobs, const ath_sample_values *values);
void ath_sample_jobs_release(ath_sample_jobs *jobs);

#endif
