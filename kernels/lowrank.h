/*
 * Low-rank product, the heart of LoRA:  y = scale * ((x down^T) * mask) up^T
 *
 *     in   x     [...,K]  f32|bf16               out    y  [...,N]   as x
 *          down  [R,K]    as x                   saved  t  [rows,R]  as x: (x down^T) * mask
 *          up    [N,R]    as x
 *          mask  [R]      f32, may be absent: DyLoRA's rank of this step, as data
 *
 * Backward reads x, down, up, mask and t. ddown and dup are f32. The mask takes no gradient.
 * On the cpu bits are equal for equal shapes, threads, ISA level and processor; no promise beyond.
 * On cuda for equal shapes, model of GPU and version of cuBLASLt, which plans name.
 */
#ifndef ATH_KERNELS_LOWRANK_H
#define ATH_KERNELS_LOWRANK_H

#include "kernels/op.h"

typedef struct ath_lowrank_attr {
    float scale; /* alpha / rank, times the adapter's weight */
} ath_lowrank_attr;

#endif
