/*
 * Squared norm of a gradient bucket, for clipping:  y = sum of g[i]^2
 *
 *     in  g  [n]  f32     out  y  [1]  f64
 *
 * Summed in double in an order that depends on n alone. No gradient, no attributes.
 */
#ifndef ATH_KERNELS_NORM2_H
#define ATH_KERNELS_NORM2_H

#include "kernels/op.h"

#endif
