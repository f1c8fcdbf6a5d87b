/*
 * Sum:  y = a + b
 *
 *     in  a, b  [...]  f32|bf16, alike     out  y  as a
 *
 * Backward reads nothing. No attributes.
 */
#ifndef ATH_KERNELS_ADD_H
#define ATH_KERNELS_ADD_H

#include "kernels/op.h"

#endif
