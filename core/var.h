/*
 * The program's environment variables, ATH_*: each is one row of var.def, and parsing, error texts
 * and help follow from it.
 */
#ifndef ATH_CORE_VAR_H
#define ATH_CORE_VAR_H

#include "core/str.h"

typedef enum ath_var {
#define VAR(name, kind, initial, range, help) ATH_VAR_##name,
#include "core/var.def"
#undef VAR
    ATH_N_VARS
} ath_var;

typedef enum ath_var_kind {
    ATH_VAR_IS_WORD, /* range "off|on": one of them */
    ATH_VAR_IS_INT,  /* range "1..64", both ends allowed */
    ATH_VAR_IS_TEXT, /* range "FILE": what it is, for people */
} ath_var_kind;

typedef struct ath_var_row {
    const char *name; /* with ATH_ */
    ath_var_kind kind;
    const char *initial; /* the default: a valid value */
    const char *range;
    const char *help;
} ath_var_row;

extern const ath_var_row ath_vars[ATH_N_VARS];

typedef struct ath_var_value {
    const char *text; /* as given, and as long-lived as that */
    int64_t number;   /* INT: the value; WORD: its place in the range, from 0 */
} ath_var_value;

/* Reads a value; EINVAL says what was found and what is wanted. */
ATH_MUST ath_err ath_var_parse(const ath_var_row *row, const char *text, ath_var_value *out);

/* Checks all of `env` (environ): an unknown ATH_* or a bad value is EINVAL. First thing in main. */
ATH_MUST ath_err ath_var_check(char *const *env);

/* The variable's value, or its default where it is not set or bad. Read anew at each call. */
ath_var_value ath_var_get(ath_var var);

/* Two lines per variable, for --help. */
void ath_var_print(ath_str *to);

#endif
