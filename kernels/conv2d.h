/*
 * Convolution of images, channels last; the weight keeps the checkpoint's order.
 *
 *     y[n,h,w,o] = bias[o] + sum over c, i, j of  x[n, h*stride + i - top, w*stride + j - left, c]
 *                                                 * weight[o,c,i,j],   x is 0 outside the image
 *
 *     in   x       [N,H,W,C]    f32|bf16     out  y  [N,H',W',O]  as x
 *          weight  [O,C,I,J]    as x              H' = (H + top + bottom - I) / stride + 1, rounded down
 *          bias    [O]  f32, may be absent
 *
 * Backward reads x (for dweight) and weight (for dx). dweight and dbias are f32.
 * On the cpu bits are equal for equal shapes, threads, ISA level and processor; no promise beyond.
 * On cuda for equal shapes, model of GPU and versions of cuDNN and cuBLASLt, which plans name. Beside BF16
 * the bias is rounded to BF16 there, and each number of dweight once, after its sum in f32.
 * ATH_ESHAPE where channels differ or the kernel is larger than the padded image.
 */
#ifndef ATH_KERNELS_CONV2D_H
#define ATH_KERNELS_CONV2D_H

#include "kernels/op.h"

typedef struct ath_conv2d_attr {
    int32_t stride;
    int32_t top, left, bottom, right; /* zeros added on each side */
} ath_conv2d_attr;

/* The lengths of a call, by the letters above; p, q are H', W'. */
typedef struct ath_conv2d_dims {
    int64_t n, h, w, c, o, i, j, p, q;
} ath_conv2d_dims;
ath_conv2d_dims ath_conv2d_get_dims(const ath_site *site);

#endif
