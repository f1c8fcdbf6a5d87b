#include "core/io/file.h"
#include "core/io/image_private.h"
#include "core/mem.h"
#include "core/str.h"
#include "core/utf8.h"

#include <png.h>
#include <setjmp.h>
#include <string.h>

/* libpng leaves a function by longjmp. So everything that lives across it lies in this struct, owned by
 * the one function that frees it, and setjmp stands in a function that has nothing else. */
typedef struct job {
    png_structp png;
    png_infop info;
    const char *name; /* of the file */
    char says[200];   /* libpng's complaint */
    bool is_out_of_memory;
    /* reading */
    const ath_image_file *file;
    size_t at;
    int n_channels;
    ath_image_raw *raw;
    uint8_t **rows;
    /* writing */
    const ath_image *image;
    png_text text;
    ath_str out;
    uint8_t *mixed; /* rgb and alpha of one row */
} job;

static void on_error(png_structp png, png_const_charp says)
{
    job *j = png_get_error_ptr(png);
    snprintf(j->says, sizeof j->says, "%s", says);
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp says)
{
    (void)png;
    (void)says;
}

static png_voidp on_malloc(png_structp png, png_alloc_size_t n)
{
    job *j = png_get_mem_ptr(png);
    char *p = NULL;

    if (ATH_NEW(n, "PNG", &p)) j->is_out_of_memory = true; /* libpng goes on without some things */
    return p;
}

static void on_free(png_structp png, png_voidp p)
{
    (void)png;
    ath_mem_drop(p);
}

static bool runs(job *j, void (*body)(job *))
{
    if (setjmp(png_jmpbuf(j->png))) return false;
    body(j);
    return !j->is_out_of_memory;
}

static ath_err refuse(const job *j)
{
    ATH_NEED(!j->is_out_of_memory, ATH_ENOMEM, "%s: no memory for a PNG", j->name);
    return ath_raise(ATH_EFORMAT, "%s: not a good PNG: %s", j->name, j->says);
}

/* Reading. */

static void on_read(png_structp png, png_bytep to, size_t n)
{
    job *j = png_get_io_ptr(png);

    if (n > j->file->n - j->at) png_error(png, "the file ends in the middle");
    memcpy(to, j->file->bytes + j->at, n);
    j->at += n;
}

/* Whatever the file has becomes 8-bit RGB or RGBA; nothing looks at gamma. */
static void set_conversions(job *j)
{
    png_byte color = png_get_color_type(j->png, j->info);

    png_set_expand(j->png);
    png_set_strip_16(j->png);
    if (!(color & PNG_COLOR_MASK_COLOR)) png_set_gray_to_rgb(j->png);
    if (j->n_channels == 3)
        png_set_strip_alpha(j->png);
    else
        png_set_add_alpha(j->png, 255, PNG_FILLER_AFTER);
    png_set_interlace_handling(j->png);
    png_read_update_info(j->png, j->info);
}

static void read_orientation(job *j)
{
    png_bytep bytes = NULL;
    png_uint_32 n = 0;

    if (png_get_eXIf_1(j->png, j->info, &n, &bytes)) j->raw->orientation = ath_image_exif(bytes, n);
}

/* Text and colour profiles can be large or broken, and nothing here looks at them. */
static const png_byte skipped[] = "iCCP\0tEXt\0zTXt\0iTXt\0sPLT";

static void read_head(job *j)
{
    png_set_keep_unknown_chunks(j->png, PNG_HANDLE_CHUNK_NEVER, skipped, sizeof skipped / 5);
    png_set_user_limits(j->png, PNG_UINT_31_MAX, PNG_UINT_31_MAX); /* refused by us, with words */
    png_set_read_fn(j->png, j, on_read);
    png_read_info(j->png, j->info);
    read_orientation(j);
}

static void read_rows(job *j)
{
    set_conversions(j);
    if (png_get_rowbytes(j->png, j->info) != (size_t)j->raw->width * (size_t)j->n_channels)
        png_error(j->png, "an unknown kind of pixels");
    png_read_image(j->png, j->rows);
    png_read_end(j->png, NULL);
}

static ath_err decode(job *j)
{
    ath_image_raw *raw = j->raw;
    const size_t row = (size_t)j->n_channels;

    if (!runs(j, read_head)) return refuse(j);
    ATH_TRY(ath_image_set_size(j->file, png_get_image_width(j->png, j->info),
                               png_get_image_height(j->png, j->info), raw));
    if (!j->n_channels) return ATH_OK;
    ATH_TRY(ath_image_new_pixels(j->file, j->n_channels, raw));
    ATH_TRY(ATH_NEW(raw->height, j->file->name, &j->rows));
    for (size_t y = 0; y < (size_t)raw->height; y++)
        j->rows[y] = raw->pixels + y * row * (size_t)raw->width;
    return runs(j, read_rows) ? ATH_OK : refuse(j);
}

ath_err ath_image_decode_png(const ath_image_file *file, int n_channels, ath_image_raw *raw)
{
    job j = {.name = file->name, .file = file, .n_channels = n_channels, .raw = raw};
    ath_err err = ATH_OK;

    j.png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, &j, on_error, on_warning, &j, on_malloc,
                                     on_free);
    j.info = j.png ? png_create_info_struct(j.png) : NULL;
    if (j.info)
        err = decode(&j);
    else
        err = ath_raise(ATH_ENOMEM, "%s: no memory to read a PNG", file->name);
    png_destroy_read_struct(&j.png, &j.info, NULL);
    ath_mem_free(&j.rows);
    return err;
}

/* Writing. */

static void on_write(png_structp png, png_bytep bytes, size_t n)
{
    job *j = png_get_io_ptr(png);

    ath_str_put(&j->out, bytes, n);
    if (ath_str_check(&j->out)) png_error(png, "no memory");
}

static void on_flush(png_structp png)
{
    (void)png;
}

static void write_all(job *j)
{
    const ath_image *m = j->image;
    const size_t width = (size_t)m->width;

    png_set_write_fn(j->png, j, on_write, on_flush);
    png_set_IHDR(j->png, j->info, (png_uint_32)m->width, (png_uint_32)m->height, 8,
                 m->alpha ? PNG_COLOR_TYPE_RGBA : PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_BASE, PNG_FILTER_TYPE_BASE);
    png_set_compression_level(j->png, 6);
    if (j->text.key) png_set_text(j->png, j->info, &j->text, 1);
    png_write_info(j->png, j->info);
    for (size_t y = 0; y < (size_t)m->height; y++) {
        const uint8_t *rgb = m->rgb + 3 * y * width;
        for (size_t x = 0; m->alpha && x < width; x++) {
            memcpy(j->mixed + 4 * x, rgb + 3 * x, 3);
            j->mixed[4 * x + 3] = m->alpha[y * width + x];
        }
        png_write_row(j->png, m->alpha ? j->mixed : rgb);
    }
    png_write_end(j->png, NULL);
}

/* The text as tEXt where Latin-1 has all of its letters, else as iTXt. `latin` holds the former. */
static ath_err choose_text(job *j, const char *path, const char *text, ath_str *latin)
{
    const size_t n = strlen(text), n_good = ath_utf8_check(text, n);
    bool is_latin = true;
    uint32_t c;

    ATH_NEED(n_good == n, ATH_EINVAL, "%s: the text is not UTF-8 at byte %zu", path, n_good);
    for (const char *p = text; *p && is_latin;) {
        p += ath_utf8_next(p, n - (size_t)(p - text), &c);
        is_latin = c < 0x100;
        ath_str_put(latin, &(uint8_t){(uint8_t)c}, 1);
    }
    ATH_TRY(ath_str_check(latin));
    j->text.compression = is_latin ? PNG_TEXT_COMPRESSION_NONE : PNG_ITXT_COMPRESSION_NONE;
    const char *use = is_latin ? ath_str_text(latin) : text;
    memcpy(&j->text.text, &use, sizeof use); /* libpng only reads it, but does not say const */
    return ATH_OK;
}

static ath_err check_keyword(const char *path, const char *keyword)
{
    const size_t n = strlen(keyword);
    bool is_good = n >= 1 && n <= 79 && keyword[0] != ' ' && keyword[n - 1] != ' ';

    for (size_t i = 0; is_good && i < n; i++)
        is_good =
            keyword[i] >= ' ' && keyword[i] <= '~' && !(keyword[i] == ' ' && keyword[i + 1] == ' ');
    ATH_NEED(is_good, ATH_EINVAL,
             "%s: the keyword \"%.100s\" of a PNG's text: wanted 1 to 79 letters of ASCII without "
             "blanks at an end or in a row",
             path, keyword);
    return ATH_OK;
}

ath_err ath_png_write(const char *path, const ath_image *image, const char *keyword,
                      const char *text)
{
    job j = {.name = path, .image = image};
    ath_str latin = {0};
    ath_err err = ATH_OK;

    ATH_NEED(image->width > 0 && image->height > 0 && image->width <= ATH_IMAGE_SIDE_MAX &&
                 image->height <= ATH_IMAGE_SIDE_MAX,
             ATH_EINVAL, "%s: a picture of %dx%d, wanted sides of 1 to %d", path, image->width,
             image->height, ATH_IMAGE_SIDE_MAX);
    if (keyword) {
        ATH_TRY_OUT(check_keyword(path, keyword));
        ATH_TRY_OUT(choose_text(&j, path, text, &latin));
        memcpy(&j.text.key, &keyword, sizeof keyword);
    }
    if (image->alpha) ATH_TRY_OUT(ATH_NEW(4 * (size_t)image->width, path, &j.mixed));
    j.png = png_create_write_struct_2(PNG_LIBPNG_VER_STRING, &j, on_error, on_warning, &j,
                                      on_malloc, on_free);
    j.info = j.png ? png_create_info_struct(j.png) : NULL;
    if (!j.info) {
        err = ath_raise(ATH_ENOMEM, "%s: no memory to write a PNG", path);
        goto out;
    }
    if (!runs(&j, write_all)) {
        err = ath_str_check(&j.out) ? ath_str_check(&j.out) : refuse(&j);
        goto out;
    }
    ATH_TRY_OUT(ath_file_publish(path, j.out.text, j.out.n));
out:
    png_destroy_write_struct(&j.png, &j.info);
    ath_mem_free(&j.mixed);
    ath_str_release(&j.out);
    ath_str_release(&latin);
    return err;
}
