/*
 * Adds one value per image and channel:  y[n,...,c] = x[n,...,c] + v[n,c]
 *
 *     in  x  [N,...,C]  f32|bf16     out  y  as x
 *         v  [N,C]      as x
 *
 * Backward reads nothing; dv sums dy over the pixels of its image in an order that depends on the
 * shape alone. No attributes.
 */
#ifndef ATH_KERNELS_ADD_CHANNELS_H
#define ATH_KERNELS_ADD_CHANNELS_H

#include "kernels/op.h"

#endif
