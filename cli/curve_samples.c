#include "cli/curve_view.h"
#include "cli/sheet_cairo.h"

#include "core/arena.h"
#include "core/mem.h"
#include "proto/job.h"
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS_MAX = 24 };

typedef struct sample {
    int64_t step, index;
    char name[48];
} sample;

typedef struct samples {
    sample *list;
    int64_t n, room;
    int64_t n_columns;
    int64_t *step; /* of each row, ascending */
    int64_t n_rows;
} samples;

/* "000200-03.png", with any count of zeros; nothing else. */
static bool parse(const char *name, sample *out)
{
    char *end = NULL;

    if (*name < '0' || *name > '9') return false;
    if ((size_t)snprintf(out->name, sizeof out->name, "%s", name) >= sizeof out->name) return false;
    errno = 0;
    out->step = strtoll(name, &end, 10);
    if (*end != '-' || end[1] < '0' || end[1] > '9') return false;
    out->index = strtoll(end + 1, &end, 10);
    return !errno && strcmp(end, ".png") == 0 && out->index < ATH_SHEET_COLUMNS_MAX;
}

static int by_step(const void *a, const void *b)
{
    const sample *x = a, *y = b;
    if (x->step != y->step) return x->step < y->step ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

static ath_err find_in(DIR *dir, samples *s)
{
    sample at = {0};

    for (const struct dirent *e; (e = readdir(dir));) {
        if (!parse(e->d_name, &at)) continue;
        ATH_TRY(ath_mem_grow(&s->list, s->n, &s->room, sizeof *s->list, "samples"));
        s->list[s->n++] = at;
        if (at.index >= s->n_columns) s->n_columns = at.index + 1;
    }
    return ATH_OK;
}

/* Steps that have samples; where there are too many, evenly chosen with the first and the last. */
static ath_err choose_rows(samples *s)
{
    int64_t n = 0;

    qsort(s->list, (size_t)s->n, sizeof *s->list, by_step);
    ATH_TRY(ATH_NEW(s->n, "samples", &s->step));
    for (int64_t i = 0; i < s->n; i++)
        if (i == 0 || s->list[i].step != s->list[i - 1].step) s->step[n++] = s->list[i].step;
    s->n_rows = n < ROWS_MAX ? n : ROWS_MAX;
    for (int64_t i = 0; n > ROWS_MAX && i < ROWS_MAX; i++)
        s->step[i] = s->step[i * (n - 1) / (ROWS_MAX - 1)];
    return ATH_OK;
}

/* The prompts, where the run's job is there and can be read. */
static Athanor__Job *find_job(const char *folder)
{
    ath_str path = {0};
    Athanor__Job *job = NULL;

    ath_str_print(&path, "%s/job.toml", folder);
    if (ath_str_check(&path) || ath_job_read(ath_str_text(&path), NULL, 0, &job)) ath_err_clear();
    ath_str_release(&path);
    return job;
}

static ath_err label(ath_arena *memory, int64_t step, int64_t index, const Athanor__Job *job,
                     const char **out)
{
    if (job && index < (int64_t)job->n_sample)
        return ath_arena_print(memory, out, "%" PRId64 "  %s", step, job->sample[index]->prompt);
    return ath_arena_print(memory, out, "step %" PRId64 ", sample %" PRId64, step, index + 1);
}

static ath_err draw(const char *folder, const samples *s, const char *name, const char *path)
{
    ath_sheet sheet = {
        .title = name, .n = s->n_rows * s->n_columns, .columns = (int32_t)s->n_columns};
    Athanor__Job *job = find_job(folder);
    ath_arena memory = {0};
    ath_image *images = NULL;
    const char **labels = NULL, *file = NULL;
    ath_err err = ATH_OK;

    ATH_TRY_OUT(ATH_NEW(sheet.n, "pictures", &images));
    ATH_TRY_OUT(ATH_NEW(sheet.n, "labels", &labels));
    for (int64_t i = 0, row = 0; i < s->n; i++) {
        const sample *at = &s->list[i];
        while (row < s->n_rows && s->step[row] < at->step) row++;
        if (row == s->n_rows || s->step[row] != at->step) continue;
        const int64_t place = row * s->n_columns + at->index;
        ATH_TRY_OUT(ath_arena_print(&memory, &file, "%s/samples/%s", folder, at->name));
        ath_image_release(&images[place]);
        ATH_TRY_OUT(ath_image_read(file, 0, &images[place]));
        ATH_TRY_OUT(label(&memory, at->step, at->index, job, &labels[place]));
    }
    sheet.images = images;
    sheet.labels = labels;
    ATH_TRY_OUT(ath_sheet_write(&sheet, path));
out:
    for (int64_t i = 0; images && i < sheet.n; i++) ath_image_release(&images[i]);
    ath_mem_free(&images);
    ath_mem_free(&labels);
    ath_arena_release(&memory);
    ath_job_free(&job);
    return err;
}

ath_err ath_curve_draw_samples(const char *folder, const char *name, const char *path)
{
    samples s = {0};
    ath_str below = {0};
    DIR *dir = NULL;
    ath_err err = ATH_OK;

    ath_str_print(&below, "%s/samples", folder);
    ATH_TRY_OUT(ath_str_check(&below));
    dir = opendir(ath_str_text(&below));
    if (dir) ATH_TRY_OUT(find_in(dir, &s));
    if (s.n == 0) {
        err = ath_raise(ATH_EMISSING,
                        "%s: no samples here, wanted files <step>-<index>.png; a job draws them "
                        "where it has [[sample]] tables",
                        ath_str_text(&below));
        goto out;
    }
    ATH_TRY_OUT(choose_rows(&s));
    ATH_TRY_OUT(draw(folder, &s, name, path));
out:
    if (dir) closedir(dir);
    ath_mem_free(&s.list);
    ath_mem_free(&s.step);
    ath_str_release(&below);
    return err;
}
