/*
 * Elementwise product:  y = a * b
 *
 *     in  a, b  [...]  f32|bf16, alike     out  y  as a
 *
 * Backward reads a and b. No attributes.
 */
#ifndef ATH_KERNELS_MUL_H
#define ATH_KERNELS_MUL_H

#include "kernels/op.h"

#endif
