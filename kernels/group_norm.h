/*
 * Group normalization, with SiLU folded in where asked.
 *
 *     y = act(gamma * (x - mean) * rstd + beta)    mean, rstd over H, W and the C/G channels of a
 *                                                  group, per image; rstd = (variance + eps)^-1/2
 *
 *     in     x     [N,H,W,C] or [N,T,C]  f32|bf16     out    y     as x
 *            gamma [C]  f32                           saved  mean  [N,G]  f32
 *            beta  [C]  f32                                  rstd  [N,G]  f32
 *
 * Backward reads x, gamma, beta and the saved pair, never y. The variance is computed around the
 * mean (two sums or a merge of centred sums, never a difference of squares). Sums run in an order
 * that depends on the shape alone. ATH_ESHAPE where G does not divide C, ATH_EDTYPE for others.
 *
 * Forward reads x twice, so a copy of as many bytes is no bound that it can reach where x is larger
 * than the caches: what bounds it is counted in bench/results/cpu-ops-2026-11-29.md.
 */
#ifndef ATH_KERNELS_GROUP_NORM_H
#define ATH_KERNELS_GROUP_NORM_H

#include "kernels/op.h"

typedef enum ath_act { ATH_ACT_NONE, ATH_ACT_SILU, ATH_N_ACTS } ath_act;

typedef struct ath_group_norm_attr {
    int32_t groups;
    float eps;
    ath_act act;
} ath_group_norm_attr;

#endif
