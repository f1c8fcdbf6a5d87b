#include "cli/cmd.h"

#include "proto/job.h"
#include <stdio.h>
#include <string.h>

static ath_err print_job(void)
{
    ath_str text = {0};

    ath_job_help(ATH_JOB_PLAIN, &text);
    ath_err err = ath_str_check(&text);
    if (!err) fputs(ath_str_text(&text), stdout); /* main looks whether it was written */
    ath_str_release(&text);
    return err;
}

static ath_err run(const void *values, int n_args, char **args)
{
    const ath_cmd *cmd = NULL;

    (void)values;
    if (n_args && strcmp(args[0], "job") == 0) return print_job();
    if (n_args) ATH_TRY(ath_cmd_find(args[0], &cmd));
    return ath_cmd_print(cmd);
}

const ath_cmd ath_cmd_help = {
    .name = "help",
    .args = "[COMMAND]",
    .help = "what there is, what one command does, or the keys of a job (help job)",
    .max_args = 1,
    .run = run,
};
