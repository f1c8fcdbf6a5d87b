/*
 * Weighted sum of two tensors with one pair of weights per image:  y[n] = a[n] * x[n] + b[n] * z[n]
 *
 *     in  x  [N,...]  f32|bf16     out  y  as x
 *         z  [N,...]  as x
 *         a  [N]      f32
 *         b  [N]      f32
 *
 * The diffusion forward process, the v target, the VAE's posterior sample. Backward reads a and b,
 * which take no gradient. No attributes.
 */
#ifndef ATH_KERNELS_MIX_H
#define ATH_KERNELS_MIX_H

#include "kernels/op.h"

#endif
