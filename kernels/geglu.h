/*
 * Gated GELU:  y = a * gelu(g)  with a the first half of the last axis, g the second, gelu by erf
 *
 *     in  x  [...,2C]  f32|bf16     out  y  [...,C]  as x
 *
 * Backward reads x. No attributes.
 */
#ifndef ATH_KERNELS_GEGLU_H
#define ATH_KERNELS_GEGLU_H

#include "kernels/op.h"

#endif
