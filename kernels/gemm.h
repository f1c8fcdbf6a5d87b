/*
 * A matrix product of row-major arrays, and the same one in the words of column-major libraries: they
 * read a row-major [R,C] as its transpose [C,R], so they are asked for c^T = b^T a^T, and nothing is
 * copied. A bias over the columns of c is one over the rows of what they see.
 */
#ifndef ATH_KERNELS_GEMM_H
#define ATH_KERNELS_GEMM_H

#include "kernels/dtype.h"
#include <stdbool.h>

/* c[M,N] (=|+=) scale * a[M,K] b[K,N] + bias[n], sums in f32. */
typedef struct ath_gemm {
    int64_t m, n, k;
    bool a_turned, b_turned; /* stored as [K,M], [N,K] */
    bool has_bias, add;
    float scale;
    ath_dtype in, out; /* of a and b; of c and bias */
} ath_gemm;

/* A dense column-major array; `turned`: its transpose is what the product takes. */
typedef struct ath_gemm_columns {
    int64_t rows, cols;
    bool turned;
} ath_gemm_columns;

/* D[rows,cols] = A B, where A is our b and B our a. */
typedef struct ath_gemm_map {
    ath_gemm_columns a, b, d;
} ath_gemm_map;

static inline ath_gemm_map ath_gemm_get_map(const ath_gemm *g)
{
    return (ath_gemm_map){
        .a = g->b_turned ? (ath_gemm_columns){g->k, g->n, true}
                         : (ath_gemm_columns){g->n, g->k, false},
        .b = g->a_turned ? (ath_gemm_columns){g->m, g->k, true}
                         : (ath_gemm_columns){g->k, g->m, false},
        .d = {g->n, g->m, false},
    };
}

#endif
