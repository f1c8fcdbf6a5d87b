/*
 * SiLU:  y = x / (1 + e^-x)
 *
 *     in  x  [...]  f32|bf16     out  y  as x
 *
 * Backward reads x. Elementwise: no sums.
 */
#ifndef ATH_KERNELS_SILU_H
#define ATH_KERNELS_SILU_H

#include "kernels/op.h"

#endif
