/*
 * Concatenation along the last axis: a's channels first, then b's.
 *
 *     in  a  [...,A]  f32|bf16     out  y  [...,A+B]  as a
 *         b  [...,B]  as a
 *
 * Backward reads nothing. No attributes.
 */
#ifndef ATH_KERNELS_CONCAT_H
#define ATH_KERNELS_CONCAT_H

#include "kernels/op.h"

#endif
