#include "kernels/ref.h"
#include "kernels/tree_add.h"

enum { LANES = 16 };

/* As core/squares.h does. */
static double squares(const real *x, int64_t n)
{
    double sum[LANES] = {0};

    for (int64_t i = 0; i < n; i++) sum[i % LANES] += (double)x[i] * (double)x[i];
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int k = 0; k < half; k++) sum[k] += sum[k + half];
    return sum[0];
}

ath_err ATH_REF_NAME(tree_add_fwd)(const ath_call *c)
{
    const ath_tree_add_attr *a = c->site->attr;
    const int64_t n = c->site->in[0].dim[0];
    const int32_t *turn = c->in[1], at = turn[ATH_TURN_AT];
    const real *x = c->in[0];
    real *part = c->out[0], *y = turn[ATH_TURN_LAST] ? c->out[1] : part + at * n;
    double *norm2 = c->out[2];

    for (int64_t i = 0; i < n; i++) {
        real sum = x[i];
        for (int32_t k = turn[ATH_TURN_BEFORE] - 1; k >= at; k--) sum = part[k * n + i] + sum;
        y[i] = sum;
    }
    if (!turn[ATH_TURN_LAST]) return ATH_OK;
    if (a->is_first) *norm2 = 0;
    for (int64_t i = 0; i < n; i += a->block)
        *norm2 += squares(y + i, n - i < a->block ? n - i : a->block);
    return ATH_OK;
}
