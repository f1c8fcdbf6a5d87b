/*
 * Adds the gradients of a micro-batch to the sums that stand (worker/dist/tree.h), and takes the squares
 * of what is whole:
 *
 *     sum = x;   sum = part[k] + sum  for k = before-1 down to at
 *     not last:  part[at] = sum
 *     last:      y = sum;   norm2 = (first ? 0 : norm2) + squares of blocks of `block` numbers, in order
 *
 *     in  x     [n]     f32                                  out  part   [room,n]  f32
 *         turn  [3]     i32: before, at, last                     y      [n]       f32; may be x
 *                                                                 norm2  [1]       f64
 *
 * Which sums stand is data, not an attribute, so that a captured call serves every micro-batch. Squares of a
 * block are summed in double in the order of core/squares.h. What is not written keeps what it held.
 * No gradient.
 */
#ifndef ATH_KERNELS_TREE_ADD_H
#define ATH_KERNELS_TREE_ADD_H

#include "kernels/op.h"

typedef struct ath_tree_add_attr {
    int32_t room; /* 0: every micro-batch is the last */
    int32_t block;
    int32_t is_first; /* the norm begins here */
} ath_tree_add_attr;

/* The operand turn. */
enum { ATH_TURN_BEFORE, ATH_TURN_AT, ATH_TURN_LAST, ATH_N_TURN };

#endif
