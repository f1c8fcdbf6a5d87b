/*
 * GELU:  y = x/2 (1 + erf(x / sqrt 2)), or the quick form  y = x / (1 + e^(-1.702 x))
 *
 *     in  x  [...]  f32|bf16     out  y  as x
 *
 * Backward reads x.
 */
#ifndef ATH_KERNELS_GELU_H
#define ATH_KERNELS_GELU_H

#include "kernels/op.h"

typedef struct ath_gelu_attr {
    int32_t quick; /* 0: erf. 1: the sigmoid form that CLIP was trained with */
} ath_gelu_attr;

#endif
