/*
 * LoHa's weight:  y = scale * (w1a w1b) * (w2a w2b), products of matrices, then elementwise
 *
 *     in  w1a  [O,R]  f32     out  y  [O,I]  f32
 *         w1b  [R,I]  f32
 *         w2a  [O,R]  f32
 *         w2b  [R,I]  f32
 *
 * Backward reads all four. All are weight operands.
 */
#ifndef ATH_KERNELS_HADAMARD_H
#define ATH_KERNELS_HADAMARD_H

#include "kernels/op.h"

typedef struct ath_hadamard_attr {
    float scale;
} ath_hadamard_attr;

#endif
