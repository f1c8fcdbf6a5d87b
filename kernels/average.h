/*
 * A moving average goes on by one step, each operation rounded:
 *
 *     y -= rest * (y - x)
 *
 *     in  x     [n]  f32                                           out  y  [n]  f32, in place
 *         rest  [1]  f32: 1 minus what stays of the average
 *
 * Elementwise, so a slice gives the same bits as the whole. No gradient, no attributes.
 */
#ifndef ATH_KERNELS_AVERAGE_H
#define ATH_KERNELS_AVERAGE_H

#include "kernels/op.h"

#endif
