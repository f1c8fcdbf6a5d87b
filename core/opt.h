/*
 * Options of a command line: one row each; parsing, error texts and help follow from the rows.
 *
 *     typedef struct values { bool json; const char *model; int64_t dtype, threads; } values;
 *     static const ath_opt opts[] = {
 *         {"json", ATH_OPT_SWITCH, offsetof(values, json), .help = "for programs"},
 *         {"model", ATH_OPT_TEXT, offsetof(values, model), "FILE", "tiny", "which network"},
 *         {"dtype", ATH_OPT_WORD, offsetof(values, dtype), "f32|bf16", "f32", "of activations"},
 *         {"threads", ATH_OPT_INT, offsetof(values, threads), "1..64", "1", "of a rank"},
 *         {0},
 *     };
 */
#ifndef ATH_CORE_OPT_H
#define ATH_CORE_OPT_H

#include "core/str.h"
#include <stdint.h>

typedef enum ath_opt_kind {
    ATH_OPT_SWITCH, /* bool: given or not */
    ATH_OPT_TEXT,   /* const char *, borrowed from argv */
    ATH_OPT_WORD,   /* int64_t: its place among the words of the range, from 0 */
    ATH_OPT_INT,    /* int64_t within the range, both ends allowed */
    ATH_OPT_REAL,   /* double within the range, both ends allowed */
    ATH_OPT_LIST,   /* ath_opt_list: texts, one each time it is given */
    ATH_N_OPT_KINDS
} ath_opt_kind;

enum { ATH_OPT_LIST_MAX = 64 };
typedef struct ath_opt_list {
    int64_t n;
    const char *item[ATH_OPT_LIST_MAX]; /* borrowed from argv */
} ath_opt_list;

/* A table of them ends with a row without a name. */
typedef struct ath_opt {
    const char *name; /* without the dashes */
    ath_opt_kind kind;
    size_t at;           /* where the value lies in the caller's struct */
    const char *range;   /* "f32|bf16", "1..64", or what a text is, for people; NULL for a switch */
    const char *initial; /* as it would be given; NULL: false, NULL, 0 */
    const char *help;
} ath_opt;

/* Sets the initial values, then those of argv; `*argc` and the front of `argv` become the arguments
 * that are no options. --name VALUE and --name=VALUE; "--" ends the options; of two the last wins, a
 * list keeps both. ATH_EINVAL says which option, what was found and what is wanted. `opts` NULL: none. */
ATH_MUST ath_err ath_opt_parse(const ath_opt *opts, void *values, int *argc, char **argv);

/* A line per option, for --help. */
void ath_opt_print(const ath_opt *opts, ath_str *to);

#endif
