/* A run that was begun: may this job go on with it, and has it come to its end? Rank 0's business. */
#ifndef ATH_CLI_BEGUN_H
#define ATH_CLI_BEGUN_H

#include "core/io/file.h"
#include "proto/job.pb-c.h"

/* Compares with the job in `folder`: keys that change no weight may differ, and are told on stderr;
 * others are EJOB with all of them. Threads that the job leaves open become the run's. */
ATH_MUST ath_err ath_begun_check(const char *folder, Athanor__Job *job);

/* Whether the run is finished; then the file it made goes to `model`. */
ATH_MUST ath_err ath_begun_is_finished(const char *folder, bool *out, char model[ATH_PATH_BYTES]);

#endif
