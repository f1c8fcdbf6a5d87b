/*
 * A training run on the ranks: from a job and its plan to the finished file. Rank 0 also plays the
 * coordinator's part through `boss`; the others know only what they are sent.
 */
#ifndef ATH_RUN_H
#define ATH_RUN_H

#include "core/thread.h"
#include "proto/curve.pb-c.h"
#include "proto/job.pb-c.h"
#include "proto/plan.pb-c.h"

/* What rank 0 is asked and told; the other ranks' is not looked at. */
typedef struct ath_boss {
    /* The packed Epoch; freed with ath_mem_free. */
    ath_err (*epoch)(void *context, int64_t epoch, uint8_t **out, size_t *n);
    /* After each step, and for each mark. */
    ath_err (*record)(void *context, const Athanor__Record *record);
    /* What was recorded is on the disk when it returns. */
    ath_err (*sync)(void *context);
    /* For people: what is being done now. */
    void (*note)(void *context, const char *text);
    void *context;
} ath_boss;

typedef struct ath_run_opts {
    const Athanor__Job *job;   /* the same on all ranks; borrowed */
    const Athanor__Plan *plan; /* the same on all ranks; borrowed */
    const char *folder;        /* of the run: exists */
    ath_boss boss;
    bool resume;              /* from the newest checkpoint, where there is one */
    const ath_cancel *cancel; /* set: ends after the step at hand; may be NULL */
} ath_run_opts;

/* The mark of a run that has come to its end. */
#define ATH_RUN_FINISHED "finished"

/* All ranks; the first error of any is everybody's. */
ATH_MUST ath_err ath_run_train(const ath_run_opts *opts);

#endif
