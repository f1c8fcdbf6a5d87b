#include "cli/sheet_cairo.h"

#include "cli/canvas_cairo.h"
#include <inttypes.h>

enum { MARGIN = 32, GAP = 16, LABEL = 30, TITLE = 56, CELL_MAX = 320, CELL_MIN = 96, WIDE = 2400 };

static void largest(const ath_sheet *s, int32_t *width, int32_t *height)
{
    *width = *height = 1;
    for (int64_t i = 0; i < s->n; i++) {
        if (s->images[i].width > *width) *width = s->images[i].width;
        if (s->images[i].height > *height) *height = s->images[i].height;
    }
}

static void draw_cell(ath_canvas *c, const ath_sheet *s, int64_t i, int32_t width, int32_t height)
{
    const double x = MARGIN + (double)(i % s->columns) * (width + GAP);
    const double y = TITLE + MARGIN + (double)(i / s->columns) * (height + LABEL + GAP);

    if (s->images[i].rgb)
        ath_canvas_image(c, &s->images[i], x, y, width, height);
    else {
        ath_canvas_colour(c, 0xf2f4f7, 1);
        cairo_rectangle(c->cr, x, y, width, height);
        cairo_fill(c->cr);
    }
    if (!s->labels[i]) return;
    ath_canvas_colour(c, 0x3b4252, 1);
    ath_canvas_text(c, x + width / 2.0, y + height + 20, 0.5, width, s->labels[i]);
}

ath_err ath_sheet_write(const ath_sheet *s, const char *path)
{
    ath_canvas c = {0};
    ath_err err = ATH_OK;
    int32_t width, height;

    ATH_NEED(s->columns >= 1 && s->columns <= ATH_SHEET_COLUMNS_MAX && s->n > 0, ATH_ELIMIT,
             "%s: a sheet of %" PRId64 " pictures in %" PRId32 " columns, wanted 1 to %d columns",
             path, s->n, s->columns, ATH_SHEET_COLUMNS_MAX);
    largest(s, &width, &height);
    int32_t cell = (WIDE - 2 * MARGIN) / s->columns - GAP;
    if (cell > CELL_MAX) cell = CELL_MAX;
    if (cell < CELL_MIN) cell = CELL_MIN;
    const int32_t tall = (int32_t)((int64_t)cell * height / width);
    const int64_t rows = (s->n + s->columns - 1) / s->columns;
    const int64_t all_wide = 2 * MARGIN + (int64_t)s->columns * (cell + GAP) - GAP;
    const int64_t all_tall = TITLE + 2 * MARGIN + rows * (tall + LABEL + GAP) - GAP;
    ATH_NEED(all_tall <= ATH_IMAGE_SIDE_MAX, ATH_ELIMIT,
             "%s: the sheet would be %" PRId64 " pixels high, at most %d; take fewer rows", path,
             all_tall, ATH_IMAGE_SIDE_MAX);
    ATH_TRY_OUT(ath_canvas_init(&c, (int32_t)all_wide, (int32_t)all_tall));
    ath_canvas_font(&c, 26, true);
    ath_canvas_colour(&c, 0x1f2430, 1);
    ath_canvas_text(&c, MARGIN, MARGIN + 26, 0, (double)all_wide - 2 * MARGIN, s->title);
    ath_canvas_font(&c, 15, false);
    for (int64_t i = 0; i < s->n; i++) draw_cell(&c, s, i, cell, tall);
    ATH_TRY_OUT(ath_canvas_write(&c, path));
out:
    ath_canvas_release(&c);
    return err;
}
