#include "kernels/mul_channels.h"
#include "kernels/ref.h"

static real factor_of(const ath_call *call, int64_t k)
{
    const real offset = (real)((const ath_mul_channels_attr *)call->site->attr)->offset;
    return call->in[1] ? offset + ref_get(call->in[1], call->site->in[1].dtype, k) : offset;
}

ath_err ATH_REF_NAME(mul_channels_fwd)(const ath_call *call)
{
    const ath_desc *x = &call->site->in[0];
    const int64_t c = ath_desc_last(x);

    for (int64_t i = 0; i < ath_desc_count(x); i++)
        ref_put(call->out[0], x->dtype, i,
                ref_get(call->in[0], x->dtype, i) * factor_of(call, i % c));
    return ATH_OK;
}

static void channel_bwd(const ath_call *call, int64_t k)
{
    const ath_desc *x = &call->site->in[0], *v = &call->site->in[1];
    const real factor = factor_of(call, k);
    double dv = 0;

    for (int64_t i = k; i < ath_desc_count(x); i += ath_desc_last(x)) {
        real dy = ref_get(call->dout[0], x->dtype, i);
        dv += (double)(dy * ref_get(call->in[0], x->dtype, i));
        if (call->din[0]) ref_grad(call->din[0], x->dtype, i, dy * factor, call->site->add & 1);
    }
    if (call->din[1]) ref_grad(call->din[1], v->dtype, k, (real)dv, call->site->add >> 1 & 1);
}

ath_err ATH_REF_NAME(mul_channels_bwd)(const ath_call *call)
{
    for (int64_t k = 0; k < ath_desc_last(&call->site->in[0]); k++) channel_bwd(call, k);
    return ATH_OK;
}
