/* A run's curve as athanor curve shows it: the records and what follows from them for people. */
#ifndef ATH_CLI_CURVE_VIEW_H
#define ATH_CLI_CURVE_VIEW_H

#include "coordinator/curve.h"

enum { ATH_CURVE_RUNS_MAX = 8 };

/* {0} is empty. */
typedef struct ath_curve_view {
    const char *path; /* as given; borrowed */
    const char *name;
    ath_curve curve;
    int64_t window;  /* of the moving average */
    double *average; /* [n_steps] */
    double top;      /* a loss that all but a hundredth of the steps stay below; 0: no steps */
    double seconds;  /* of a step, without the first; 0: not known */
    double images_per_second, wait_share;
    ath_judgement judgement;
} ath_curve_view;

/* `path` is a run's folder or its curve.log; window 0: ath_curve_window's. */
ATH_MUST ath_err ath_curve_view_open(const char *path, int64_t window, ath_curve_view *out);
void ath_curve_view_close(ath_curve_view *view);

/* Steps that the run will have in all, as far as is known. */
int64_t ath_curve_view_steps(const ath_curve_view *view);

/* Round numbers for an axis from `low` to `high` > low: about `n` of them, from *first by *step. */
void ath_curve_ticks(double low, double high, int n, double *first, double *step);

/* How a text for people is laid out. */
typedef struct ath_curve_style {
    int32_t width; /* columns */
    bool is_unicode, has_colour;
} ath_curve_style;
void ath_curve_print(const ath_curve_view *view, const ath_curve_style *style, ath_str *to);

/* All runs as one list, for programs. */
ATH_MUST ath_err ath_curve_print_json(const ath_curve_view *views, int n, ath_str *to);

/* Publishes a picture of 1600 x 1000 as PNG: the first run whole, the others' moving averages. */
ATH_MUST ath_err ath_curve_draw(const ath_curve_view *views, int n, const char *path);

/* Publishes a sheet of the pictures `folder`/samples/<step>-<index>.png: a row for each step, a column
 * for each prompt. EMISSING where there are none. */
ATH_MUST ath_err ath_curve_draw_samples(const char *folder, const char *name, const char *path);

#endif
