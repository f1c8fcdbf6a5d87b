/* Training a run, begun or gone on with: what the commands train and resume share. */
#ifndef ATH_CLI_TRAIN_H
#define ATH_CLI_TRAIN_H

#include "core/opt.h"

typedef struct ath_train_opts {
    int64_t ranks;
    const ath_opt_list *sets;
    const char *job; /* the job's file; or */
    const char *run; /* the folder of a run, which goes on */
} ath_train_opts;

/* A command's whole work, from MPI's beginning to its end. */
ATH_MUST ath_err ath_train(const ath_train_opts *opts);

/* The options of both, as members of this. */
typedef struct ath_train_values {
    int64_t ranks;
    ath_opt_list sets;
} ath_train_values;
extern const ath_opt ath_train_cmd_opts[];

#endif
