/*
 * AdamW, torch's form (Loshchilov and Hutter 2019; spec training-semantics 7.1), with clipping by the
 * global norm. Updates p, m and v in place.
 *
 *     g' = g * min(1, max_norm / (sqrt(sum of norms) + 1e-6))        left out where max_norm is 0
 *     p -= rate * decay * p;   m = beta1 m + (1-beta1) g';   v = beta2 v + (1-beta2) g'^2
 *     p -= rate / c1 * m / (sqrt(v) / sqrt(c2) + eps)
 *
 *     in  g      [n]  f32                                          out  p, m, v  [n]  f32
 *         hyper  [4]  f32: rate, decay, c1 = 1-beta1^t, c2 = 1-beta2^t
 *         norms  [k]  f64: squared norms of all buckets, summed in index order
 *
 * Where the sum of norms is not finite nothing is changed: no NaN ever reaches the weights.
 * Elementwise, so a slice gives the same bits as the whole. No gradient.
 */
#ifndef ATH_KERNELS_ADAMW_H
#define ATH_KERNELS_ADAMW_H

#include "kernels/op.h"

typedef struct ath_adamw_attr {
    float rest1, rest2; /* 1 - beta1, 1 - beta2: from 0.999f the rest would be 1.3e-5 off 0.001 */
    float eps;
    float max_norm; /* 0: no clipping */
} ath_adamw_attr;

#endif
