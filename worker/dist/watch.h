/*
 * The watch of a run on several ranks. A thread in each sends where its rank is (stage.h) to rank 0 over
 * TCP, about once a second, and rank 0's sends the same to all. Rank 0 judges (judge.h), the others judge
 * rank 0 and themselves. A verdict is said once, in the run's log.txt and on stderr (where the command supervises mpirun,
 * by it); every rank writes its flight record, and the process ends with 6, whatever its main thread does.
 */
#ifndef ATH_DIST_WATCH_H
#define ATH_DIST_WATCH_H

#include "core/err.h"

typedef struct ath_watch ath_watch;

/* All ranks together. A rank that does not move for `seconds` while others wait for it is lost; 0: no
 * watch. `*out` is NULL then, on one rank, and where rank 0 cannot be reached by anybody, which the log
 * tells. Before memory is frozen. */
ATH_MUST ath_err ath_watch_start(double seconds, ath_watch **out);

/* The run's folder, where verdicts and flight records go; once. Accepts NULL, as do the others. */
void ath_watch_set_folder(ath_watch *watch, const char *folder);

/* MPI failed, maybe since somebody is lost: gives the watch the time to say who, and to end the process. */
void ath_watch_consult(const ath_watch *watch);

/* The main thread ends as it should, with or without an error: says farewell. With an error the flight
 * record is written. */
void ath_watch_stop(ath_watch **watch, ath_err err);

#endif
