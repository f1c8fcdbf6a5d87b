#include "cli/curve_view.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- the plot ---- */

enum { COLUMNS_MAX = 240, ROWS = 16, LEFT = 8, DOTS_X = 2, DOTS_Y = 4, MARKS_SHOWN = 8 };

/* Dots of two layers; a cell of text holds 2 x 4 of them. */
typedef struct dots {
    int32_t width, height; /* in cells */
    double low_x, high_x, top;
    uint8_t raw[ROWS][COLUMNS_MAX], average[ROWS][COLUMNS_MAX];
} dots;

static void dot(dots *d, uint8_t layer[ROWS][COLUMNS_MAX], double x, double y)
{
    /* which bit of a Braille character a dot is, by row and column */
    static const uint8_t bit[DOTS_Y][DOTS_X] = {{1, 8}, {2, 16}, {4, 32}, {64, 128}};
    const double at_x = (x - d->low_x) / (d->high_x - d->low_x) * (d->width * DOTS_X - 1);
    const double at_y = (1 - y / d->top) * (d->height * DOTS_Y - 1);

    if (!(at_x >= 0 && at_y >= 0 && at_y < d->height * DOTS_Y)) return;
    const int32_t i = (int32_t)(at_x + 0.5), k = (int32_t)(at_y + 0.5);
    layer[k / DOTS_Y][i / DOTS_X] |= bit[k % DOTS_Y][i % DOTS_X];
}

static void fill_dots(const ath_curve_view *v, dots *d)
{
    for (int64_t i = 0; i < v->curve.n_steps; i++) {
        const Athanor__Step *s = v->curve.step[i];
        const double x = (double)s->step + 1;
        if (s->has_loss && isfinite(s->loss)) dot(d, d->raw, x, s->loss);
        if (!isfinite(v->average[i])) continue;
        dot(d, d->average, x, v->average[i]);
        if (i == 0 || !isfinite(v->average[i - 1])) continue;
        const double before = v->average[i - 1], x_before = (double)v->curve.step[i - 1]->step + 1;
        for (int k = 1; k < 16; k++)
            dot(d, d->average, x_before + (x - x_before) * k / 16,
                before + (v->average[i] - before) * k / 16);
    }
}

static void print_cell(const dots *d, int32_t row, int32_t column, const ath_curve_style *style,
                       ath_str *to)
{
    const uint8_t average = d->average[row][column], raw = d->raw[row][column];
    const uint8_t bits = average ? average : raw;
    const char braille[] = {(char)0xe2, (char)(0xa0 + (bits >> 6)), (char)(0x80 + (bits & 63)), 0};

    if (!bits) {
        ath_str_put(to, " ", 1);
        return;
    }
    if (!style->is_unicode) {
        ath_str_put(to, average ? "*" : ".", 1);
        return;
    }
    if (style->has_colour)
        ath_str_print(to, "\033[%sm%s\033[0m", average ? "1;36" : "2", braille);
    else
        ath_str_print(to, "%s", braille);
}

/* The tick that lies in a row of text, or NAN. */
static double tick_in(const dots *d, int32_t row)
{
    double first, step;

    ath_curve_ticks(0, d->top, 4, &first, &step);
    for (double y = first; y <= d->top * 1.000001; y += step) {
        const double at = (1 - y / d->top) * (d->height * DOTS_Y - 1);
        if ((int32_t)(at + 0.5) / DOTS_Y == row) return y;
    }
    return (double)NAN;
}

static void print_plot(const ath_curve_view *v, const ath_curve_style *style, ath_str *to)
{
    dots d = {.height = ROWS, .width = style->width - LEFT - 2, .top = v->top * 1.05};
    const ath_curve *c = &v->curve;
    char text[64];

    if (d.width > COLUMNS_MAX) d.width = COLUMNS_MAX;
    if (c->n_steps < 2 || d.width < 20 || !(d.top > 0)) return;
    d.low_x = (double)c->step[0]->step + 1;
    d.high_x = (double)c->step[c->n_steps - 1]->step + 1;
    fill_dots(v, &d);
    for (int32_t row = 0; row < d.height; row++) {
        const double tick = tick_in(&d, row);
        if (isnan(tick))
            ath_str_print(to, "%*s |", LEFT, "");
        else
            ath_str_print(to, "%*.4g +", LEFT, tick);
        for (int32_t i = 0; i < d.width; i++) print_cell(&d, row, i, style, to);
        while (to->n && to->text && to->text[to->n - 1] == ' ') to->text[--to->n] = 0;
        ath_str_print(to, "\n");
    }
    ath_str_print(to, "%*s +", LEFT, "");
    for (int32_t i = 0; i < d.width; i++) ath_str_put(to, "-", 1);
    const int n = snprintf(text, sizeof text, "step %.0f", d.high_x);
    ath_str_print(to, "\n%*s  %-*.0f%s\n", LEFT, "", d.width - n, d.low_x, text);
    ath_str_print(to, "%*s  %s loss of a step, %s average of %" PRId64 " steps\n\n", LEFT, "",
                  style->is_unicode ? "\xe2\xa0\x82" : ".",
                  style->is_unicode ? "\xe2\xa0\x92" : "*", v->window);
}

/* ---- the numbers ---- */

static void print_number(const char *name, bool is_given, double value, const char *unit,
                         ath_str *to)
{
    if (is_given && !isnan(value)) ath_str_print(to, "  %-18s %12.5g%s\n", name, value, unit);
}

static void print_last(const ath_curve_view *v, ath_str *to)
{
    const ath_curve *c = &v->curve;
    const Athanor__Step *s = c->step[c->n_steps - 1];
    int64_t n_skipped = 0;

    for (int64_t i = 0; i < c->n_steps; i++) n_skipped += c->step[i]->skipped != 0;
    print_number("loss", s->has_loss, s->loss, "", to);
    print_number("average", true, v->average[c->n_steps - 1], "", to);
    print_number("evened out", true, v->judgement.loss, "  had all time steps come up alike", to);
    print_number("change", true, v->judgement.slope, "  per 100 steps, in the second half", to);
    print_number("U-Net rate", s->has_unet_rate, s->unet_rate, "", to);
    print_number("text encoder rate", s->has_text_encoder_rate, s->text_encoder_rate, "", to);
    print_number("gradient norm", s->has_gradient_norm, s->gradient_norm, "", to);
    print_number("steps skipped", n_skipped > 0, (double)n_skipped, "", to);
    print_number("steps/s", v->seconds > 0, 1 / v->seconds, "", to);
    print_number("images/s", v->seconds > 0, v->images_per_second, "", to);
    print_number("waiting", v->seconds > 0, 100 * v->wait_share, " %  of the ranks' time", to);
}

/* Without what a terminal would obey; `columns` characters wide, filled or cut (0: as long as it is). */
static void print_name(const char *name, int columns, ath_str *to)
{
    int n = 0;

    for (const char *at = name; *at; at++) {
        const unsigned char c = (unsigned char)*at, next = (unsigned char)at[1];
        const bool is_control = c < 0x20 || c == 0x7f || (c == 0xc2 && next >= 0x80 && next < 0xa0);
        if ((c & 0xc0u) != 0x80u && n++ == columns && columns) break;
        ath_str_put(to, is_control ? "?" : at, 1);
        if (is_control && c == 0xc2) at++;
    }
    for (; n < columns; n++) ath_str_put(to, " ", 1);
}

static void print_bar(double value, double most, const ath_curve_style *style, ath_str *to)
{
    enum { BAR = 30 };
    const int n = value > 0 ? (int)(value / most * BAR + 0.5) : 0; /* value <= most */

    for (int i = 0; i < n; i++) ath_str_print(to, "%s", style->is_unicode ? "\xe2\x96\xa0" : "#");
    ath_str_print(to, "\n");
}

static void print_parts(const ath_curve_view *v, ath_curve_part part, size_t n,
                        const ath_curve_style *style, ath_str *to)
{
    double most = 0;
    char text[32];
    int64_t samples = 0;

    for (size_t i = 0; i < n; i++)
        most = fmax(most, ath_curve_part_loss(&v->curve, part, i, v->window, &samples));
    if (!(most > 0)) return;
    ath_str_print(to, "\n  %-24s %9s %8s   last %" PRId64 " steps\n",
                  part == ATH_CURVE_BAND ? "time steps" : "concept", "loss", "samples", v->window);
    for (size_t i = 0; i < n; i++) {
        const double loss = ath_curve_part_loss(&v->curve, part, i, v->window, &samples);
        snprintf(text, sizeof text, "%zu to %zu", 100 * i, 100 * i + 99);
        ath_str_print(to, "  ");
        print_name(part == ATH_CURVE_BAND ? text : ath_curve_concept(&v->curve, i), 24, to);
        if (samples) {
            ath_str_print(to, " %9.4f %8" PRId64 "   ", loss, samples);
            print_bar(loss, most, style, to);
        } else
            ath_str_print(to, " %9s %8d\n", "", 0);
    }
}

static void print_marks(const ath_curve_view *v, ath_str *to)
{
    const ath_curve *c = &v->curve;
    const int64_t first = c->n_marks > MARKS_SHOWN ? c->n_marks - MARKS_SHOWN : 0;

    for (int64_t i = first; i < c->n_marks; i++) {
        if (i == first) ath_str_print(to, "\n  marks%s\n", first ? ", the last of them" : "");
        ath_str_print(to, "  %8" PRIu64 "  ", c->mark[i]->step);
        print_name(c->mark[i]->what ? c->mark[i]->what : "", 12, to);
        print_name(c->mark[i]->path ? c->mark[i]->path : "", 0, to);
        ath_str_print(to, "\n");
    }
}

static void print_ledger(const ath_curve *c, ath_str *to)
{
    uint64_t least = UINT64_MAX, most = 0;

    if (c->n_images == 0) return;
    for (int64_t i = 0; i < c->n_images; i++) {
        if (c->uses[i] < least) least = c->uses[i];
        if (c->uses[i] > most) most = c->uses[i];
    }
    ath_str_print(to, "\n  %" PRId64 " pictures, each used %" PRIu64, c->n_images, least);
    if (most > least) ath_str_print(to, " to %" PRIu64, most);
    ath_str_print(to, " times\n");
}

void ath_curve_print(const ath_curve_view *v, const ath_curve_style *style, ath_str *to)
{
    static const char *const colours[ATH_N_VERDICTS] = {"33", "33", "32", "33", "31"};
    const ath_curve *c = &v->curve;
    const int64_t done = c->n_steps ? (int64_t)c->step[c->n_steps - 1]->step + 1 : 0;

    print_name(v->name, style->width > 60 ? style->width - 40 : 20, to);
    while (to->n && to->text && to->text[to->n - 1] == ' ') to->text[--to->n] = 0;
    ath_str_print(to, ": step %" PRId64 " of %" PRId64, done, ath_curve_view_steps(v));
    if (c->start && c->start->ranks)
        ath_str_print(to, ", %u rank%s", c->start->ranks, c->start->ranks == 1 ? "" : "s");
    if (c->start && c->start->fast)
        ath_str_print(to, ", reduced fast: other ranks give other bits");
    ath_str_print(to, "\n\n");
    if (c->n_steps) {
        const Athanor__Step *s = c->step[c->n_steps - 1];
        print_plot(v, style, to);
        print_last(v, to);
        print_parts(v, ATH_CURVE_CONCEPT, s->n_concept, style, to);
        print_parts(v, ATH_CURVE_BAND, s->n_band, style, to);
    }
    print_marks(v, to);
    print_ledger(c, to);
    if (c->n_cut)
        ath_str_print(to,
                      "\n  %" PRId64
                      " bytes at the end of the log are no whole record: it is being "
                      "written, or was cut off\n",
                      c->n_cut);
    ath_str_print(to, style->has_colour ? "\n\033[1;%sm" : "\n", colours[v->judgement.verdict]);
    ath_str_print(to, "%s%s\n", v->judgement.text, style->has_colour ? "\033[0m" : "");
}
