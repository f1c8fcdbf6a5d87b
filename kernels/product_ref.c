#include "kernels/product_ref.h"

#include "kernels/par.h"
#include <string.h>

static void gather(const ref_view *v, int64_t i0, int64_t rows, int64_t cols, real *to)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++)
            to[i * cols + j] = ref_get(v->p, v->dtype, (i0 + i) * v->row + j * v->col);
}

static void put_rows(const ref_product *p, int64_t i0, int64_t rows, const real *c)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < p->n; j++) {
            real x = c[i * p->n + j] * (real)p->scale;
            if (p->factor) x *= p->factor[j];
            if (p->bias) x += p->bias[j];
            ref_grad(p->out, p->dtype, (i0 + i) * p->n + j, x, p->add);
        }
}

void ATH_REF_NAME(product)(const ref_product *p, real *scratch)
{
    const int64_t m = p->m, n = p->n, k = p->k;
    const int64_t n_blocks = (m + REF_PRODUCT_ROWS - 1) / REF_PRODUCT_ROWS;
    real *b = scratch, *slabs = scratch + k * n;

    ATH_PAR_FOR(p->n_threads)
    for (int64_t i = 0; i < k; i++) gather(&p->b, i, 1, n, b + i * n);
    ATH_PAR_FOR(p->n_threads)
    for (int t = 0; t < p->n_threads; t++) {
        real *a = slabs + t * REF_PRODUCT_ROWS * (k + n), *c = a + REF_PRODUCT_ROWS * k;
        for (int64_t block = t; block < n_blocks; block += p->n_threads) {
            const int64_t i0 = block * REF_PRODUCT_ROWS;
            const int64_t rows = m - i0 < REF_PRODUCT_ROWS ? m - i0 : REF_PRODUCT_ROWS;
            gather(&p->a, i0, rows, k, a);
            memset(c, 0, (size_t)(rows * n) * sizeof *c);
            ATH_REF_NAME(gemm)(rows, n, k, a, k, b, n, c, n);
            put_rows(p, i0, rows, c);
        }
    }
}

void ATH_REF_NAME(bias_grad)(const ath_call *call, int i)
{
    const ath_desc *dy = &call->site->out[0];
    const int64_t rows = ath_desc_rows(dy), cols = ath_desc_last(dy);

    ATH_PAR_FOR(call->site->n_threads)
    for (int64_t j = 0; j < cols; j++) {
        real sum = 0;
        for (int64_t r0 = 0; r0 < rows; r0 += 256) {
            real part = 0;
            for (int64_t r = r0; r < rows && r < r0 + 256; r++)
                part += ref_get(call->dout[0], dy->dtype, r * cols + j);
            sum += part;
        }
        ref_grad(call->din[i], ATH_REF_REAL, j, sum, call->site->add >> i & 1);
    }
}
