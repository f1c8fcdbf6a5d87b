/*
 * Linear layer:  y = x weight^T + bias
 *
 *     in   x       [...,K]  f32|bf16     out  y  [...,N]  as x
 *          weight  [N,K]    as x
 *          bias    [N]      f32, may be absent
 *
 * Backward reads x (for dweight) and weight (for dx). dweight and dbias are f32. No attributes.
 * On the cpu bits are equal for equal shapes, threads, ISA level and processor; no promise beyond.
 * On cuda for equal shapes, model of GPU and version of cuBLASLt, which plans name. Beside BF16 the bias
 * is rounded to BF16 there.
 */
#ifndef ATH_KERNELS_LINEAR_H
#define ATH_KERNELS_LINEAR_H

#include "kernels/op.h"

#endif
