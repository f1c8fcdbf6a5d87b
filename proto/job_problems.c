/* The list of what is wrong with a job, and where. */
#include "proto/job_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static ath_err note(ath_job_reader *r, const char *source, ath_toml_place at, const char *text)
{
    if (r->n_problems++ >= ATH_JOB_PROBLEMS) return ATH_OK;
    ath_job_problem *p = &r->problems[r->n_problems - 1];
    p->source = source;
    p->at = at;
    return ath_arena_print(&r->arena, &p->text, "%s", text);
}

ath_err ath_job_complain(ath_job_reader *r, ath_toml_place at, const char *fmt, ...)
{
    char text[512];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return note(r, r->source, r->raw ? (ath_toml_place){0} : at, text);
}

/* "train.steps" of "train.steps = 5" */
static bool sets_key(const char *set, const char *key)
{
    size_t n = strcspn(set, "=");

    while (n && set[n - 1] == ' ') n--;
    return strlen(key) == n && memcmp(set, key, n) == 0;
}

bool ath_job_is_set(const ath_job_reader *r, const char *key)
{
    for (int i = 0; i < r->n_sets; i++)
        if (sets_key(r->sets[i], key)) return true;
    return false;
}

static ath_toml_place place_of(const ath_toml *table, const char *key)
{
    while (table) {
        size_t n = strcspn(key, ".");
        const ath_toml *item = table->kind == ATH_TOML_TABLE ? table->first : NULL;
        while (item && (strlen(item->key) != n || memcmp(item->key, key, n) != 0))
            item = item->next;
        if (!item || !key[n]) return item ? item->key_at : (ath_toml_place){0};
        key += n + 1;
        table = item;
    }
    return (ath_toml_place){0};
}

ath_err ath_job_complain_of(ath_job_reader *r, const char *key, const char *fmt, ...)
{
    char text[512];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    for (int i = r->n_sets - 1; i >= 0; i--) {
        const char *source = NULL;
        if (!sets_key(r->sets[i], key)) continue;
        ATH_TRY(ath_arena_print(&r->arena, &source, "--set %s", r->sets[i]));
        return note(r, source, (ath_toml_place){0}, text);
    }
    return note(r, r->path, place_of(r->root, key), text);
}

static bool is_before(const ath_job_problem *a, const ath_job_problem *b)
{
    if (!a->at.line || !b->at.line) return a->at.line && !b->at.line;
    if (a->at.line != b->at.line) return a->at.line < b->at.line;
    return a->at.column < b->at.column;
}

/* By place in the file; what has none keeps its order at the end. */
static void sort(ath_job_problem *p, int n)
{
    for (int i = 1; i < n; i++) {
        ath_job_problem moved = p[i];
        int k = i;
        for (; k > 0 && is_before(&moved, &p[k - 1]); k--) p[k] = p[k - 1];
        p[k] = moved;
    }
}

ath_err ath_job_verdict(ath_job_reader *r)
{
    int n = r->n_problems < ATH_JOB_PROBLEMS ? r->n_problems : ATH_JOB_PROBLEMS;
    ath_str text = {0};

    if (!n) return ATH_OK;
    sort(r->problems, n);
    if (n > 1) ath_str_print(&text, "%d things are wrong", r->n_problems);
    for (int i = 0; i < n; i++) {
        const ath_job_problem *p = &r->problems[i];
        ath_str_print(&text, "%s%s", n > 1 ? "\n  " : "", p->source);
        if (p->at.line) ath_str_print(&text, ":%d:%d", p->at.line, p->at.column);
        ath_str_print(&text, ": %s", p->text);
    }
    if (r->n_problems > n) ath_str_print(&text, "\n  and %d more", r->n_problems - n);
    ath_err err = ath_str_check(&text);
    if (!err) err = ath_raise(ATH_EJOB, "%s", ath_str_text(&text));
    ath_str_release(&text);
    return err;
}
