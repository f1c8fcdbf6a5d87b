/*
 * Pictures as one labelled sheet:
 *
 *     sheet OUT.png LIST
 *
 * A line of LIST is a row: its label, then paths of PNG files, with tabs between; a line that begins
 * with a tab holds headings. Pictures are shown in the size of the largest.
 */
#include "core/io/file.h"
#include "core/mem.h"
#include <stdio.h>
#include <string.h>

#include <cairo.h>

enum {
    LIST_BYTES_MAX = 1 << 20,
    GAP = 8,
    LABEL = 150,
    HEADING = 44,
    FONT = 13,
    CELLS_MAX = 4096,
    WORD = 64
};

typedef struct cell {
    const char *text;         /* a label, a heading or a path */
    cairo_surface_t *picture; /* of a path */
    int32_t row, column;
    bool is_heading; /* it stands in a row of them */
} cell;

typedef struct sheet {
    char *list;
    cell *cells;
    int64_t n, room;
    int32_t n_columns, side; /* the labels' too; of a picture */
} sheet;

static ath_err read_cells(const char *path, sheet *s)
{
    size_t n = 0;

    ATH_TRY(ath_file_read(path, LIST_BYTES_MAX, &s->list, &n));
    char *next = s->list;
    bool is_heading = *next == '\t';
    for (int32_t row = 0, column = 0; *next; column++) {
        ATH_NEED(s->n < CELLS_MAX, ATH_ELIMIT, "%s: more than %d cells", path, CELLS_MAX);
        ATH_TRY(ath_mem_grow(&s->cells, s->n, &s->room, sizeof *s->cells, "cells of a sheet"));
        s->cells[s->n++] = (cell){next, NULL, row, column, is_heading};
        if (column >= s->n_columns) s->n_columns = column + 1;
        next += strcspn(next, "\t\n");
        const bool is_end = *next == '\n';
        if (*next) *next++ = '\0';
        if (!is_end) continue;
        row++;
        column = -1;
        is_heading = *next == '\t';
    }
    return ATH_OK;
}

static ath_err read_pictures(const char *list, sheet *s)
{
    for (int64_t i = 0; i < s->n; i++) {
        cell *c = &s->cells[i];
        if (c->is_heading || c->column == 0) continue;
        c->picture = cairo_image_surface_create_from_png(c->text);
        const cairo_status_t status = cairo_surface_status(c->picture);
        ATH_NEED(!status, ATH_EFORMAT, "%s: row %d: %s: %s", list, c->row, c->text,
                 cairo_status_to_string(status));
        const int32_t w = cairo_image_surface_get_width(c->picture);
        const int32_t h = cairo_image_surface_get_height(c->picture);
        s->side = w > s->side ? w : s->side;
        s->side = h > s->side ? h : s->side;
    }
    ATH_NEED(s->side > 0, ATH_EMISSING, "%s: there is no picture in it", list);
    return ATH_OK;
}

/* A text word by word, in lines of `width` pixels. */
static void draw_text(cairo_t *to, const char *text, double x, double y, double width)
{
    cairo_text_extents_t size;
    char word[WORD];
    double pen = x;

    while (*text) {
        const size_t n = strcspn(text, " ") + strspn(text + strcspn(text, " "), " ");
        snprintf(word, sizeof word, "%.*s", (int)n, text);
        cairo_text_extents(to, word, &size);
        if (pen > x && pen - x + size.width > width) pen = x, y += FONT + 2;
        cairo_move_to(to, pen, y);
        cairo_show_text(to, word);
        pen += size.x_advance;
        text += n;
    }
}

static int32_t height_of(const sheet *s, const cell *c)
{
    return c->is_heading ? HEADING : s->side + GAP;
}

static void draw_cell(cairo_t *to, const sheet *s, const cell *c, double y)
{
    const double x = c->column == 0 ? GAP : LABEL + (c->column - 1) * (s->side + GAP);

    if (!c->picture && c->column == 0) {
        draw_text(to, c->text, x, y + s->side / 2.0, LABEL - 2 * GAP);
    } else if (!c->picture) {
        draw_text(to, c->text, x, y + FONT + GAP, s->side);
    } else {
        cairo_save(to);
        cairo_translate(to, x, y);
        cairo_scale(to, (double)s->side / cairo_image_surface_get_width(c->picture),
                    (double)s->side / cairo_image_surface_get_height(c->picture));
        cairo_set_source_surface(to, c->picture, 0, 0);
        cairo_paint(to);
        cairo_restore(to);
    }
}

static ath_err write_sheet(const char *path, const sheet *s)
{
    const int32_t width = LABEL + (s->n_columns - 1) * (s->side + GAP);
    int32_t height = GAP;
    for (int64_t i = 0; i < s->n; i++)
        if (s->cells[i].column == 0) height += height_of(s, &s->cells[i]);
    cairo_surface_t *surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, width, height);
    cairo_t *to = cairo_create(surface);

    cairo_set_source_rgb(to, 0.93, 0.93, 0.93);
    cairo_paint(to);
    cairo_select_font_face(to, "sans-serif", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(to, FONT);
    double y = GAP;
    for (int64_t i = 0; i < s->n; i++) {
        if (i > 0 && s->cells[i].column == 0) y += height_of(s, &s->cells[i - 1]);
        cairo_set_source_rgb(to, 0, 0, 0);
        draw_cell(to, s, &s->cells[i], y);
    }
    cairo_status_t status = cairo_status(to);
    if (!status) status = cairo_surface_write_to_png(surface, path);
    cairo_destroy(to);
    cairo_surface_destroy(surface);
    ATH_NEED(!status, ATH_EIO, "%s: %s", path, cairo_status_to_string(status));
    return ATH_OK;
}

static ath_err run(int argc, char **argv)
{
    sheet s = {0};
    ath_err err = ATH_OK;

    ATH_NEED(
        argc == 3, ATH_EINVAL,
        "sheet OUT.png LIST; a line of LIST is a label and paths of PNG files, with tabs between");
    ATH_TRY_OUT(read_cells(argv[2], &s));
    ATH_TRY_OUT(read_pictures(argv[2], &s));
    ATH_TRY_OUT(write_sheet(argv[1], &s));
out:
    for (int64_t i = 0; i < s.n; i++)
        if (s.cells[i].picture) cairo_surface_destroy(s.cells[i].picture);
    ath_mem_free(&s.cells);
    ath_mem_free(&s.list);
    return err;
}

int main(int argc, char **argv)
{
    const ath_err err = run(argc, argv);

    if (err) fprintf(stderr, "sheet: %s\n", ath_err_text());
    return ath_err_exit_code(err);
}
