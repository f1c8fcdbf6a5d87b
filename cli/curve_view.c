#include "cli/curve_view.h"

#include "core/mem.h"
#include "core/str.h"
#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Where most of the losses lie, and the moving average in any case. */
static ath_err find_top(ath_curve_view *v)
{
    double *loss = NULL, highest = 0;
    int64_t n = 0;

    ATH_TRY(ATH_NEW(v->curve.n_steps, "losses", &loss));
    for (int64_t i = 0; i < v->curve.n_steps; i++) {
        const Athanor__Step *s = v->curve.step[i];
        if (s->has_loss && isfinite(s->loss)) loss[n++] = s->loss;
        if (v->average[i] > highest) highest = v->average[i];
    }
    qsort(loss, (size_t)n, sizeof *loss, by_size);
    v->top = n ? fmax(loss[(n - 1) - (n - 1) / 100], highest) : 0;
    ath_mem_free(&loss);
    return ATH_OK;
}

/* A step takes as long as its slowest rank. The first of a start also compiles. */
static void find_speed(ath_curve_view *v)
{
    double seconds = 0, waits = 0, ranks = 0, samples = 0;
    int64_t n = 0;

    for (int64_t i = 1; i < v->curve.n_steps; i++) {
        const Athanor__Step *s = v->curve.step[i];
        double slowest = 0;
        for (size_t r = 0; r < s->n_rank; r++) {
            slowest = fmax(slowest, s->rank[r]->seconds);
            ranks += s->rank[r]->seconds;
            waits += s->rank[r]->wait_seconds;
        }
        if (slowest <= 0) continue;
        seconds += slowest;
        samples += s->samples;
        n++;
    }
    if (n == 0) return;
    v->seconds = seconds / (double)n;
    v->images_per_second = samples / seconds;
    v->wait_share = waits / ranks;
}

static ath_err fill(ath_curve_view *v, int64_t window)
{
    ath_str log = {0};
    struct stat info;
    ath_err err = ATH_OK;

    const bool is_folder = stat(v->path, &info) == 0 && S_ISDIR(info.st_mode);
    ath_str_print(&log, "%s%s", v->path, is_folder ? "/curve.log" : "");
    ATH_TRY_OUT(ath_str_check(&log));
    ATH_TRY_OUT(ath_curve_read(ath_str_text(&log), &v->curve));
    v->window = window ? window : ath_curve_window(&v->curve);
    v->name = v->curve.start && v->curve.start->name ? v->curve.start->name : v->path;
    ATH_TRY_OUT(ATH_NEW(v->curve.n_steps, "moving average", &v->average));
    ath_curve_smooth(&v->curve, v->window, v->average);
    ath_curve_judge(&v->curve, &v->judgement);
    find_speed(v);
    ATH_TRY_OUT(find_top(v));
out:
    ath_str_release(&log);
    return err;
}

ath_err ath_curve_view_open(const char *path, int64_t window, ath_curve_view *out)
{
    ath_curve_view v = {.path = path};
    ath_err err = fill(&v, window);

    if (err)
        ath_curve_view_close(&v);
    else
        *out = v;
    return err;
}

void ath_curve_view_close(ath_curve_view *v)
{
    ath_curve_release(&v->curve);
    ath_mem_free(&v->average);
    *v = (ath_curve_view){0};
}

int64_t ath_curve_view_steps(const ath_curve_view *v)
{
    const ath_curve *c = &v->curve;
    const int64_t done = c->n_steps ? (int64_t)c->step[c->n_steps - 1]->step + 1 : 0;
    const int64_t planned = c->start ? (int64_t)c->start->steps : 0;

    return planned > done ? planned : done;
}

void ath_curve_ticks(double low, double high, int n, double *first, double *step)
{
    const double wanted = fmax((high - low) / n, 1e-300), power = pow(10, floor(log10(wanted)));
    const double part = wanted / power;
    double round = 10;

    if (part <= 5) round = 5;
    if (part <= 2) round = 2;
    if (part <= 1) round = 1;
    *step = round * power;
    *first = ceil(low / *step - 1e-9) * *step + 0.0; /* no minus before a zero */
}
