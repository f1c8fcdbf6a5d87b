/*
 * Scales channels:  y[...,c] = x[...,c] * (offset + v[c])
 *
 *     in  x  [...,C]  f32|bf16     out  y  as x
 *         v  [C]      f32, may be absent: zeros
 *
 * Backward reads x and v; dv is f32 and sums over rows in an order that depends on the shape alone.
 */
#ifndef ATH_KERNELS_MUL_CHANNELS_H
#define ATH_KERNELS_MUL_CHANNELS_H

#include "kernels/op.h"

typedef struct ath_mul_channels_attr {
    float offset; /* 1 for (IA)^3, whose v begins at 0 */
} ath_mul_channels_attr;

#endif
