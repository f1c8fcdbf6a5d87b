#include "cli/canvas_cairo.h"
#include "cli/curve_view.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { WIDTH = 1600, HEIGHT = 1000, LEFT = 104, RIGHT = 1190, SIDE = 1270, SIDE_RIGHT = 1552 };

enum {
    INK = 0x1f2430,
    SOFT = 0x6b7385,
    GRID = 0xe7eaf0,
    RAW = 0x7fb2e5,
    RATE = 0x2a9d5c,
    TEXT_RATE = 0xd98324,
    NORM = 0x8a5bb5,
    BAR = 0xb9d3ee
};

static const uint32_t run_colours[ATH_CURVE_RUNS_MAX] = {0x1b5fae, 0xd1495b, 0x2a9d5c, 0xd98324,
                                                         0x8a5bb5, 0x0f8b8d, 0x9c6644, 0x5c677d};

/* An area with axes. */
typedef struct panel {
    ath_canvas *c;
    double y0, y1; /* from the top, in pixels */
    double low_x, high_x, low, high;
} panel;

static double place_x(const panel *p, double x)
{
    return LEFT + (x - p->low_x) / (p->high_x - p->low_x) * (RIGHT - LEFT);
}

static double place_y(const panel *p, double y)
{
    return p->y1 - (y - p->low) / (p->high - p->low) * (p->y1 - p->y0);
}

/* ---- axes ---- */

static void draw_x_axis(const panel *p, bool is_named)
{
    double first, step;
    char text[32];

    ath_curve_ticks(p->low_x, p->high_x, 8, &first, &step);
    if (step < 1) step = 1;
    cairo_set_line_width(p->c->cr, 1);
    for (double x = ceil(first); x <= p->high_x + 1e-9; x += step) {
        const double at = floor(place_x(p, x)) + 0.5;
        ath_canvas_colour(p->c, GRID, 1);
        ath_canvas_line(p->c, at, p->y0, at, p->y1);
        if (!is_named) continue;
        snprintf(text, sizeof text, "%.0f", x);
        ath_canvas_colour(p->c, SOFT, 1);
        ath_canvas_text(p->c, at, p->y1 + 24, 0.5, 0, text);
    }
    if (is_named) ath_canvas_text(p->c, RIGHT, p->y1 + 48, 1, 0, "steps");
}

static void draw_axes(const panel *p, const char *title, int n_ticks, bool is_named)
{
    double first, step;
    char text[32];

    ath_canvas_font(p->c, 16, false);
    draw_x_axis(p, is_named);
    ath_curve_ticks(p->low, p->high, n_ticks, &first, &step);
    for (double y = first; y <= p->high + step * 1e-6; y += step) {
        const double at = floor(place_y(p, y)) + 0.5;
        ath_canvas_colour(p->c, GRID, 1);
        ath_canvas_line(p->c, LEFT, at, RIGHT, at);
        snprintf(text, sizeof text, "%.4g", fabs(y) < step * 1e-6 ? 0 : y);
        ath_canvas_colour(p->c, SOFT, 1);
        ath_canvas_text(p->c, LEFT - 12, at + 5, 1, 0, text);
    }
    ath_canvas_colour(p->c, INK, 1);
    ath_canvas_font(p->c, 17, true);
    ath_canvas_text(p->c, LEFT, p->y0 - 12, 0, 0, title);
    ath_canvas_font(p->c, 16, false);
}

/* ---- lines ---- */

/* What a line shows at step i; NAN: nothing. */
typedef double value_fn(const ath_curve_view *v, int64_t i);

static double loss_at(const ath_curve_view *v, int64_t i)
{
    const Athanor__Step *s = v->curve.step[i];
    return s->has_loss ? s->loss : (double)NAN;
}

static double average_at(const ath_curve_view *v, int64_t i)
{
    return v->average[i];
}

static double unet_rate_at(const ath_curve_view *v, int64_t i)
{
    const Athanor__Step *s = v->curve.step[i];
    return s->has_unet_rate ? s->unet_rate : (double)NAN;
}

static double text_rate_at(const ath_curve_view *v, int64_t i)
{
    const Athanor__Step *s = v->curve.step[i];
    return s->has_text_encoder_rate ? s->text_encoder_rate : (double)NAN;
}

static double norm_at(const ath_curve_view *v, int64_t i)
{
    const Athanor__Step *s = v->curve.step[i];
    return s->has_gradient_norm ? s->gradient_norm : (double)NAN;
}

static double highest(const ath_curve_view *v, value_fn *value)
{
    double out = 0;

    for (int64_t i = 0; i < v->curve.n_steps; i++) {
        const double y = value(v, i);
        if (isfinite(y) && y > out) out = y;
    }
    return out;
}

/* Through what is finite; gaps stay open. */
static void draw_line(const panel *p, const ath_curve_view *v, value_fn *value, double width,
                      uint32_t colour, double alpha)
{
    bool is_down = false;

    cairo_save(p->c->cr);
    cairo_rectangle(p->c->cr, LEFT - 2, p->y0 - 2, RIGHT - LEFT + 4, p->y1 - p->y0 + 4);
    cairo_clip(p->c->cr);
    cairo_set_line_width(p->c->cr, width);
    cairo_set_line_join(p->c->cr, CAIRO_LINE_JOIN_ROUND);
    ath_canvas_colour(p->c, colour, alpha);
    for (int64_t i = 0; i < v->curve.n_steps; i++) {
        const double y = value(v, i), x = (double)v->curve.step[i]->step + 1;
        if (!isfinite(y)) {
            is_down = false;
            continue;
        }
        if (is_down)
            cairo_line_to(p->c->cr, place_x(p, x), place_y(p, y));
        else
            cairo_move_to(p->c->cr, place_x(p, x), place_y(p, y));
        is_down = true;
    }
    cairo_stroke(p->c->cr);
    cairo_restore(p->c->cr);
}

/* From right to left: gives where the next entry ends. */
static double draw_legend(ath_canvas *c, double right, double y, uint32_t colour, const char *text)
{
    ath_canvas_colour(c, INK, 1);
    const double wide = ath_canvas_text(c, right, y, 1, 360, text);
    ath_canvas_colour(c, colour, 1);
    cairo_set_line_width(c->cr, 4);
    ath_canvas_line(c, right - wide - 34, y - 5, right - wide - 10, y - 5);
    return right - wide - 58;
}

/* ---- panels ---- */

static uint32_t mark_colour(const char *what)
{
    if (strcmp(what, "saved") == 0) return RATE;
    if (strcmp(what, "resumed") == 0) return run_colours[1];
    return strcmp(what, "sampled") == 0 ? TEXT_RATE : SOFT;
}

static void draw_marks(const panel *p, const ath_curve_view *v)
{
    const ath_curve *c = &v->curve;
    double free_from = -1e9;

    ath_canvas_font(p->c, 13, false);
    for (int64_t i = 0; i < c->n_marks; i++) {
        const char *what = c->mark[i]->what ? c->mark[i]->what : "";
        const double x = floor(place_x(p, (double)c->mark[i]->step)) + 0.5;
        if (x < LEFT - 1 || x > RIGHT + 1) continue;
        ath_canvas_colour(p->c, mark_colour(what), 0.9);
        cairo_move_to(p->c->cr, x, p->y1 - 9);
        cairo_line_to(p->c->cr, x - 5, p->y1);
        cairo_line_to(p->c->cr, x + 5, p->y1);
        cairo_fill(p->c->cr);
        if (x - 4 < free_from || x > RIGHT - 60) continue;
        free_from = x + 10 + ath_canvas_text(p->c, x + 7, p->y1 - 4, 0, 0, what);
    }
}

static void draw_loss(const panel *p, const ath_curve_view *views, int n)
{
    char text[64];
    double right = RIGHT;

    draw_axes(p, "loss", 6, false);
    draw_line(p, &views[0], loss_at, 1, RAW, 0.55);
    for (int i = n - 1; i >= 0; i--) draw_line(p, &views[i], average_at, 3.2, run_colours[i], 1);
    draw_marks(p, &views[0]);
    ath_canvas_font(p->c, 16, false);
    for (int i = n - 1; n > 1 && i >= 0; i--)
        right = draw_legend(p->c, right, p->y0 - 12, run_colours[i], views[i].name);
    if (n > 1) return;
    snprintf(text, sizeof text, "average of %" PRId64 " steps", views[0].window);
    right = draw_legend(p->c, right, p->y0 - 12, run_colours[0], text);
    draw_legend(p->c, right, p->y0 - 12, RAW, "each step");
}

static void draw_rates(panel *p, const ath_curve_view *v)
{
    const double unet = highest(v, unet_rate_at), text = highest(v, text_rate_at);
    double right = RIGHT;

    p->high = fmax(unet, text) * 1.08;
    if (!(p->high > 0)) p->high = 1;
    draw_axes(p, "learning rate", 3, false);
    draw_line(p, v, text_rate_at, 2.4, TEXT_RATE, 1);
    draw_line(p, v, unet_rate_at, 2.4, RATE, 1);
    if (text > 0) right = draw_legend(p->c, right, p->y0 - 12, TEXT_RATE, "text encoder");
    if (unet > 0) draw_legend(p->c, right, p->y0 - 12, RATE, "U-Net");
}

static void draw_norm(panel *p, const ath_curve_view *v)
{
    p->high = highest(v, norm_at) * 1.08;
    if (!(p->high > 0)) p->high = 1;
    draw_axes(p, "gradient norm, before clipping", 3, true);
    draw_line(p, v, norm_at, 1.4, NORM, 0.9);
}

/* ---- the side: shares and numbers ---- */

/* Bars of the shares of a step, from y down; gives where they end. */
static double draw_shares(ath_canvas *c, const ath_curve_view *v, ath_curve_part part, size_t n,
                          double y)
{
    enum { SHOWN = 10, ROW = 27, NAME = 96 };
    double most = 0;
    int64_t samples = 0;
    char text[32];

    if (n > SHOWN) n = SHOWN;
    for (size_t i = 0; i < n; i++)
        most = fmax(most, ath_curve_part_loss(&v->curve, part, i, v->window, &samples));
    if (!(most > 0)) return y;
    ath_canvas_font(c, 17, true);
    ath_canvas_colour(c, INK, 1);
    ath_canvas_text(c, SIDE, y, 0, 0,
                    part == ATH_CURVE_BAND ? "loss by time step" : "loss by concept");
    ath_canvas_font(c, 15, false);
    for (size_t i = 0; i < n; i++) {
        const double loss = ath_curve_part_loss(&v->curve, part, i, v->window, &samples);
        const double at = y + 32 + (double)i * ROW, x = SIDE + NAME + 10;
        snprintf(text, sizeof text, "%zu\xe2\x80\x93%zu", 100 * i, 100 * i + 99);
        ath_canvas_colour(c, SOFT, 1);
        ath_canvas_text(c, x - 10, at, 1, NAME,
                        part == ATH_CURVE_BAND ? text : ath_curve_concept(&v->curve, i));
        if (!samples) continue;
        const double room = SIDE_RIGHT - x - 62;
        ath_canvas_colour(c, BAR, 1);
        cairo_rectangle(c->cr, x, at - 15, fmax(loss / most * room, 2), 19);
        cairo_fill(c->cr);
        snprintf(text, sizeof text, "%.4f", loss);
        ath_canvas_colour(c, INK, 1);
        ath_canvas_text(c, x + fmax(loss / most * room, 2) + 8, at, 0, 0, text);
    }
    return y + 32 + (double)n * ROW + 34;
}

static void draw_number(ath_canvas *c, double *y, const char *name, const char *unit, double value)
{
    char text[32];

    if (!isfinite(value)) return;
    ath_canvas_colour(c, SOFT, 1);
    ath_canvas_text(c, SIDE, *y, 0, 0, name);
    snprintf(text, sizeof text, "%.4g%s", value, unit);
    ath_canvas_colour(c, INK, 1);
    ath_canvas_text(c, SIDE_RIGHT, *y, 1, 0, text);
    *y += 27;
}

static void draw_numbers(ath_canvas *c, const ath_curve_view *v, double y)
{
    const int64_t last = v->curve.n_steps - 1;
    const double none = (double)NAN;

    ath_canvas_font(c, 17, true);
    ath_canvas_colour(c, INK, 1);
    ath_canvas_text(c, SIDE, y, 0, 0, "at the end");
    ath_canvas_font(c, 15, false);
    y += 32;
    draw_number(c, &y, "average loss", "", v->average[last]);
    draw_number(c, &y, "evened out over time steps", "", v->judgement.loss);
    draw_number(c, &y, "gradient norm", "", norm_at(v, last));
    draw_number(c, &y, "steps/s", "", v->seconds > 0 ? 1 / v->seconds : none);
    draw_number(c, &y, "images/s", "", v->seconds > 0 ? v->images_per_second : none);
    draw_number(c, &y, "ranks wait", " %", v->seconds > 0 ? 100 * v->wait_share : none);
}

/* ---- head and foot ---- */

static void draw_head(ath_canvas *c, const ath_curve_view *v)
{
    const ath_curve *curve = &v->curve;
    char text[128], on[32] = "";
    const int64_t done = curve->n_steps ? (int64_t)curve->step[curve->n_steps - 1]->step + 1 : 0;
    const uint32_t ranks = curve->start ? curve->start->ranks : 0;

    ath_canvas_font(c, 30, true);
    ath_canvas_colour(c, INK, 1);
    ath_canvas_text(c, LEFT, 62, 0, 1000, v->name);
    if (ranks) snprintf(on, sizeof on, ", %" PRIu32 " rank%s", ranks, ranks == 1 ? "" : "s");
    snprintf(text, sizeof text, "step %" PRId64 " of %" PRId64 "%s", done, ath_curve_view_steps(v),
             on);
    ath_canvas_font(c, 18, false);
    ath_canvas_colour(c, SOFT, 1);
    ath_canvas_text(c, SIDE_RIGHT, 60, 1, 0, text);
}

static void draw_verdict(ath_canvas *c, const ath_curve_view *v)
{
    static const uint32_t colours[ATH_N_VERDICTS] = {SOFT, TEXT_RATE, RATE, TEXT_RATE, 0xc62f3b};

    ath_canvas_colour(c, colours[v->judgement.verdict], 1);
    cairo_arc(c->cr, LEFT + 8, HEIGHT - 34, 8, 0, 6.283185307179586);
    cairo_fill(c->cr);
    ath_canvas_font(c, 18, false);
    ath_canvas_colour(c, INK, 1);
    ath_canvas_text(c, LEFT + 28, HEIGHT - 28, 0, SIDE_RIGHT - LEFT - 28, v->judgement.text);
}

static void draw_panels(ath_canvas *c, const ath_curve_view *views, int n)
{
    panel p = {.c = c, .low_x = (double)INFINITY, .high_x = 1};
    double top = 0;

    for (int i = 0; i < n; i++) {
        const ath_curve *curve = &views[i].curve;
        if (!curve->n_steps) continue;
        p.low_x = fmin(p.low_x, (double)curve->step[0]->step + 1);
        p.high_x = fmax(p.high_x, (double)curve->step[curve->n_steps - 1]->step + 1);
        top = fmax(top, i ? highest(&views[i], average_at) : views[i].top);
    }
    if (!(p.low_x < p.high_x)) p.low_x = 0;
    p.high = top > 0 ? top * 1.06 : 1;
    p.y0 = 128, p.y1 = 545;
    draw_loss(&p, views, n);
    p.y0 = 606, p.y1 = 716;
    draw_rates(&p, &views[0]);
    p.y0 = 777, p.y1 = 887;
    draw_norm(&p, &views[0]);
}

ath_err ath_curve_draw(const ath_curve_view *views, int n, const char *path)
{
    const ath_curve *curve = &views[0].curve;
    ath_canvas c = {0};
    ath_err err = ATH_OK;

    ATH_TRY_OUT(ath_canvas_init(&c, WIDTH, HEIGHT));
    draw_head(&c, &views[0]);
    draw_panels(&c, views, n);
    if (curve->n_steps) {
        const Athanor__Step *last = curve->step[curve->n_steps - 1];
        double y = draw_shares(&c, &views[0], ATH_CURVE_BAND, last->n_band, 116);
        y = draw_shares(&c, &views[0], ATH_CURVE_CONCEPT, last->n_concept, y);
        draw_numbers(&c, &views[0], y);
    }
    draw_verdict(&c, &views[0]);
    ATH_TRY_OUT(ath_canvas_write(&c, path));
out:
    ath_canvas_release(&c);
    return err;
}
