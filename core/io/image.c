#include "core/io/image.h"

#include "core/io/file.h"
#include "core/io/image_private.h"
#include "core/io/map.h"
#include "core/mem.h"

#include <string.h>

void ath_image_release(ath_image *image)
{
    ath_mem_free(&image->rgb);
    ath_mem_free(&image->alpha);
    *image = (ath_image){0};
}

ath_err ath_image_set_size(const ath_image_file *file, uint32_t width, uint32_t height,
                           ath_image_raw *raw)
{
    ATH_NEED(width > 0 && height > 0, ATH_EFORMAT, "%s: a picture of %ux%u", file->name, width,
             height);
    ATH_NEED(width <= ATH_IMAGE_SIDE_MAX && height <= ATH_IMAGE_SIDE_MAX, ATH_ELIMIT,
             "%s: a picture of %ux%u, at most %d per side can be read; make it smaller", file->name,
             width, height, ATH_IMAGE_SIDE_MAX);
    raw->width = (int32_t)width;
    raw->height = (int32_t)height;
    return ATH_OK;
}

ath_err ath_image_new_pixels(const ath_image_file *file, int n_channels, ath_image_raw *raw)
{
    return ATH_NEW((size_t)raw->width * (size_t)raw->height * (size_t)n_channels, file->name,
                   &raw->pixels);
}

/* EXIF: a TIFF directory in either byte order. */

typedef struct tiff {
    const uint8_t *bytes;
    size_t n;
    bool is_big;
} tiff;

static uint32_t tiff_number(const tiff *t, size_t at, size_t n)
{
    uint32_t x = 0;

    if (at > t->n || n > t->n - at) return 0;
    for (size_t i = 0; i < n; i++) x = x << 8 | t->bytes[at + (t->is_big ? i : n - 1 - i)];
    return x;
}

int32_t ath_image_exif(const uint8_t *bytes, size_t n)
{
    enum { ORIENTATION = 0x0112, SHORT = 3, ENTRY_BYTES = 12 };
    tiff t = {.bytes = bytes, .n = n};

    if (t.n >= 6 && memcmp(t.bytes, "Exif\0", 6) == 0) {
        t.bytes += 6;
        t.n -= 6;
    }
    if (t.n < 8) return 1;
    t.is_big = t.bytes[0] == 'M';
    const size_t directory = tiff_number(&t, 4, 4);
    const uint32_t n_entries = tiff_number(&t, directory, 2);
    for (uint32_t i = 0; i < n_entries; i++) {
        size_t at = directory + 2 + (size_t)i * ENTRY_BYTES;
        if (tiff_number(&t, at, 2) != ORIENTATION || tiff_number(&t, at + 2, 2) != SHORT) continue;
        uint32_t value = tiff_number(&t, at + 8, 2);
        return value >= 1 && value <= 8 ? (int32_t)value : 1;
    }
    return 1;
}

/* By content. */

static bool begins(const ath_image_file *file, size_t at, const char *with, size_t n)
{
    return file->n >= at + n && memcmp(file->bytes + at, with, n) == 0;
}

static ath_err find_decoder(const ath_image_file *file, ath_image_decoder **out)
{
    static const struct {
        const char *name, *magic;
        size_t at, n;
    } others[] = {
        {"a BMP", "BM", 0, 2},           {"a GIF", "GIF8", 0, 4},       {"a TIFF", "II*\0", 0, 4},
        {"a TIFF", "MM\0*", 0, 4},       {"an AVIF", "ftypavif", 4, 8}, {"a HEIC", "ftyphei", 4, 7},
        {"a JPEG XL", "\xff\x0a", 0, 2}, {"a JPEG XL", "JXL ", 4, 4},
    };

    *out = NULL;
    if (begins(file, 0, "\x89PNG\r\n\x1a\n", 8)) *out = ath_image_decode_png;
    if (begins(file, 0, "\xff\xd8\xff", 3)) *out = ath_image_decode_jpeg;
    if (begins(file, 0, "RIFF", 4) && begins(file, 8, "WEBP", 4)) *out = ath_image_decode_webp;
    if (*out) return ATH_OK;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        ATH_NEED(!begins(file, others[i].at, others[i].magic, others[i].n), ATH_EFORMAT,
                 "%s: %s picture: only PNG, JPEG and WebP can be read; convert it", file->name,
                 others[i].name);
    return ath_raise(ATH_EFORMAT, "%s: not a picture: neither PNG nor JPEG nor WebP", file->name);
}

/* Orientation 2 to 8: where pixel (x, y) of the upright picture lies in the stored one. */
static size_t stored_at(const ath_image_raw *raw, bool is_upright, int32_t x, int32_t y)
{
    const int32_t o = is_upright ? raw->orientation : 1, w = raw->width, h = raw->height;
    int32_t column = o >= 5 ? y : x, row = o >= 5 ? x : y;

    if (o == 2 || o == 3 || o == 7 || o == 8) column = w - 1 - column;
    if (o == 3 || o == 4 || o == 6 || o == 7) row = h - 1 - row;
    return (size_t)row * (size_t)w + (size_t)column;
}

static ath_err lay_out(const ath_image_file *file, const ath_image_raw *raw, unsigned how,
                       ath_image *out)
{
    const bool is_upright = how & ATH_IMAGE_UPRIGHT, has_alpha = how & ATH_IMAGE_ALPHA;
    const size_t n_channels = has_alpha ? 4 : 3;
    size_t at = 0;

    ATH_TRY(ATH_NEW((size_t)raw->width * (size_t)raw->height * 3, file->name, &out->rgb));
    if (has_alpha)
        ATH_TRY(ATH_NEW((size_t)raw->width * (size_t)raw->height, file->name, &out->alpha));
    for (int32_t y = 0; y < out->height; y++) {
        for (int32_t x = 0; x < out->width; x++, at++) {
            const uint8_t *from = raw->pixels + n_channels * stored_at(raw, is_upright, x, y);
            memcpy(out->rgb + 3 * at, from, 3);
            if (has_alpha) out->alpha[at] = from[3];
        }
    }
    return ATH_OK;
}

static void set_shape(const ath_image_raw *raw, unsigned how, ath_image *out)
{
    const bool is_turned = how & ATH_IMAGE_UPRIGHT && raw->orientation >= 5;

    out->width = is_turned ? raw->height : raw->width;
    out->height = is_turned ? raw->width : raw->height;
}

ath_err ath_image_read_bytes(const char *name, const void *bytes, size_t n, unsigned how,
                             ath_image *out)
{
    const ath_image_file file = {.name = name, .bytes = bytes, .n = n};
    const int n_channels = how & ATH_IMAGE_ALPHA ? 4 : 3;
    ath_image_raw raw = {.orientation = 1};
    ath_image_decoder *decode = NULL;
    ath_image image = {0};
    ath_err err = ATH_OK;

    ATH_TRY(find_decoder(&file, &decode));
    ATH_ASSERT(decode);
    ATH_TRY_OUT(decode(&file, n_channels, &raw));
    set_shape(&raw, how, &image);
    if (n_channels == 3 && (raw.orientation == 1 || !(how & ATH_IMAGE_UPRIGHT))) {
        image.rgb = raw.pixels;
        raw.pixels = NULL;
    } else {
        ATH_TRY_OUT(lay_out(&file, &raw, how, &image));
    }
    *out = image;
    image = (ath_image){0};
out:
    ath_image_release(&image);
    ath_mem_free(&raw.pixels);
    return err;
}

ath_err ath_image_size_bytes(const char *name, const void *bytes, size_t n, unsigned how,
                             int32_t *width, int32_t *height)
{
    const ath_image_file file = {.name = name, .bytes = bytes, .n = n};
    ath_image_raw raw = {.orientation = 1};
    ath_image_decoder *decode = NULL;
    ath_image image;

    ATH_TRY(find_decoder(&file, &decode));
    ATH_ASSERT(decode);
    ATH_TRY(decode(&file, 0, &raw));
    set_shape(&raw, how, &image);
    *width = image.width;
    *height = image.height;
    return ATH_OK;
}

/* Files. */

ath_err ath_image_read(const char *path, unsigned how, ath_image *out)
{
    char *bytes = NULL;
    size_t n = 0;

    ATH_TRY(ath_file_read(path, ATH_IMAGE_FILE_MAX, &bytes, &n));
    ath_err err = ath_image_read_bytes(path, bytes, n, how, out);
    ath_mem_free(&bytes);
    return err;
}

ath_err ath_image_size(const char *path, unsigned how, int32_t *width, int32_t *height)
{
    ath_map map = {0};

    ATH_TRY(ath_map_open(path, &map)); /* only the pages that are looked at are read */
    ath_err err = ath_image_size_bytes(path, map.bytes, map.n, how, width, height);
    ath_map_close(&map);
    return err;
}
