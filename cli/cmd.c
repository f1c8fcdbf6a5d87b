#include "cli/cmd.h"

#include "core/mem.h"
#include "core/nearest.h"
#include "core/var.h"
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define CMD(name) extern const ath_cmd ath_cmd_##name;
#include "cli/cmds.def"
#undef CMD

static const ath_cmd *const cmds[] = {
#define CMD(name) &ath_cmd_##name,
#include "cli/cmds.def"
#undef CMD
};
enum { N_CMDS = sizeof cmds / sizeof *cmds };

const ath_opt ath_global_opts[] = {
    {"help", ATH_OPT_SWITCH, offsetof(ath_global_values, help),
     .help = "this page; after a command, the page of that command"},
    {"version", ATH_OPT_SWITCH, offsetof(ath_global_values, version), .help = "the version"},
    {0},
};

ath_err ath_cmd_find(const char *name, const ath_cmd **out)
{
    const char *names[N_CMDS];

    for (int i = 0; i < N_CMDS; i++) {
        names[i] = cmds[i]->name;
        if (strcmp(names[i], name) == 0) {
            *out = cmds[i];
            return ATH_OK;
        }
    }
    const char *nearest = ath_nearest(name, names, N_CMDS);
    ATH_NEED(!nearest, ATH_EINVAL, "no command \"%s\"; did you mean \"%s\"?", name, nearest);
    return ath_raise(ATH_EINVAL, "no command \"%s\"; athanor --help lists them", name);
}

static bool wants_help(int argc, char **argv)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0) return true;
    return false;
}

static ath_err parse(const ath_cmd *cmd, void *values, int *argc, char **argv)
{
    ATH_TRY(ath_opt_parse(cmd->opts, values, argc, argv));
    ATH_NEED(*argc >= cmd->min_args && *argc <= cmd->max_args, ATH_EINVAL,
             "%s: %d arguments; usage: athanor %s %s", cmd->name, *argc, cmd->name,
             cmd->args ? cmd->args : "");
    return ATH_OK;
}

ath_err ath_cmd_run(const ath_cmd *cmd, int argc, char **argv)
{
    ath_err err = ATH_OK;
    void *values = NULL;

    if (wants_help(argc, argv)) return ath_cmd_print(cmd);
    ATH_TRY_OUT(ath_mem_new(1, cmd->values_bytes, "options", &values));
    ATH_TRY_OUT(parse(cmd, values, &argc, argv));
    argv[argc] = NULL;
    ATH_TRY_OUT(cmd->run(values, argc, argv));
out:
    ath_mem_free(&values);
    return err;
}

static void print_one(const ath_cmd *cmd, ath_str *to)
{
    ath_str_print(to, "usage: athanor %s%s%s%s\n\n  %s\n", cmd->name,
                  cmd->opts ? " [OPTION ...]" : "", cmd->args ? " " : "",
                  cmd->args ? cmd->args : "", cmd->help);
    if (cmd->opts) ath_str_print(to, "\noptions\n");
    ath_opt_print(cmd->opts, to);
}

static void print_all(ath_str *to)
{
    ath_str_print(to, "athanor fine-tunes Stable Diffusion 1.5\n\n"
                      "usage: athanor COMMAND [OPTION ...] [ARGUMENT ...]\n\ncommands\n");
    for (int i = 0; i < N_CMDS; i++) {
        char left[64];
        snprintf(left, sizeof left, "%s %s", cmds[i]->name, cmds[i]->args ? cmds[i]->args : "");
        ath_str_print(to, "  %-22s %s\n", left, cmds[i]->help);
    }
    ath_str_print(to, "\noptions\n");
    ath_opt_print(ath_global_opts, to);
    ath_str_print(to, "\nenvironment\n");
    ath_var_print(to);
}

ath_err ath_cmd_print(const ath_cmd *cmd)
{
    ath_str text = {0};

    if (cmd)
        print_one(cmd, &text);
    else
        print_all(&text);
    ath_err err = ath_str_check(&text);
    if (!err) fputs(ath_str_text(&text), stdout); /* main looks whether it was written */
    ath_str_release(&text);
    return err;
}
