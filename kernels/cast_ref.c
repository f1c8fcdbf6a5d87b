#include "kernels/cast.h"
#include "kernels/ref.h"

ath_err ATH_REF_NAME(cast_fwd)(const ath_call *c)
{
    const ath_desc *x = &c->site->in[0], *y = &c->site->out[0];

    for (int64_t i = 0; i < ath_desc_count(x); i++)
        ath_dtype_put(c->out[0], y->dtype, i, ath_dtype_get(c->in[0], x->dtype, i));
    return ATH_OK;
}

ath_err ATH_REF_NAME(cast_bwd)(const ath_call *c)
{
    const ath_desc *dy = &c->site->out[0], *dx = &c->site->din[0];

    for (int64_t i = 0; i < ath_desc_count(dx); i++)
        ref_grad(c->din[0], dx->dtype, i, ref_get(c->dout[0], dy->dtype, i), c->site->add & 1);
    return ATH_OK;
}
