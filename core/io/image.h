/*
 * Pictures: PNG, JPEG and WebP in, told apart by their first bytes, never by the name; PNG out.
 *
 * Pixels become 8-bit RGB as trainers have always read them (spec/training-semantics 1.3): alpha is
 * dropped without compositing, gamma and colour profiles are ignored, 16 bits keep their upper 8, CMYK
 * is taken as Adobe writes it, and the orientation of EXIF counts only where the caller asks.
 * A broken or truncated file is ATH_EFORMAT, one that is too large ATH_ELIMIT, both name the file.
 * Any thread.
 */
#ifndef ATH_CORE_IO_IMAGE_H
#define ATH_CORE_IO_IMAGE_H

#include "core/err.h"

enum {
    ATH_IMAGE_SIDE_MAX = 16384,     /* pixels per side */
    ATH_IMAGE_FILE_MAX = 1000000000 /* bytes of a file */
};

/* {0} is empty. Rows from the top, no padding. */
typedef struct ath_image {
    int32_t width, height;
    uint8_t *rgb;   /* [height, width, 3] */
    uint8_t *alpha; /* [height, width]; NULL unless asked for */
} ath_image;
void ath_image_release(ath_image *image);

/* How to read; 0: as trainers do. */
enum {
    ATH_IMAGE_UPRIGHT = 1, /* turn and mirror as EXIF says */
    ATH_IMAGE_ALPHA = 2,   /* fill `alpha`; 255 where the file has none */
};

ATH_MUST ath_err ath_image_read(const char *path, unsigned how, ath_image *out);

/* The same from memory; `name` stands for the path. */
ATH_MUST ath_err ath_image_read_bytes(const char *name, const void *bytes, size_t n, unsigned how,
                                      ath_image *out);

/* Width and height that a read would give, from the headers alone. */
ATH_MUST ath_err ath_image_size(const char *path, unsigned how, int32_t *width, int32_t *height);
ATH_MUST ath_err ath_image_size_bytes(const char *name, const void *bytes, size_t n, unsigned how,
                                      int32_t *width, int32_t *height);

/* Publishes `image` (alpha where it has one) as a PNG file; equal pictures give equal bytes. A text
 * is stored under `keyword` ("parameters" is where WebUI looks) before the pixels: as Latin-1 where
 * it can be, else as UTF-8. NULL keyword: no text. */
ATH_MUST ath_err ath_png_write(const char *path, const ath_image *image, const char *keyword,
                               const char *text);

#endif
