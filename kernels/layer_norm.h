/*
 * Layer normalization over the last axis:  y = gamma * (x - mean) * rstd + beta
 *
 *     in   x      [...,C]  f32|bf16     out    y     as x
 *          gamma  [C]      f32          saved  mean  [rows]  f32
 *          beta   [C]      f32                 rstd  [rows]  f32, (variance + eps)^-1/2
 *
 * Backward reads x, gamma and the saved pair.
 */
#ifndef ATH_KERNELS_LAYER_NORM_H
#define ATH_KERNELS_LAYER_NORM_H

#include "kernels/op.h"

typedef struct ath_layer_norm_attr {
    float eps;
} ath_layer_norm_attr;

#endif
