#include "kernels/adamw.h"
#include "kernels/ref.h"

#include <math.h>

/* Coefficients in double, rounded once; the elements in `real`. */
ath_err ATH_REF_NAME(adamw_fwd)(const ath_call *c)
{
    const ath_adamw_attr *a = c->site->attr;
    const double *norms = c->in[2];
    double hyper[4], sum = 0, clip = 1;

    for (int i = 0; i < 4; i++) hyper[i] = (double)ref_get(c->in[1], ATH_REF_REAL, i);
    for (int64_t i = 0; i < ath_desc_count(&c->site->in[2]); i++) sum += norms[i];
    if (!isfinite(sum)) return ATH_OK;
    if (a->max_norm > 0) clip = fmin(1, (double)a->max_norm / (sqrt(sum) + 1e-6));

    const real shrink = (real)clip, decay = (real)(hyper[0] * hyper[1]);
    const real beta1 = (real)(1 - (double)a->rest1), new1 = (real)a->rest1;
    const real beta2 = (real)(1 - (double)a->rest2), new2 = (real)a->rest2;
    const real rate = (real)(hyper[0] / hyper[2]), root = (real)sqrt(hyper[3]), eps = (real)a->eps;
    const real *g = c->in[0];
    real *p = c->out[0], *m = c->out[1], *v = c->out[2];

    for (int64_t i = 0; i < ath_desc_count(&c->site->in[0]); i++) {
        const real d = g[i] * shrink;
        p[i] -= decay * p[i];
        m[i] = beta1 * m[i] + new1 * d;
        v[i] = beta2 * v[i] + new2 * (d * d);
        p[i] -= rate * m[i] / ((real)sqrt((double)v[i]) / root + eps);
    }
    return ATH_OK;
}
