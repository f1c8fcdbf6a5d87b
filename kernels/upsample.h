/*
 * Nearest-neighbour resize:  y[n,h,w,c] = x[n, floor(h*H/height), floor(w*W/width), c]
 *
 *     in  x  [N,H,W,C]  f32|bf16     out  y  [N,height,width,C]  as x
 *
 * Backward reads nothing; dx sums the pixels that were copied from it, rows first. Sizes at least H, W.
 */
#ifndef ATH_KERNELS_UPSAMPLE_H
#define ATH_KERNELS_UPSAMPLE_H

#include "kernels/op.h"

typedef struct ath_upsample_attr {
    int32_t height, width;
} ath_upsample_attr;

#endif
