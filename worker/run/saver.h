/*
 * Writes checkpoints beside the training: one thread, one checkpoint at a time. What it writes, it
 * verifies, publishes and cleans up after as ath_checkpoint_write does, with the same bytes.
 */
#ifndef ATH_RUN_SAVER_H
#define ATH_RUN_SAVER_H

#include "worker/run/checkpoint.h"

typedef struct ath_saver ath_saver;
ATH_MUST ath_err ath_saver_create(ath_saver **out);
/* Waits for what is being written; its outcome is lost where it was not taken. */
void ath_saver_destroy(ath_saver **saver);

/* Hands over a checkpoint while none is pending. All that it points to, and `folder`, are borrowed and
 * must not change until it was taken. */
ATH_MUST ath_err ath_saver_begin(ath_saver *saver, const char *folder,
                                 const ath_checkpoint *checkpoint, int64_t keep);

/* Whether one was handed over and not taken yet; whether it is written by now. */
bool ath_saver_is_pending(const ath_saver *saver);
bool ath_saver_is_done(const ath_saver *saver);
/* What became of it, as ath_checkpoint_write would have said; waits for it. OK where none is pending. */
ATH_MUST ath_err ath_saver_take(ath_saver *saver);
/* What the thread needed for the one that was taken last. */
double ath_saver_seconds(const ath_saver *saver);

#endif
