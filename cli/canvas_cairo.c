#include "cli/canvas_cairo.h"

#include "cli/fonts_fontconfig.h"
#include "core/mem.h"
#include "core/utf8.h"
#include <string.h>

static ath_err check(cairo_status_t status)
{
    ATH_NEED(status != CAIRO_STATUS_NO_MEMORY, ATH_ENOMEM, "no memory to draw a picture");
    ATH_NEED(status == CAIRO_STATUS_SUCCESS, ATH_EIO, "drawing a picture failed: %s",
             cairo_status_to_string(status));
    return ATH_OK;
}

ath_err ath_canvas_init(ath_canvas *c, int32_t width, int32_t height)
{
    *c = (ath_canvas){.width = width, .height = height};
    c->surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, width, height);
    c->cr = cairo_create(c->surface);
    ath_err err = check(cairo_status(c->cr));
    if (err) {
        ath_canvas_release(c);
        return err;
    }
    ath_canvas_colour(c, 0xffffff, 1);
    cairo_paint(c->cr);
    return ATH_OK;
}

void ath_canvas_release(ath_canvas *c)
{
    if (c->cr) cairo_destroy(c->cr);
    if (c->surface) cairo_surface_destroy(c->surface);
    if (c->cr) cairo_debug_reset_static_data(); /* fonts that it keeps hold those lists */
    if (c->cr) ath_fonts_release();             /* leak checkers do not see through their offsets */
    *c = (ath_canvas){0};
}

ath_err ath_canvas_write(ath_canvas *c, const char *path)
{
    ath_image image = {.width = c->width, .height = c->height};
    ath_err err = ATH_OK;

    ATH_TRY_OUT(check(cairo_status(c->cr)));
    cairo_surface_flush(c->surface);
    const unsigned char *from = cairo_image_surface_get_data(c->surface);
    const int stride = cairo_image_surface_get_stride(c->surface);
    ATH_TRY_OUT(ATH_NEW((int64_t)c->width * c->height * 3, "picture", &image.rgb));
    uint8_t *to = image.rgb;
    for (int32_t y = 0; y < c->height; y++)
        for (int32_t x = 0; x < c->width; x++) {
            uint32_t pixel; /* of the machine's byte order: 0x00rrggbb */
            memcpy(&pixel, from + (int64_t)y * stride + 4 * x, sizeof pixel);
            *to++ = (uint8_t)(pixel >> 16);
            *to++ = (uint8_t)(pixel >> 8);
            *to++ = (uint8_t)pixel;
        }
    ATH_TRY_OUT(ath_png_write(path, &image, NULL, NULL));
out:
    ath_image_release(&image);
    return err;
}

void ath_canvas_colour(ath_canvas *c, uint32_t rgb, double alpha)
{
    cairo_set_source_rgba(c->cr, (rgb >> 16 & 255) / 255.0, (rgb >> 8 & 255) / 255.0,
                          (rgb & 255) / 255.0, alpha);
}

void ath_canvas_line(ath_canvas *c, double x0, double y0, double x1, double y1)
{
    cairo_move_to(c->cr, x0, y0);
    cairo_line_to(c->cr, x1, y1);
    cairo_stroke(c->cr);
}

/* ---- texts ---- */

void ath_canvas_font(ath_canvas *c, double pixels, bool is_bold)
{
    cairo_select_font_face(c->cr, "sans-serif", CAIRO_FONT_SLANT_NORMAL,
                           is_bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(c->cr, pixels);
}

static double width_of(const ath_canvas *c, const char *text)
{
    cairo_text_extents_t e;

    cairo_text_extents(c->cr, text, &e);
    return e.x_advance;
}

double ath_canvas_text(ath_canvas *c, double x, double y, double align, double width,
                       const char *text)
{
    static const char ellipsis[] = "\xe2\x80\xa6";
    char line[512];
    size_t n = strlen(text), ends[sizeof line], n_ends = 0, at = 0;

    for (size_t from = 0; from < n && at < sizeof line - 8;) {
        uint32_t code;
        const int bytes = ath_utf8_next(text + from, n - from, &code);
        ends[n_ends++] = at;
        if (bytes && code >= 0x20 && code != 0x7f)
            memcpy(line + at, text + from, (size_t)bytes);
        else
            line[at] = '?';
        at += bytes && code >= 0x20 && code != 0x7f ? (size_t)bytes : 1;
        from += bytes ? (size_t)bytes : 1;
    }
    line[at] = 0;
    while (width > 0 && n_ends > 0 && width_of(c, line) > width)
        memcpy(line + ends[--n_ends], ellipsis, sizeof ellipsis);
    const double wide = width_of(c, line);
    cairo_move_to(c->cr, x - align * wide, y);
    cairo_show_text(c->cr, line);
    return wide;
}

/* ---- pictures ---- */

void ath_canvas_image(ath_canvas *c, const ath_image *image, double x, double y, double width,
                      double height)
{
    const double by_width = width / image->width, by_height = height / image->height;
    const double scale = by_width < by_height ? by_width : by_height;
    cairo_surface_t *s =
        cairo_image_surface_create(CAIRO_FORMAT_RGB24, image->width, image->height);
    unsigned char *to = cairo_image_surface_get_data(s);
    const int stride = cairo_image_surface_get_stride(s);

    for (int32_t i = 0; to && i < image->height; i++)
        for (int32_t k = 0; k < image->width; k++) {
            const uint8_t *p = image->rgb + 3 * ((int64_t)i * image->width + k);
            const uint32_t pixel = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
            memcpy(to + (int64_t)i * stride + 4 * k, &pixel, sizeof pixel);
        }
    cairo_surface_mark_dirty(s);
    cairo_save(c->cr);
    cairo_translate(c->cr, x + (width - scale * image->width) / 2,
                    y + (height - scale * image->height) / 2);
    cairo_scale(c->cr, scale, scale);
    cairo_set_source_surface(c->cr, s, 0, 0); /* one that failed shows in the canvas' own status */
    cairo_pattern_set_filter(cairo_get_source(c->cr), CAIRO_FILTER_GOOD);
    cairo_paint(c->cr);
    cairo_restore(c->cr);
    cairo_surface_destroy(s);
}
