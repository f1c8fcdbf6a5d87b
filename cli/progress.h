/* How far a long command is: one line that is written over on a terminal; elsewhere a line per result,
 * or one every half minute of training. On stderr; results on stdout. */
#ifndef ATH_CLI_PROGRESS_H
#define ATH_CLI_PROGRESS_H

#include "core/err.h"
#include "proto/curve.pb-c.h"

typedef struct ath_progress {
    bool is_shown, is_terminal; /* this process shows it; stderr is a terminal */
    int64_t n_steps, n_done;    /* of all work of this process */
    int64_t start_ns;           /* the end of the first step */
    int64_t shown_ns;           /* when a line of training was last written */
    int64_t n_samples;          /* of training, after the first step */
    double loss, weight;        /* its moving average is loss / weight */
} ath_progress;

void ath_progress_begin(ath_progress *p, int64_t n_steps, bool is_shown);
/* What is going on before the first step. */
void ath_progress_note(ath_progress *p, const char *what);
/* A step of a picture is done (ath_pipeline_opts.progress). */
void ath_progress_step(void *progress, int32_t step, int32_t n_steps);
/* A step of training is done, of `n_steps` that the whole run has. */
void ath_progress_train(ath_progress *p, const Athanor__Step *step, int64_t n_steps);
/* A result: its path goes to stdout, from every process. */
void ath_progress_done(ath_progress *p, const char *path);
void ath_progress_end(ath_progress *p);

#endif
