#include "kernels/ref.h"
#include "kernels/silu.h"

#include <math.h>

ath_err ATH_REF_NAME(silu_fwd)(const ath_call *c)
{
    const ath_desc *x = &c->site->in[0];

    for (int64_t i = 0; i < ath_desc_count(x); i++) {
        real v = ref_get(c->in[0], x->dtype, i);
        ref_put(c->out[0], x->dtype, i, v / (1 + (real)exp(-(double)v)));
    }
    return ATH_OK;
}

ath_err ATH_REF_NAME(silu_bwd)(const ath_call *c)
{
    const ath_desc *x = &c->site->in[0];
    bool add = c->site->add & 1;

    for (int64_t i = 0; i < ath_desc_count(x); i++) {
        real v = ref_get(c->in[0], x->dtype, i), dy = ref_get(c->dout[0], x->dtype, i);
        real s = 1 / (1 + (real)exp(-(double)v));
        ref_grad(c->din[0], x->dtype, i, dy * s * (1 + v * (1 - s)), add);
    }
    return ATH_OK;
}
