/*
 * bench/save: what a checkpoint costs the steps of a run, from the run's own curve (bench/save.sh makes
 * one). Steps in whose time a checkpoint was begun are held against the others of the same run; a step's
 * time goes from the end of the one before to its own end, whatever happened between them.
 *
 *     save RUN
 */
#include "coordinator/curve.h"
#include "core/mem.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WARM = 2 }; /* steps that compile and pack */

typedef struct group {
    double *seconds, sum, sum2;
    int64_t n;
} group;

static int by_value(const void *left, const void *right)
{
    const double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static void add(group *g, double seconds)
{
    g->seconds[g->n++] = seconds;
    g->sum += seconds;
    g->sum2 += seconds * seconds;
}

static double mean(const group *g)
{
    return g->sum / (double)g->n;
}

/* The square of the mean's standard error. */
static double error2(const group *g)
{
    const double n = (double)g->n, m = mean(g);
    return (g->sum2 / n - m * m) / (n - 1);
}

static double median(group *g)
{
    qsort(g->seconds, (size_t)g->n, sizeof *g->seconds, by_value);
    return g->seconds[g->n / 2];
}

static bool is_saved(const ath_curve *c, uint64_t n_done)
{
    for (int64_t i = 0; i < c->n_marks; i++)
        if (c->mark[i]->step == n_done && strcmp(c->mark[i]->what, "checkpoint") == 0) return true;
    return false;
}

static void print(const char *what, group *g)
{
    const double middle = median(g); /* sorts */

    printf("%-8s %3" PRId64 " steps, seconds: median %.3f, mean %.3f, lowest %.3f, highest %.3f\n",
           what, g->n, middle, mean(g), g->seconds[0], g->seconds[g->n - 1]);
}

static ath_err measure(const ath_curve *c)
{
    group with = {0}, without = {0};
    ath_err err = ATH_OK;

    ATH_TRY_OUT(ATH_NEW(c->n_steps, "times", &with.seconds));
    ATH_TRY_OUT(ATH_NEW(c->n_steps, "times", &without.seconds));
    for (int64_t i = WARM; i < c->n_steps; i++)
        add(is_saved(c, c->step[i]->step) ? &with : &without,
            (double)(c->step[i]->wall_ns - c->step[i - 1]->wall_ns) * 1e-9);
    if (with.n < 2 || without.n < 2) {
        err = ath_raise(ATH_EINVAL,
                        "%" PRId64 " steps with a checkpoint and %" PRId64
                        " without, wanted 2 of each",
                        with.n, without.n);
        goto out;
    }
    print("with", &with);
    print("without", &without);
    const double cost = mean(&with) - mean(&without);
    const double error = sqrt(error2(&with) + error2(&without));
    printf("a checkpoint costs %.3f s by the medians, %.3f s +- %.3f by the means\n",
           median(&with) - median(&without), cost, error);
    printf("once a minute: %.2f %% by the medians, %.2f %% +- %.2f by the means\n",
           (median(&with) - median(&without)) / 60 * 100, cost / 60 * 100, error / 60 * 100);
out:
    ath_mem_free(&with.seconds);
    ath_mem_free(&without.seconds);
    return err;
}

int main(int argc, char **argv)
{
    char path[4096];
    ath_curve curve = {0};

    if (argc != 2) {
        fprintf(stderr, "usage: save RUN\n");
        return 2;
    }
    snprintf(path, sizeof path, "%s/curve.log", argv[1]);
    ath_err err = ath_curve_read(path, &curve);
    if (!err) err = measure(&curve);
    if (err) fprintf(stderr, "save: %s\n", ath_err_text());
    ath_curve_release(&curve);
    return ath_err_exit_code(err);
}
