/*
 * From a decoded picture to what the autoencoder reads: resized, cut, mirrored, -1..1
 * (spec/training-semantics 2.4, 4).
 */
#ifndef ATH_DATA_PICTURE_H
#define ATH_DATA_PICTURE_H

#include "core/io/image.h"

enum { ATH_PICTURE_SIDE_MAX = 1 << 18 }; /* of a resized one; far beyond what a bucket leads to */

typedef struct ath_picture_fit {
    /* first this size: averaged where both sides shrink or stay, else Lanczos; as it is where it has it */
    int32_t resized_width, resized_height;
    int32_t width, height; /* then cut to this, not larger */
    int32_t left, top;     /* where; within what is left over */
    bool mirror;           /* at last */
} ath_picture_fit;

/* The middle: left and top of a cut, rounded down. */
ath_picture_fit ath_picture_centre(ath_picture_fit fit);

/* Resized alone; 8 bits a channel, rounded as OpenCV's area and Pillow's Lanczos do. */
ATH_MUST ath_err ath_picture_resize(const ath_image *image, int32_t width, int32_t height,
                                    ath_image *out);

/* All of it: out [height, width, 3]. */
ATH_MUST ath_err ath_picture_make(const ath_image *image, const ath_picture_fit *fit, float *out);

#endif
