/* Between image.c and the formats: one decoder each, over bytes in memory. */
#ifndef ATH_CORE_IO_IMAGE_PRIVATE_H
#define ATH_CORE_IO_IMAGE_PRIVATE_H

#include "core/io/image.h"

typedef struct ath_image_file {
    const char *name;
    const uint8_t *bytes;
    size_t n;
} ath_image_file;

/* What a file holds: rows of 3 or, where alpha was asked for, 4 bytes per pixel. */
typedef struct ath_image_raw {
    int32_t width, height;
    int32_t orientation; /* EXIF's: 1 to 8; 1: as stored */
    uint8_t *pixels;     /* for the caller; NULL where only the size was asked for */
} ath_image_raw;

/* n_channels 3 or 4; 0: width, height and orientation only. `raw` is {.orientation = 1} before; what
 * it holds is the caller's to free on failure too. */
typedef ath_err ath_image_decoder(const ath_image_file *file, int n_channels, ath_image_raw *raw);
ath_image_decoder ath_image_decode_png;
ath_image_decoder ath_image_decode_jpeg;
ath_image_decoder ath_image_decode_webp;

/* Refuses sides outside 1..ATH_IMAGE_SIDE_MAX, else keeps them. */
ATH_MUST ath_err ath_image_set_size(const ath_image_file *file, uint32_t width, uint32_t height,
                                    ath_image_raw *raw);

/* Memory for width x height pixels of n_channels. */
ATH_MUST ath_err ath_image_new_pixels(const ath_image_file *file, int n_channels,
                                      ath_image_raw *raw);

/* Orientation of an EXIF block (with or without the "Exif\0\0" before it); 1 where it says nothing. */
int32_t ath_image_exif(const uint8_t *bytes, size_t n);

#endif
