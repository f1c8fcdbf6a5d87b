#include "kernels/add.h"
#include "kernels/ref.h"

ath_err ATH_REF_NAME(add_fwd)(const ath_call *c)
{
    const ath_desc *a = &c->site->in[0];

    for (int64_t i = 0; i < ath_desc_count(a); i++)
        ref_put(c->out[0], a->dtype, i,
                ref_get(c->in[0], a->dtype, i) + ref_get(c->in[1], a->dtype, i));
    return ATH_OK;
}

ath_err ATH_REF_NAME(add_bwd)(const ath_call *c)
{
    const ath_desc *y = &c->site->out[0];

    for (int k = 0; k < 2; k++)
        for (int64_t i = 0; c->din[k] && i < ath_desc_count(y); i++)
            ref_grad(c->din[k], y->dtype, i, ref_get(c->dout[0], y->dtype, i),
                     c->site->add >> k & 1);
    return ATH_OK;
}
