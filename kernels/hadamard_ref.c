#include "kernels/hadamard.h"
#include "kernels/hadamard_cut.h"
#include "kernels/ref.h"

#include <string.h>

/* Rows first .. first+rows of (wa wb), [rows,I]. */
static void product(const ath_call *c, int k, int64_t first, int64_t rows, real *out)
{
    const int64_t i = c->site->out[0].dim[1], r = c->site->in[0].dim[1];
    const real *wa = c->in[2 * k], *wb = c->in[2 * k + 1];

    memset(out, 0, (size_t)(rows * i) * sizeof *out);
    ATH_REF_NAME(gemm)(rows, i, r, wa + first * r, r, wb, i, out, i);
}

/* out [cols,count/cols] = from [count/cols,cols] turned. */
static void turn(const real *from, int64_t count, int64_t cols, real *out)
{
    const int64_t rows = count / cols;

    for (int64_t j = 0; j < count; j++) out[j % cols * rows + j / cols] = from[j];
}

ath_err ATH_REF_NAME(hadamard_fwd)(const ath_call *c)
{
    const real scale = (real)((const ath_hadamard_attr *)c->site->attr)->scale;
    const int64_t o = c->site->out[0].dim[0], i = c->site->out[0].dim[1];
    real *p1 = c->scratch, *p2 = p1 + HADAMARD_ROWS * i, *y = c->out[0];

    for (int64_t first = 0; first < o; first += HADAMARD_ROWS) {
        const int64_t rows = o - first < HADAMARD_ROWS ? o - first : HADAMARD_ROWS;
        product(c, 0, first, rows, p1);
        product(c, 1, first, rows, p2);
        for (int64_t j = 0; j < rows * i; j++) y[first * i + j] = scale * p1[j] * p2[j];
    }
    return ATH_OK;
}

ath_err ATH_REF_NAME(hadamard_bwd)(const ath_call *c)
{
    const real scale = (real)((const ath_hadamard_attr *)c->site->attr)->scale;
    const int64_t o = c->site->out[0].dim[0], i = c->site->out[0].dim[1];
    const int64_t r = c->site->in[0].dim[1];
    const real *dy = c->dout[0];
    real *p[2] = {c->scratch, (real *)c->scratch + HADAMARD_ROWS * i};
    real *turned[4], *sum[4], *next = p[1] + HADAMARD_ROWS * i;

    for (int k = 0; k < 4; k++) {
        const int64_t n = k % 2 ? r * i : o * r;
        turned[k] = next;
        sum[k] = next + n;
        next += 2 * n;
        turn(c->in[k], n, k % 2 ? i : r, turned[k]);
        memset(sum[k], 0, (size_t)n * sizeof(real));
    }
    for (int64_t first = 0; first < o; first += HADAMARD_ROWS) {
        const int64_t rows = o - first < HADAMARD_ROWS ? o - first : HADAMARD_ROWS;
        product(c, 0, first, rows, p[0]);
        product(c, 1, first, rows, p[1]);
        for (int64_t j = 0; j < rows * i; j++) { /* dp1 = scale dy p2, dp2 = scale dy p1 */
            const real p1 = p[0][j], g = scale * dy[first * i + j];
            p[0][j] = g * p[1][j];
            p[1][j] = g * p1;
        }
        for (int k = 0; k < 4; k += 2) { /* dwa = dp wb^T, dwb = wa^T dp */
            const real *dp = p[k / 2], *wa = turned[k] + first, *wb = turned[k + 1];
            ATH_REF_NAME(gemm)(rows, r, i, dp, i, wb, r, sum[k] + first * r, r);
            ATH_REF_NAME(gemm)(r, i, rows, wa, o, dp, i, sum[k + 1], i);
        }
    }
    for (int k = 0; k < 4; k++)
        for (int64_t j = 0; c->din[k] && j < (k % 2 ? r * i : o * r); j++)
            ref_grad(c->din[k], ATH_REF_REAL, j, sum[k][j], c->site->add >> k & 1);
    return ATH_OK;
}
