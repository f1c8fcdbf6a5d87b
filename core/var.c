#include "core/var.h"

#include "core/nearest.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "ATH_"

const ath_var_row ath_vars[ATH_N_VARS] = {
#define VAR(name, kind, initial, range, help) \
    {PREFIX #name, ATH_VAR_IS_##kind, initial, range, help},
#include "core/var.def"
#undef VAR
};

/* "; did you mean X?", or nothing. */
static void print_nearest(const char *word, const char *const *names, size_t n, char out[128])
{
    const char *nearest = ath_nearest(word, names, n);

    out[0] = 0;
    if (nearest) snprintf(out, 128, "; did you mean %s?", nearest);
}

static ath_err parse_word(const ath_var_row *row, const char *text, ath_var_value *out)
{
    enum { MAX_WORDS = 16, WORD_BYTES = 32 };
    char word[MAX_WORDS][WORD_BYTES], hint[128];
    const char *names[MAX_WORDS];
    size_t n = 0;

    for (const char *at = row->range; at; n++) {
        size_t bytes = strcspn(at, "|");
        ATH_ASSERT(n < MAX_WORDS && bytes < WORD_BYTES);
        memcpy(word[n], at, bytes);
        word[n][bytes] = 0;
        names[n] = word[n];
        at = at[bytes] ? at + bytes + 1 : NULL;
    }
    for (size_t i = 0; i < n; i++) {
        if (strcmp(text, names[i]) != 0) continue;
        out->number = (int64_t)i;
        return ATH_OK;
    }
    print_nearest(text, names, n, hint);
    return ath_raise(ATH_EINVAL, "%s is \"%s\", wanted %s%s", row->name, text, row->range, hint);
}

/* All of text up to `end` is one number; blanks are not part of it. */
static bool read_int(const char *text, const char *end, int64_t *out)
{
    char *stop;

    errno = 0;
    *out = strtoll(text, &stop, 10);
    return errno == 0 && stop == end && stop != text &&
           (*text == '-' || ('0' <= *text && *text <= '9'));
}

static ath_err parse_int(const ath_var_row *row, const char *text, ath_var_value *out)
{
    const char *dots = strstr(row->range, "..");
    int64_t min, max;

    ATH_ASSERT(dots && read_int(row->range, dots, &min) &&
               read_int(dots + 2, dots + strlen(dots), &max));
    ATH_NEED(read_int(text, text + strlen(text), &out->number) && min <= out->number &&
                 out->number <= max,
             ATH_EINVAL, "%s is \"%s\", wanted a whole number from %" PRId64 " to %" PRId64,
             row->name, text, min, max);
    return ATH_OK;
}

ath_err ath_var_parse(const ath_var_row *row, const char *text, ath_var_value *out)
{
    ath_var_value value = {.text = text};

    switch (row->kind) {
    case ATH_VAR_IS_WORD:
        ATH_TRY(parse_word(row, text, &value));
        break;
    case ATH_VAR_IS_INT:
        ATH_TRY(parse_int(row, text, &value));
        break;
    case ATH_VAR_IS_TEXT:
        break;
    }
    *out = value;
    return ATH_OK;
}

static ath_err need_row(const char *name, const ath_var_row **out)
{
    const char *names[ATH_N_VARS];
    char hint[128];

    for (int i = 0; i < ATH_N_VARS; i++) {
        names[i] = ath_vars[i].name;
        if (strcmp(name, names[i]) != 0) continue;
        *out = &ath_vars[i];
        return ATH_OK;
    }
    print_nearest(name, names, ATH_N_VARS, hint);
    return ath_raise(ATH_EINVAL, "%s: there is no such environment variable%s", name, hint);
}

ath_err ath_var_check(char *const *env)
{
    for (; *env; env++) {
        char name[64];
        const ath_var_row *row = NULL;
        ath_var_value value;
        const char *equal = strchr(*env, '=');

        if (!equal || strncmp(*env, PREFIX, strlen(PREFIX)) != 0) continue;
        snprintf(name, sizeof name, "%.*s", (int)(equal - *env), *env);
        ATH_TRY(need_row(name, &row));
        ATH_TRY(ath_var_parse(row, equal + 1, &value));
    }
    return ATH_OK;
}

ath_var_value ath_var_get(ath_var var)
{
    const ath_var_row *row = &ath_vars[var];
    const char *text = getenv(row->name);
    ath_var_value value;

    if (text && ath_var_parse(row, text, &value) == ATH_OK) return value;
    ath_err err = ath_var_parse(row, row->initial, &value);
    ATH_ASSERT(err == ATH_OK);
    return value;
}

void ath_var_print(ath_str *to)
{
    for (const ath_var_row *row = ath_vars; row < ath_vars + ATH_N_VARS; row++)
        ath_str_print(to, "  %s=%s  (default: %s)\n      %s\n", row->name, row->range, row->initial,
                      row->help);
}
