/*
 * Adds to a run of images of a batch:  y = x;  y[first .. first+count) += d
 *
 *     in  x  [N,...]      f32|bf16     out  y  as x
 *         d  [count,...]  as x
 *
 * Backward reads nothing.
 */
#ifndef ATH_KERNELS_ADD_ROWS_H
#define ATH_KERNELS_ADD_ROWS_H

#include "kernels/op.h"

typedef struct ath_add_rows_attr {
    int32_t first;
} ath_add_rows_attr;

#endif
