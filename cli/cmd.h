/*
 * Subcommands: one file cmd_<name>.c each, listed in cmds.def. A command is a row: its arguments,
 * options and words for --help; ath_cmd_run parses by the row and hands the values over.
 */
#ifndef ATH_CLI_CMD_H
#define ATH_CLI_CMD_H

#include "core/opt.h"

typedef struct ath_cmd {
    const char *name;
    const char *args; /* "JOB"; NULL: none */
    const char *help; /* one line */
    int min_args, max_args;
    const ath_opt *opts; /* NULL: none */
    size_t values_bytes; /* of the struct that the options fill */
    /* `args` ends with NULL. Prints to stdout; its error is the program's. */
    ath_err (*run)(const void *values, int n_args, char **args);
} ath_cmd;

/* ATH_EINVAL with a proposal where there is no such command. */
ATH_MUST ath_err ath_cmd_find(const char *name, const ath_cmd **out);

/* Parses and runs, or prints the command's help where --help is among the words. */
ATH_MUST ath_err ath_cmd_run(const ath_cmd *cmd, int argc, char **argv);

/* Prints the help of a command, or of the program (NULL). */
ATH_MUST ath_err ath_cmd_print(const ath_cmd *cmd);

/* The options before any command. */
typedef struct ath_global_values {
    bool help, version;
} ath_global_values;
extern const ath_opt ath_global_opts[];

#endif
