/* For worker/run alone: a run while it lasts. */
#ifndef ATH_RUN_PRIVATE_H
#define ATH_RUN_PRIVATE_H

#include "worker/adapter/model_hash.h"
#include "worker/data/loader.h"
#include "worker/dist/slow.h"
#include "worker/graph/unit.h"
#include "worker/model/base.h"
#include "worker/run/run.h"
#include "worker/run/text_states.h"

enum { PER_SAMPLE = 2 }; /* numbers told of a sample: loss, time */

typedef struct ath_snapshot ath_snapshot;

typedef struct ath_run {
    const ath_run_opts *opts;
    ath_unit unit;
    ath_base *base;
    ath_lora lora; /* where the job has an adapter */
    ath_trainer *trainer;
    ath_text_states *text; /* NULL: the text encoder trains */
    ath_latents *latents;
    ath_loader *loader;
    int32_t *concept; /* of each picture of the plan: its folder */
    int32_t n_concepts;
    double *own, *all;    /* what ranks tell of a step; record.c */
    double *leaf_seconds; /* of each rank's micro-batches in a step, on average */
    ath_slow slow;
    int64_t began_ns, began_wall_ns;
    int64_t first_step;       /* of this process: those before were done earlier */
    int64_t epoch;            /* at hand, from 0 */
    int64_t i_sample;         /* of the epoch's: the first of the step at hand */
    int64_t n_skipped;        /* steps in a row */
    bool is_lost;             /* too many of them */
    double rate_factor;       /* of the plan's rates: 1 until the run was rolled back */
    double loss_sum;          /* over the epoch's steps so far */
    int64_t n_losses;         /* steps in it */
    bool is_canceled;         /* on some rank: all end */
    bool lacks_pictures;      /* some were left out for that */
    bool is_state_due;        /* rank 0 wants a checkpoint */
    ath_snapshot *snapshot;   /* what is being written; rank 0's; state.c */
    int64_t saved_ns;         /* when the last was begun, or the run */
    int64_t i_saved;          /* steps done by the last that was begun and did not fail; 0: none */
    ath_model_hash base_hash; /* "": not asked for yet, or a folder */
    int64_t noted_ns;         /* when people were last told */
    int64_t i_drawn;          /* the step that was last drawn at; -1: none */
} ath_run;

/* ---- setup.c: all ranks; what failed on one is everybody's error ---- */
ATH_MUST ath_err ath_run_open(ath_run *r);
void ath_run_close(ath_run *r);
/* Makes it anew, where it was destroyed. */
ATH_MUST ath_err ath_run_make_loader(ath_run *r);
ath_dtype ath_run_dtype(const Athanor__Job *job);
/* What this rank computes on, as the job wishes. */
ATH_MUST ath_err ath_run_open_unit(const Athanor__Job *job, ath_unit *out);
/* Refuses what no run can do. */
ATH_MUST ath_err ath_run_check(const Athanor__Job *job);
/* An ath_trainer_load_fn, an ath_latents_load_fn over the base. */
ATH_MUST ath_err ath_run_load(void *base, const ath_plan *plan, ath_weights *weights,
                              ath_slab *slab);
ATH_MUST ath_err ath_run_load_frozen(void *base, const ath_plan *plan, ath_weights *weights);

/* ---- record.c: what is told of a step ---- */
typedef struct ath_run_step {
    const Athanor__Epoch *epoch;
    int64_t i; /* of the run */
    int32_t n_leaves;
    int64_t first_micro; /* of the epoch's */
    int64_t n_own;       /* samples of this rank so far: r->own holds [loss, time] of each */
    double seconds, busy_seconds; /* all of it; before the ranks meet */
    double load_seconds;          /* of these, for pictures */
    ath_trainer_step done;
} ath_run_step;

ATH_MUST ath_err ath_record_create(ath_run *r);
/* The first record; `n_done` steps were done before. */
ATH_MUST ath_err ath_record_start(ath_run *r, int64_t n_done);
/* All ranks: gathers, compares digests, gives the record to the boss. */
ATH_MUST ath_err ath_record_step(ath_run *r, const ath_run_step *s);
ATH_MUST ath_err ath_record_mark(const ath_run *r, int64_t step, const char *what,
                                 const char *path);
void ath_run_note(const ath_run *r, const char *text);

/* ---- export.c: all ranks; `n_done` steps are done ---- */
typedef enum ath_export_when { ATH_EXPORT_STEP, ATH_EXPORT_EPOCH, ATH_EXPORT_LAST } ath_export_when;
ATH_MUST ath_err ath_export(ath_run *r, ath_export_when when, int64_t n_done);

/* ---- state.c: all ranks; checkpoints, from which a run goes on ---- */
typedef enum ath_state_why {
    ATH_STATE_DUE,    /* where it cannot be written, the run goes on without */
    ATH_STATE_PINNED, /* the same, and it is kept for ever */
    ATH_STATE_LAST    /* the run ends: where it cannot be written, that is an error */
} ath_state_why;
ATH_MUST ath_err ath_state_open(ath_run *r);
/* Writes what is pending, and gives `err` with its text. */
ath_err ath_state_close(ath_run *r, ath_err err);
/* Begins to write one, once the one before is written; ATH_STATE_LAST waits till it is. */
ATH_MUST ath_err ath_state_save(ath_run *r, int64_t n_done, ath_state_why why);
/* Takes the outcome of what was begun: waiting for it; and on rank 0 alone, where it is there. */
ATH_MUST ath_err ath_state_settle(ath_run *r, ath_state_why why);
ATH_MUST ath_err ath_state_look(ath_run *r);
/* The steps that were done by the newest good one; 0: there is none. */
ATH_MUST ath_err ath_state_load(ath_run *r, int64_t *n_done);
/* The same of the newest good one that lacks an update which was made since: what was made since did not
 * end well, and is removed. 0: there is none. */
ATH_MUST ath_err ath_state_go_back(ath_run *r, int64_t *n_done);
/* Whether time is up; local. */
bool ath_state_is_due(const ath_run *r);

/* ---- rollback.c: all ranks; within an epoch, which then ends: the run is lost after
 * `n_done` steps, and goes back once or is ENAN ---- */
ATH_MUST ath_err ath_run_roll_back(ath_run *r, int64_t n_done);

/* ---- preview.c: all ranks; the job's samples as the model is after `n_done` steps, once each ---- */
ATH_MUST ath_err ath_preview(ath_run *r, int64_t n_done);
/* The same, where some of them are missing: a signal leaves out what is not drawn yet. */
ATH_MUST ath_err ath_preview_again(ath_run *r, int64_t n_done);

#endif
