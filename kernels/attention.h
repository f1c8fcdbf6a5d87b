/*
 * Attention of H heads, without ever storing the scores (online softmax over blocks of keys).
 *
 *     head h uses channels [h*D, (h+1)*D):  o = softmax(scale * q k^T) v,   softmax over keys
 *     causal: query t sees keys 0..t (T = S wanted)
 *
 *     in   q  [N,T,H*D]  f32|bf16     out    o    [N,T,H*D]  as q
 *          k  [N,S,H*D]  as q         saved  lse  [N,H,T]    f32: log sum exp of the scaled scores
 *          v  [N,S,H*D]  as q
 *
 * Backward reads q, k, v, o and lse. Sums are f32 in an order that depends on the shape alone; a
 * sequence of a batch never touches another. ATH_ESHAPE where H does not divide the channels.
 */
#ifndef ATH_KERNELS_ATTENTION_H
#define ATH_KERNELS_ATTENTION_H

#include "kernels/op.h"

typedef struct ath_attention_attr {
    int32_t heads;
    int32_t causal; /* 0 or 1 */
    float scale;
} ath_attention_attr;

#endif
