/*
 * LoKr's weight, the Kronecker product:  y[p*S+s, q*T+t, ...] = scale * a[p,q] * b[s,t,...]
 *
 *     in  a  [P,Q]                f32     out  y  [P*S,Q*T] or [P*S,Q*T,I,J]  f32
 *         b  [S,T] or [S,T,I,J]   f32
 *
 * Backward reads a and b. Both are weight operands.
 */
#ifndef ATH_KERNELS_KRON_H
#define ATH_KERNELS_KRON_H

#include "kernels/op.h"

typedef struct ath_kron_attr {
    float scale;
} ath_kron_attr;

#endif
