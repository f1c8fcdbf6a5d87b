/*
 * curve.log: the record of a run, appended to after each step and the authority for everything drawn
 * from it (docs/curve.md). A record is a packed Record of proto/curve.proto behind its length and
 * CRC-32C; what a crash left unfinished at the end is noticed and cut. A step that is recorded again
 * (after a resume) takes the place of the earlier one and of all after that.
 */
#ifndef ATH_COORDINATOR_CURVE_H
#define ATH_COORDINATOR_CURVE_H

#include "core/str.h"
#include "proto/curve.pb-c.h"

/* ---- writing: one process ---- */
typedef struct ath_curve_log ath_curve_log;
/* Opens to append, or begins a new file; an unfinished record at the end is cut off. Records of up to
 * 64 KiB are put without allocating. EFORMAT as for reading. */
ATH_MUST ath_err ath_curve_log_open(const char *path, ath_curve_log **out);
ATH_MUST ath_err ath_curve_log_put(ath_curve_log *log, const Athanor__Record *record);
ATH_MUST ath_err ath_curve_log_sync(ath_curve_log *log); /* on the disk when it returns */
void ath_curve_log_close(ath_curve_log **log);

/* ---- reading: anybody at any time ---- */
typedef struct ath_curve {
    Athanor__Start *start; /* the last one; NULL: none yet */
    int64_t n_steps;       /* those that count, by step, ascending */
    Athanor__Step **step;
    int64_t n_marks;
    Athanor__Mark **mark;
    int64_t n_images;
    uint64_t *uses; /* [n_images]: the ledger: how often each picture was used */
    int64_t n_cut;  /* bytes at the end that are no whole record */
} ath_curve;
/* EFORMAT where a record in the middle is broken: the file, where, what was found. */
ATH_MUST ath_err ath_curve_read(const char *path, ath_curve *out);
void ath_curve_release(ath_curve *curve);

/* curve.h5: everything of it as datasets, for other tools (docs/curve.md lists them). */
ATH_MUST ath_err ath_curve_write_h5(const ath_curve *curve, const char *path);
/* What TensorBoard reads, one file in `folder` (made where it is missing) which a later call replaces;
 * its path goes to `path` where that is not NULL. x is the count of steps done. */
ATH_MUST ath_err ath_curve_write_events(const ath_curve *curve, const char *folder, ath_str *path);

/* ---- what it means ---- */
/* Steps over which the moving average goes: a tenth of those there are, 10 to 500. */
int64_t ath_curve_window(const ath_curve *curve);
/* The moving average: out[i] is the mean loss of the samples of the `window` steps up to i; NaN where
 * they had none. */
void ath_curve_smooth(const ath_curve *curve, int64_t window, double *out);
/* The mean over samples of share `i` (a concept or a band) in the last `window` steps; NaN: none. */
typedef enum ath_curve_part { ATH_CURVE_CONCEPT, ATH_CURVE_BAND } ath_curve_part;
double ath_curve_part_loss(const ath_curve *curve, ath_curve_part part, size_t i, int64_t window,
                           int64_t *n_samples);
/* A concept's name to show: the folder's without the path before it and the repeats. */
const char *ath_curve_concept(const ath_curve *curve, size_t i);

typedef enum ath_verdict {
    ATH_VERDICT_TOO_SHORT,  /* too few steps to say */
    ATH_VERDICT_UNDER,      /* above 0.15 */
    ATH_VERDICT_HEALTHY,    /* near 0.05: 0.02 to 0.15 */
    ATH_VERDICT_MEMORISING, /* near 0: below 0.02 */
    ATH_VERDICT_BLOWN,      /* the trend rises, or is not finite */
    ATH_N_VERDICTS
} ath_verdict;
/* "healthy" */
const char *ath_verdict_name(ath_verdict verdict);

/*
 * The loss of a step depends above all on the time steps that were drawn for it. Where the bands tell,
 * it is evened out: observed over expected, the expected being each band's mean over the run, times
 * the mean loss. All numbers below are of that. The trend rises where the last steps (a fifth or a
 * twentieth of the run) lie above the lowest stretch of that length by a quarter and by 4 standard
 * errors.
 */
typedef struct ath_judgement {
    ath_verdict verdict;
    double loss, start_loss; /* the last and the first steps of the run */
    double slope;            /* of the second half, per 100 steps */
    int64_t lowest;          /* the last step of the lowest stretch, where it is BLOWN; or -1 */
    char text[256];          /* in plain words, with what to do */
} ath_judgement;
void ath_curve_judge(const ath_curve *curve, ath_judgement *out);

#endif
