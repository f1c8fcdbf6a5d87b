#include "cli/cmd.h"

static ath_err run(const void *values, int n_args, char **args)
{
    const ath_cmd *cmd = NULL;

    (void)values;
    if (n_args) ATH_TRY(ath_cmd_find(args[0], &cmd));
    return ath_cmd_print(cmd);
}

const ath_cmd ath_cmd_help = {
    .name = "help",
    .args = "[COMMAND]",
    .help = "what there is, or what one command does",
    .max_args = 1,
    .run = run,
};
