/*
 * What rank 0 does for a run beside training: look at the data, plan, keep the run's folder, its curve
 * and its log, talk to people. All of this is called by rank 0 alone.
 */
#ifndef ATH_CLI_TRAIN_BOSS_H
#define ATH_CLI_TRAIN_BOSS_H

#include "cli/progress.h"
#include "cli/run_folder.h"
#include "coordinator/budget.h"
#include "coordinator/curve.h"
#include "core/str.h"
#include "worker/run/run.h"

#include <stdio.h>

/* {0} at first. */
typedef struct ath_train_boss {
    const Athanor__Job *job; /* borrowed from plan on */
    bool lacks_gpu;          /* train.device left it open, and there is none */
    ath_scan scan;
    ath_budget *budget;
    ath_str report; /* plan.txt */
    ath_run_folder folder;
    ath_curve_log *curve;
    FILE *log;
    ath_progress progress;
    int64_t n_done;             /* steps that were recorded */
    char model[ATH_PATH_BYTES]; /* saved last */
} ath_train_boss;

/* Whether the training data can be trained on at all: what is refused is refused before pictures are
 * drawn or models opened. EFORMAT names the first of the doctor's errors. */
ATH_MUST ath_err ath_train_boss_look(const Athanor__Job *job);

/* Regularization pictures that lack. */
typedef struct ath_lacking {
    char folder[ATH_PATH_BYTES]; /* for them: made */
    int64_t first, n;            /* the number of the first; how many */
} ath_lacking;
ATH_MUST ath_err ath_lacking_find(const Athanor__Job *job, ath_lacking *out);

/* Scans, examines, plans; prints the short form; gives the packed plan (ath_mem_free). */
ATH_MUST ath_err ath_train_boss_plan(ath_train_boss *boss, const Athanor__Job *job, int64_t n_ranks,
                                     uint8_t **plan, size_t *n);

/* Makes the run's folder with job.toml, plan.txt, an empty curve and log; or takes up `resumed`, a run's
 * folder that is there. EJOB where another process trains in it. */
ATH_MUST ath_err ath_train_boss_open(ath_train_boss *boss, const char *resumed);

/* What the run calls. */
ath_boss ath_train_boss_face(ath_train_boss *boss);
void ath_train_boss_note(void *boss, const char *text);

/* The run ended with `err`: writes the curve, or takes everything away where no step was done. Gives
 * `err`, or its own failure. Accepts what was never opened. */
ATH_MUST ath_err ath_train_boss_close(ath_train_boss *boss, ath_err err);

#endif
