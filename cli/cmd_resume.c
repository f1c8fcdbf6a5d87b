/* athanor resume: a run goes on from its newest good checkpoint, on any number of ranks. */
#include "cli/cmd.h"
#include "cli/train.h"

static ath_err run(const void *given, int n_args, char **args)
{
    const ath_train_values *v = given;

    (void)n_args;
    return ath_train(&(ath_train_opts){.ranks = v->ranks, .sets = &v->sets, .run = args[0]});
}

const ath_cmd ath_cmd_resume = {
    .name = "resume",
    .args = "RUN",
    .help = "goes on with a run from its newest good checkpoint",
    .min_args = 1,
    .max_args = 1,
    .opts = ath_train_cmd_opts,
    .values_bytes = sizeof(ath_train_values),
    .run = run,
};
