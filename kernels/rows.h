/*
 * A run of images of a batch:  y = x[first .. first+count)
 *
 *     in  x  [N,...]  f32|bf16     out  y  [count,...]  as x
 *
 * Backward reads nothing; the other rows of dx are 0 (or left, when adding).
 */
#ifndef ATH_KERNELS_ROWS_H
#define ATH_KERNELS_ROWS_H

#include "kernels/op.h"

typedef struct ath_rows_attr {
    int32_t first, count;
} ath_rows_attr;

#endif
