#include "kernels/geglu.h"
#include "kernels/par.h"
#include "kernels/ref.h"

#include <math.h>

static const double sqrt_half = 0.70710678118654752440,
                    density_0 = 0.39894228040143267794; /* 1 / sqrt(2 pi) */

ath_err ATH_REF_NAME(geglu_fwd)(const ath_call *call)
{
    const ath_desc *y = &call->site->out[0];
    const int64_t c = ath_desc_last(y);

    ATH_PAR_FOR(call->site->n_threads)
    for (int64_t i = 0; i < ath_desc_count(y); i++) {
        const int64_t at = i / c * 2 * c + i % c;
        const double g = (double)ref_get(call->in[0], y->dtype, at + c);
        const real gelu = (real)(g * 0.5 * erfc(-g * sqrt_half));
        ref_put(call->out[0], y->dtype, i, ref_get(call->in[0], y->dtype, at) * gelu);
    }
    return ATH_OK;
}

ath_err ATH_REF_NAME(geglu_bwd)(const ath_call *call)
{
    const ath_desc *y = &call->site->out[0];
    const int64_t c = ath_desc_last(y);
    const bool add = call->site->add & 1;

    ATH_PAR_FOR(call->site->n_threads)
    for (int64_t i = 0; i < ath_desc_count(y); i++) {
        const int64_t at = i / c * 2 * c + i % c;
        const real a = ref_get(call->in[0], y->dtype, at);
        const real dy = ref_get(call->dout[0], y->dtype, i);
        const double g = (double)ref_get(call->in[0], y->dtype, at + c);
        const double gate = 0.5 * erfc(-g * sqrt_half);
        const double slope = gate + g * density_0 * exp(-0.5 * g * g);
        ref_grad(call->din[0], y->dtype, at, dy * (real)(g * gate), add);
        ref_grad(call->din[0], y->dtype, at + c, dy * a * (real)slope, add);
    }
    return ATH_OK;
}
