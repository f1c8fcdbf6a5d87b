/* The folder of a run, <out>/<name>, as rank 0 makes it. */
#ifndef ATH_CLI_RUN_FOLDER_H
#define ATH_CLI_RUN_FOLDER_H

#include "core/io/file.h"
#include "proto/job.pb-c.h"

typedef struct ath_run_folder {
    char path[ATH_PATH_BYTES];
    char first[ATH_PATH_BYTES]; /* the topmost folder that was made for it */
} ath_run_folder;

/* Where it will be; the same on all ranks. EJOB where something is there already. */
ATH_MUST ath_err ath_run_folder_name(const Athanor__Job *job, char out[ATH_PATH_BYTES]);
ATH_MUST ath_err ath_run_folder_check(const Athanor__Job *job);

/* Whether a run was begun there: it has its job. */
bool ath_run_folder_is_run(const char *path);

/* Makes it and the folders above it. EIO where that is not allowed. */
ATH_MUST ath_err ath_run_folder_make(const Athanor__Job *job, ath_run_folder *out);
/* Makes the folders in it that lack. */
ATH_MUST ath_err ath_run_folder_fill(const ath_run_folder *folder);

/* Takes away all that was made, where nothing came of the run; {0} has nothing. */
void ath_run_folder_withdraw(ath_run_folder *folder);

#endif
