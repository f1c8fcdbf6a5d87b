/* A picture to draw on: shapes by cairo, texts in the machine's sans-serif font, out as PNG. */
#ifndef ATH_CLI_CANVAS_CAIRO_H
#define ATH_CLI_CANVAS_CAIRO_H

#include "core/io/image.h"
#include <cairo/cairo.h>

/* {0} is empty. */
typedef struct ath_canvas {
    cairo_surface_t *surface;
    cairo_t *cr;
    int32_t width, height;
} ath_canvas;

/* White. */
ATH_MUST ath_err ath_canvas_init(ath_canvas *c, int32_t width, int32_t height);
void ath_canvas_release(ath_canvas *c);

/* Publishes it; an error of anything drawn before is found here. */
ATH_MUST ath_err ath_canvas_write(ath_canvas *c, const char *path);

/* 0xrrggbb */
void ath_canvas_colour(ath_canvas *c, uint32_t rgb, double alpha);
void ath_canvas_line(ath_canvas *c, double x0, double y0, double x1, double y1);

/* A font, for the texts that follow. */
void ath_canvas_font(ath_canvas *c, double pixels, bool is_bold);
/* UTF-8 on the line y; align 0: begins at x, 0.5: is centred there, 1: ends there. Cut with an ellipsis
 * where it is wider than `width` (0: never). Bytes that are no text become question marks. Gives the
 * width drawn. */
double ath_canvas_text(ath_canvas *c, double x, double y, double align, double width,
                       const char *text);

/* A picture within a box, as large as fits, centred. */
void ath_canvas_image(ath_canvas *c, const ath_image *image, double x, double y, double width,
                      double height);

#endif
