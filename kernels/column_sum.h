/* Sums over the rows of a matrix: the gradient of a bias. */
#ifndef ATH_KERNELS_COLUMN_SUM_H
#define ATH_KERNELS_COLUMN_SUM_H

#include "kernels/op.h"

/* sum[n] (=|+=) x[0,n] + x[1,n] + ..., x F32 or BF16 of shape `d`, columns last. Summed
 * in f32: rows in order within blocks of 256, then the blocks. Equal bits for any n_threads. */
void ath_column_sum(const ath_desc *d, const void *x, bool add, int n_threads, float *sum);

#endif
