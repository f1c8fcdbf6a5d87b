#include "kernels/gelu.h"
#include "kernels/par.h"
#include "kernels/ref.h"

#include <math.h>

static const double quick_slope = 1.702, sqrt_half = 0.70710678118654752440,
                    density_0 = 0.39894228040143267794; /* 1 / sqrt(2 pi) */

ath_err ATH_REF_NAME(gelu_fwd)(const ath_call *c)
{
    const ath_desc *x = &c->site->in[0];
    const bool quick = ((const ath_gelu_attr *)c->site->attr)->quick;

    ATH_PAR_FOR(c->site->n_threads)
    for (int64_t i = 0; i < ath_desc_count(x); i++) {
        const double v = (double)ref_get(c->in[0], x->dtype, i);
        const double gate = quick ? 1 / (1 + exp(-quick_slope * v)) : 0.5 * erfc(-v * sqrt_half);
        ref_put(c->out[0], x->dtype, i, (real)(v * gate));
    }
    return ATH_OK;
}

ath_err ATH_REF_NAME(gelu_bwd)(const ath_call *c)
{
    const ath_desc *x = &c->site->in[0];
    const bool quick = ((const ath_gelu_attr *)c->site->attr)->quick;

    ATH_PAR_FOR(c->site->n_threads)
    for (int64_t i = 0; i < ath_desc_count(x); i++) {
        const double v = (double)ref_get(c->in[0], x->dtype, i);
        const double dy = (double)ref_get(c->dout[0], x->dtype, i);
        const double gate = quick ? 1 / (1 + exp(-quick_slope * v)) : 0.5 * erfc(-v * sqrt_half);
        const double slope =
            quick ? quick_slope * gate * (1 - gate) : density_0 * exp(-0.5 * v * v);
        ref_grad(c->din[0], x->dtype, i, (real)(dy * (gate + v * slope)), c->site->add & 1);
    }
    return ATH_OK;
}
