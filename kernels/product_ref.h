/*
 * The product under the references of linear and lowrank: operands of any storage and stride are
 * gathered as `real`, multiplied by gemm, and the results written or added.
 */
#ifndef ATH_KERNELS_PRODUCT_REF_H
#define ATH_KERNELS_PRODUCT_REF_H

#include "kernels/ref.h"

enum { REF_PRODUCT_ROWS = 64 }; /* rows of a that are gathered at a time */

/* Element (i, j) is p[i * row + j * col]. */
typedef struct ref_view {
    const void *p;
    ath_dtype dtype;
    int64_t row, col;
} ref_view;

/* out[M,N] (=|+=) scale * factor[n] * sum over k of a[m,k] b[k,n]  + bias[n]; k in order. */
typedef struct ref_product {
    int64_t m, n, k;
    ref_view a, b;
    double scale;
    const real *factor; /* [N], or NULL */
    const real *bias;   /* [N], or NULL */
    void *out;
    ath_dtype dtype;
    bool add;
    int n_threads;
} ref_product;

/* Where `x` is an operand: its dtype tells how long `real` is. */
static inline size_t ref_real_bytes(const ath_desc *x)
{
    return x->dtype == ATH_F64 ? sizeof(double) : sizeof(float);
}

/* Scratch of several products, one after the other, given as pairs of N and K. */
static inline size_t ref_product_bytes(const ath_desc *x, int n_threads, int n_products,
                                       const int64_t (*nk)[2])
{
    int64_t most = 0;
    for (int i = 0; i < n_products; i++) {
        const int64_t n = nk[i][0], k = nk[i][1];
        const int64_t reals = k * n + n_threads * REF_PRODUCT_ROWS * (k + n);
        most = reals > most ? reals : most;
    }
    return ref_real_bytes(x) * (size_t)most;
}

void ATH_REF_NAME(product)(const ref_product *p, real *scratch);

/* din[i] (=|+=) the sums over rows of dout[0]: in order within blocks of 256, then the blocks. */
void ATH_REF_NAME(bias_grad)(const ath_call *call, int i);

#endif
