/*
 * Weighted mean square error:  loss = 1/N sum over n of weight[n] * mean over the rest of (pred - target)^2
 *
 *     in  pred    [N,...]  f32|bf16             out    loss    []   f32 (f64 for f64)
 *         target  [N,...]  as pred, or f32      saved  sample  [N]  f32: mean square error per image
 *         weight  [N]      f32
 *
 * The mean over the batch is not divided by the sum of weights (prior loss weight, min-SNR). Backward
 * reads pred, target and weight; target and weight take no gradient. No attributes.
 */
#ifndef ATH_KERNELS_LOSS_H
#define ATH_KERNELS_LOSS_H

#include "kernels/op.h"

#endif
