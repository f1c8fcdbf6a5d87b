#include "core/opt.h"

#include "core/nearest.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_OPTS = 64 };

static ath_err put_int(const ath_opt *o, const char *text, int64_t *to)
{
    char *end = NULL, *last = NULL;
    int64_t min = strtoll(o->range, &last, 10), max = strtoll(last + 2, NULL, 10);

    errno = 0;
    int64_t n = strtoll(text, &end, 10);
    ATH_NEED(end != text && !*end && !errno && n >= min && n <= max, ATH_EINVAL,
             "--%s is \"%s\", wanted a number, %s", o->name, text, o->range);
    *to = n;
    return ATH_OK;
}

static ath_err put_real(const ath_opt *o, const char *text, double *to)
{
    char *end = NULL; /* of the range strtod would take the first dot with it */
    double min = strtod(o->range, NULL), max = strtod(strstr(o->range, "..") + 2, NULL);

    double x = strtod(text, &end);
    ATH_NEED(end != text && !*end && x >= min && x <= max, ATH_EINVAL,
             "--%s is \"%s\", wanted a number, %s", o->name, text, o->range);
    *to = x;
    return ATH_OK;
}

static ath_err put_word(const ath_opt *o, const char *text, int64_t *to)
{
    const char *word = o->range;
    size_t n = strlen(text);

    for (int64_t i = 0; word; i++) {
        if (strcspn(word, "|") == n && memcmp(word, text, n) == 0) {
            *to = i;
            return ATH_OK;
        }
        word = strchr(word, '|');
        if (word) word++;
    }
    return ath_raise(ATH_EINVAL, "--%s is \"%s\", wanted %s", o->name, text, o->range);
}

static ath_err put_item(const ath_opt *o, const char *text, ath_opt_list *to)
{
    ATH_NEED(to->n < ATH_OPT_LIST_MAX, ATH_EINVAL, "--%s is given more than %d times", o->name,
             ATH_OPT_LIST_MAX);
    to->item[to->n++] = text;
    return ATH_OK;
}

static ath_err put_value(const ath_opt *o, const char *text, void *values)
{
    void *to = (char *)values + o->at;

    switch (o->kind) {
    case ATH_OPT_SWITCH:
        *(bool *)to = true;
        return ATH_OK;
    case ATH_OPT_TEXT:
        *(const char **)to = text;
        return ATH_OK;
    case ATH_OPT_WORD:
        return put_word(o, text, to);
    case ATH_OPT_INT:
        return put_int(o, text, to);
    case ATH_OPT_REAL:
        return put_real(o, text, to);
    case ATH_OPT_LIST:
        return put_item(o, text, to);
    case ATH_N_OPT_KINDS:
        break;
    }
    ATH_ASSERT(!"a kind of option");
}

/* Of the first n letters of `name`. */
static ath_err find_opt(const ath_opt *opts, const char *name, size_t n, const ath_opt **out)
{
    const char *names[MAX_OPTS];
    char word[64];
    size_t n_names = 0;

    for (const ath_opt *o = opts; o && o->name; o++) {
        ATH_ASSERT(n_names < MAX_OPTS);
        names[n_names++] = o->name;
        if (strlen(o->name) == n && memcmp(o->name, name, n) == 0) {
            *out = o;
            return ATH_OK;
        }
    }
    snprintf(word, sizeof word, "%.*s", (int)(n < sizeof word ? n : sizeof word), name);
    const char *nearest = ath_nearest(word, names, n_names);
    ATH_NEED(!nearest, ATH_EINVAL, "no option --%s; did you mean --%s?", word, nearest);
    return ath_raise(ATH_EINVAL, "no option --%s", word);
}

/* The option argv[i] and its value, which may be the next of argc words. Gives the words used up. */
static ath_err take_option(const ath_opt *opts, void *values, int argc, char **argv, int *used)
{
    const char *name = argv[0] + 2, *text = strchr(name, '=');
    const ath_opt *o = NULL;

    ATH_NEED(argv[0][1] == '-', ATH_EINVAL, "%s: options begin with two dashes", argv[0]);
    ATH_TRY(find_opt(opts, name, text ? (size_t)(text - name) : strlen(name), &o));
    ATH_NEED(o->range || !text, ATH_EINVAL, "--%s takes no value", o->name);
    *used = o->range && !text ? 2 : 1;
    ATH_NEED(*used <= argc, ATH_EINVAL, "--%s needs a value: %s", o->name, o->range);
    return put_value(o, text ? text + 1 : argv[*used - 1], values);
}

ath_err ath_opt_parse(const ath_opt *opts, void *values, int *argc, char **argv)
{
    int n_args = 0, n = *argc;

    for (const ath_opt *o = opts; o && o->name; o++)
        if (o->initial) ATH_TRY(put_value(o, o->initial, values));

    for (int i = 0, used = 1; i < n; i += used) {
        used = 1;
        if (strcmp(argv[i], "--") == 0) {
            while (++i < n) argv[n_args++] = argv[i];
        } else if (argv[i][0] == '-' && argv[i][1]) {
            ATH_TRY(take_option(opts, values, n - i, argv + i, &used));
        } else {
            argv[n_args++] = argv[i];
        }
    }
    *argc = n_args;
    return ATH_OK;
}

void ath_opt_print(const ath_opt *opts, ath_str *to)
{
    for (const ath_opt *o = opts; o && o->name; o++) {
        char left[64];
        snprintf(left, sizeof left, "--%s%s%s", o->name, o->range ? " " : "",
                 o->range ? o->range : "");
        ath_str_print(to, "  %-22s %s", left, o->help);
        if (o->initial) ath_str_print(to, " (%s)", o->initial);
        ath_str_print(to, "\n");
    }
}
