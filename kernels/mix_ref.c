#include "kernels/mix.h"
#include "kernels/ref.h"

ath_err ATH_REF_NAME(mix_fwd)(const ath_call *c)
{
    const ath_desc *x = &c->site->in[0];
    const int64_t image = ath_desc_count(x) / x->dim[0];

    for (int64_t i = 0; i < ath_desc_count(x); i++) {
        real a = ref_get(c->in[2], c->site->in[2].dtype, i / image);
        real b = ref_get(c->in[3], c->site->in[3].dtype, i / image);
        ref_put(c->out[0], x->dtype, i,
                a * ref_get(c->in[0], x->dtype, i) + b * ref_get(c->in[1], x->dtype, i));
    }
    return ATH_OK;
}

ath_err ATH_REF_NAME(mix_bwd)(const ath_call *c)
{
    const ath_desc *x = &c->site->in[0];
    const int64_t image = ath_desc_count(x) / x->dim[0];

    for (int k = 0; k < 2; k++)
        for (int64_t i = 0; c->din[k] && i < ath_desc_count(x); i++) {
            real weight = ref_get(c->in[2 + k], c->site->in[2 + k].dtype, i / image);
            ref_grad(c->din[k], x->dtype, i, weight * ref_get(c->dout[0], x->dtype, i),
                     c->site->add >> k & 1);
        }
    return ATH_OK;
}
