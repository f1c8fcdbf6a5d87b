/*
 * Token and position embedding:  y[n,t] = token[ids[n,t]] + position[t]
 *
 *     in  ids       [N,T]  i32              out  y  [N,T,E]  attr.dtype (f32, bf16 or f64)
 *         token     [V,E]  f32|bf16
 *         position  [P,E]  as token, T <= P
 *
 * Backward reads ids; dtoken and dposition are f32, summed in the order n, then t; rows that no id
 * names are 0 (or left, when adding). Running with an id outside [0,V) is ATH_EINVAL, naming it; on a GPU,
 * where nobody can be told, its y is NaN and it takes part in no gradient of a token.
 */
#ifndef ATH_KERNELS_EMBED_H
#define ATH_KERNELS_EMBED_H

#include "kernels/op.h"

typedef struct ath_embed_attr {
    int32_t dtype; /* ath_dtype of y */
} ath_embed_attr;

#endif
