/*
 * The mean square error of each image, for people and for noticing what is not finite:
 *
 *     y[n] = mean over the rest of (pred - target)^2
 *
 *     in  pred    [N,...]  f32|bf16             out  y  [N]  f64
 *         target  [N,...]  as pred, or f32
 *
 * In double throughout, so that nothing is lost however small it is. No gradient, no attributes.
 */
#ifndef ATH_KERNELS_SAMPLE_LOSS_H
#define ATH_KERNELS_SAMPLE_LOSS_H

#include "kernels/op.h"

#endif
