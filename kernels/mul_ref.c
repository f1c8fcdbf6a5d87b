#include "kernels/mul.h"
#include "kernels/ref.h"

ath_err ATH_REF_NAME(mul_fwd)(const ath_call *c)
{
    const ath_desc *a = &c->site->in[0];

    for (int64_t i = 0; i < ath_desc_count(a); i++)
        ref_put(c->out[0], a->dtype, i,
                ref_get(c->in[0], a->dtype, i) * ref_get(c->in[1], a->dtype, i));
    return ATH_OK;
}

ath_err ATH_REF_NAME(mul_bwd)(const ath_call *c)
{
    const ath_desc *a = &c->site->in[0];

    for (int k = 0; k < 2; k++)
        for (int64_t i = 0; c->din[k] && i < ath_desc_count(a); i++) {
            real dy = ref_get(c->dout[0], a->dtype, i);
            ref_grad(c->din[k], a->dtype, i, dy * ref_get(c->in[1 - k], a->dtype, i),
                     c->site->add >> k & 1);
        }
    return ATH_OK;
}
