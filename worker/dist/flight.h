/*
 * The flight record: a rank's last thousand steps, in memory that is there from the start. Written to
 * FOLDER/flight/rank-R.txt, one line a step, when the run ends with an error or a verdict (watch.h). For
 * worker/dist; a run tells its losses.
 */
#ifndef ATH_DIST_FLIGHT_H
#define ATH_DIST_FLIGHT_H

#include "core/err.h"
#include "worker/dist/stage.h"

enum { ATH_FLIGHT_STEPS = 1000 };

/* The main thread, through stage.h. Time goes to the stage entered last, and with it to the step at
 * hand; before the first it goes to a line of its own, step -1. */
void ath_flight_step(int64_t step);
void ath_flight_enter(ath_stage stage);

/* The main thread: the step's loss over this rank's samples (NaN: it had none), and the norm of the
 * gradient. */
void ath_flight_result(double loss, double norm);

/* Any thread, also while the main one goes on; nothing is allocated. `folder` is the run's. */
ATH_MUST ath_err ath_flight_write(const char *folder, int32_t rank, const char *why);

#endif
