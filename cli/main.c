/* athanor COMMAND ...: finds the command, runs it, turns its error into the exit code. */
#include "cli/cmd.h"
#include "core/var.h"
#include "kernels/isa.h"
#include <stdio.h>

extern char **environ;

static ath_err run_global(int argc, char **argv)
{
    ath_global_values values = {0};

    ATH_TRY(ath_opt_parse(ath_global_opts, &values, &argc, argv));
    if (!values.version) return ath_cmd_print(NULL);
    printf("athanor %s\n", ATH_VERSION);
    return ATH_OK;
}

static ath_err run(int argc, char **argv)
{
    const ath_cmd *cmd = NULL;

    ATH_TRY(ath_var_check(environ));
    ATH_TRY(ath_isa_check());
    ATH_NEED(argc > 1, ATH_EINVAL, "no command; athanor --help lists them");
    if (argv[1][0] == '-') return run_global(argc - 1, argv + 1);
    ATH_TRY(ath_cmd_find(argv[1], &cmd));
    return ath_cmd_run(cmd, argc - 2, argv + 2);
}

int main(int argc, char **argv)
{
    ath_err err = run(argc, argv);

    if (!err) err = ath_sys(fflush(stdout) || ferror(stdout) ? -1 : 0, "standard output");
    if (err && ath_err_text()[0]) fprintf(stderr, "athanor: %s\n", ath_err_text());
    return ath_err_exit_code(err);
}
