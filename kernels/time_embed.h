/*
 * Sinusoidal time embedding, cosines first:  f_i = exp(-ln(10000) i / half),  half = width / 2
 *
 *     y[n, i] = cos(t[n] f_i),   y[n, half + i] = sin(t[n] f_i),   0 <= i < half
 *
 *     in  t  [N]  f32, may be fractional     out  y  [N,width]  attr.dtype (f32, bf16 or f64)
 *
 * Computed in double, then rounded: t up to 1000 keeps full precision. No gradient. Width is even.
 */
#ifndef ATH_KERNELS_TIME_EMBED_H
#define ATH_KERNELS_TIME_EMBED_H

#include "kernels/op.h"

typedef struct ath_time_embed_attr {
    int32_t width;
    int32_t dtype; /* ath_dtype of y */
} ath_time_embed_attr;

#endif
