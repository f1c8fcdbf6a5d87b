/*
 * Conversion between f32, bf16, f16 and f64 (not on a GPU: ATH_ENOTSUP), rounding to nearest even.
 *
 *     in  x  [...]  any of them     out  y  [...]  attr.dtype
 *
 * Backward reads nothing: dx = dy converted, in din's dtype; dout has the dtype of y.
 */
#ifndef ATH_KERNELS_CAST_H
#define ATH_KERNELS_CAST_H

#include "kernels/op.h"

typedef struct ath_cast_attr {
    int32_t dtype; /* ath_dtype */
} ath_cast_attr;

#endif
