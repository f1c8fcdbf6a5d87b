#include "kernels/layer_norm.h"
#include "kernels/par.h"
#include "kernels/ref.h"

#include <math.h>

ath_err ATH_REF_NAME(layer_norm_fwd)(const ath_call *call)
{
    const ath_site *site = call->site;
    const ath_layer_norm_attr *a = site->attr;
    const ath_desc *x = &site->in[0];
    const ath_dtype full = site->in[1].dtype;
    const int64_t c = ath_desc_last(x);

    ATH_PAR_FOR(site->n_threads)
    for (int64_t row = 0; row < ath_desc_rows(x); row++) {
        double sum = 0, square = 0;
        for (int64_t j = 0; j < c; j++) sum += (double)ref_get(call->in[0], x->dtype, row * c + j);
        sum /= (double)c;
        for (int64_t j = 0; j < c; j++) {
            double d = (double)ref_get(call->in[0], x->dtype, row * c + j) - sum;
            square += d * d;
        }
        const real mean = (real)sum;
        const real rstd = (real)(1 / sqrt(square / (double)c + (double)a->eps));
        ref_put(call->saved[0], full, row, mean);
        ref_put(call->saved[1], full, row, rstd);
        for (int64_t j = 0; j < c; j++) {
            real xhat = (ref_get(call->in[0], x->dtype, row * c + j) - mean) * rstd;
            ref_put(call->out[0], x->dtype, row * c + j,
                    ref_get(call->in[1], full, j) * xhat + ref_get(call->in[2], full, j));
        }
    }
    return ATH_OK;
}

static real xhat_of(const ath_call *call, int64_t row, int64_t at)
{
    const ath_dtype full = call->site->in[1].dtype;
    const real x = ref_get(call->in[0], call->site->in[0].dtype, at);
    return (x - ref_get(call->saved[0], full, row)) * ref_get(call->saved[1], full, row);
}

/* dx = rstd * (gamma dy - mean(gamma dy) - xhat * mean(gamma dy xhat)) */
static void row_bwd(const ath_call *call, int64_t row)
{
    const ath_desc *x = &call->site->in[0];
    const ath_dtype full = call->site->in[1].dtype;
    const int64_t c = ath_desc_last(x);
    const real rstd = ref_get(call->saved[1], full, row);
    double sum = 0, sum_xhat = 0;

    for (int64_t at = row * c; at < (row + 1) * c; at++) {
        real d = ref_get(call->in[1], full, at % c) * ref_get(call->dout[0], x->dtype, at);
        sum += (double)d;
        sum_xhat += (double)(d * xhat_of(call, row, at));
    }
    const real mean_d = (real)(sum / (double)c), slope = (real)(sum_xhat / (double)c);
    for (int64_t at = row * c; at < (row + 1) * c; at++) {
        real d = ref_get(call->in[1], full, at % c) * ref_get(call->dout[0], x->dtype, at);
        ref_grad(call->din[0], x->dtype, at, rstd * (d - mean_d - xhat_of(call, row, at) * slope),
                 call->site->add & 1);
    }
}

/* dgamma and dbeta of channel k: rows in order. */
static void channel_bwd(const ath_call *call, int64_t k)
{
    const ath_desc *x = &call->site->in[0];
    const ath_dtype full = call->site->in[1].dtype;
    const int64_t c = ath_desc_last(x);
    double dgamma = 0, dbeta = 0;

    for (int64_t row = 0; row < ath_desc_rows(x); row++) {
        real dy = ref_get(call->dout[0], x->dtype, row * c + k);
        dgamma += (double)(dy * xhat_of(call, row, row * c + k));
        dbeta += (double)dy;
    }
    if (call->din[1]) ref_grad(call->din[1], full, k, (real)dgamma, call->site->add >> 1 & 1);
    if (call->din[2]) ref_grad(call->din[2], full, k, (real)dbeta, call->site->add >> 2 & 1);
}

ath_err ATH_REF_NAME(layer_norm_bwd)(const ath_call *call)
{
    const ath_desc *x = &call->site->in[0];
    const int64_t rows = call->din[0] ? ath_desc_rows(x) : 0;
    const int64_t c = call->din[1] || call->din[2] ? ath_desc_last(x) : 0;

    ATH_PAR_FOR(call->site->n_threads)
    for (int64_t row = 0; row < rows; row++) row_bwd(call, row);
    ATH_PAR_FOR(call->site->n_threads)
    for (int64_t k = 0; k < c; k++) channel_bwd(call, k);
    return ATH_OK;
}
