/*
 * Signals that end a run in good order. USR1, USR2 and TERM, as often as they come, and INT once set a
 * flag; the step at hand is finished and saved. A second INT ends the process at once.
 */
#ifndef ATH_CLI_SIGNALS_H
#define ATH_CLI_SIGNALS_H

#include "core/thread.h"

/* Seconds before the end of a SLURM job at which the flag is set. */
enum { ATH_SIGNALS_MARGIN_SECONDS = 120 };

/* First thing in a command. `cancel` lives as long as the process. Where SLURM_JOB_END_TIME tells of an
 * end to come, a timer sets the flag before it: what is left is asked of the wall clock once, so that
 * clocks may jump later. */
ATH_MUST ath_err ath_signals_catch(ath_cancel *cancel);

/* Seconds until a job that ends at `end_time` (seconds since 1970, as text; NULL: none) is to be ended:
 * 0 where there is nothing to wait for: no end, none that can be read, or one that is past. At least 1. */
int64_t ath_signals_seconds_left(const char *end_time, int64_t wall_ns);

#endif
