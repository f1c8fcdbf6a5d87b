#include "cli/cmd.h"
#include "cli/curve_view.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

typedef struct values {
    const char *png, *tensorboard, *h5, *sheet;
    int64_t smooth;
    bool json;
} values;

static const ath_opt opts[] = {
    {"png", ATH_OPT_TEXT, offsetof(values, png), "FILE", .help = "draw it, 1600 x 1000 pixels"},
    {"tensorboard", ATH_OPT_TEXT, offsetof(values, tensorboard), "FOLDER",
     .help = "write events there, for tensorboard --logdir"},
    {"h5", ATH_OPT_TEXT, offsetof(values, h5), "FILE", .help = "write all of it as HDF5"},
    {"sheet", ATH_OPT_TEXT, offsetof(values, sheet), "FILE",
     .help = "draw the run's samples: a row for each step"},
    {"json", ATH_OPT_SWITCH, offsetof(values, json), .help = "for programs"},
    {"smooth", ATH_OPT_INT, offsetof(values, smooth), "0..1000000", "0",
     "steps of the moving average; 0: a tenth of the run, 10 to 500"},
    {0},
};

/* What the terminal says; elsewhere plain text of 80 columns. */
static ath_curve_style find_style(void)
{
    const bool is_terminal = isatty(STDOUT_FILENO);
    ath_curve_style style = {.width = 80};
    struct winsize size = {0};
    const char *words = NULL;

    if (!is_terminal) return style;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 40)
        style.width = size.ws_col;
    for (size_t i = 0; i < 3 && (!words || !*words); i++)
        words = getenv((const char *[]){"LC_ALL", "LC_CTYPE", "LANG"}[i]);
    style.is_unicode = words && (strstr(words, "UTF-8") || strstr(words, "utf8"));
    const char *no_colour = getenv("NO_COLOR"), *term = getenv("TERM");
    style.has_colour = (!no_colour || !*no_colour) && term && strcmp(term, "dumb") != 0;
    return style;
}

static ath_err print(const values *v, const ath_curve_view *views, int n)
{
    const ath_curve_style style = find_style();
    ath_str text = {0};
    ath_err err = ATH_OK;

    if (v->json) ATH_TRY_OUT(ath_curve_print_json(views, n, &text));
    for (int i = 0; i < n && !v->json; i++) {
        if (i) ath_str_print(&text, "\n");
        ath_curve_print(&views[i], &style, &text);
    }
    ATH_TRY_OUT(ath_str_check(&text));
    fputs(ath_str_text(&text), stdout); /* main looks whether it was written */
out:
    ath_str_release(&text);
    return err;
}

/* What is written from one run: a second one is refused before anything is. */
static ath_err write_files(const values *v, const ath_curve_view *views, int n)
{
    const ath_curve_view *first = &views[0];

    ATH_NEED(n == 1 || !(v->tensorboard || v->h5 || v->sheet), ATH_EINVAL,
             "curve: --tensorboard, --h5 and --sheet take one run, found %d", n);
    if (v->png) ATH_TRY(ath_curve_draw(views, n, v->png));
    if (v->tensorboard) ATH_TRY(ath_curve_write_events(&first->curve, v->tensorboard, NULL));
    if (v->h5) ATH_TRY(ath_curve_write_h5(&first->curve, v->h5));
    if (v->sheet) ATH_TRY(ath_curve_draw_samples(first->path, first->name, v->sheet));
    return ATH_OK;
}

static ath_err run(const void *given, int n_args, char **args)
{
    ath_curve_view views[ATH_CURVE_RUNS_MAX] = {0};
    const values *v = given;
    ath_err err = ATH_OK;

    for (int i = 0; i < n_args; i++)
        ATH_TRY_OUT(ath_curve_view_open(args[i], v->smooth, &views[i]));
    ATH_TRY_OUT(write_files(v, views, n_args));
    ATH_TRY_OUT(print(v, views, n_args));
out:
    for (int i = 0; i < n_args; i++) ath_curve_view_close(&views[i]);
    return err;
}

const ath_cmd ath_cmd_curve = {
    .name = "curve",
    .args = "RUN ...",
    .help = "shows how a run goes: its loss, speed and a verdict",
    .min_args = 1,
    .max_args = ATH_CURVE_RUNS_MAX,
    .opts = opts,
    .values_bytes = sizeof(values),
    .run = run,
};
