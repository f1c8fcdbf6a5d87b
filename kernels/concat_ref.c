#include "kernels/concat.h"
#include "kernels/ref.h"

ath_err ATH_REF_NAME(concat_fwd)(const ath_call *c)
{
    const ath_desc *y = &c->site->out[0];
    const int64_t na = ath_desc_last(&c->site->in[0]), nb = ath_desc_last(&c->site->in[1]);

    for (int64_t row = 0; row < ath_desc_rows(y); row++)
        for (int64_t i = 0; i < na + nb; i++)
            ref_put(c->out[0], y->dtype, row * (na + nb) + i,
                    i < na ? ref_get(c->in[0], y->dtype, row * na + i)
                           : ref_get(c->in[1], y->dtype, row * nb + i - na));
    return ATH_OK;
}

ath_err ATH_REF_NAME(concat_bwd)(const ath_call *c)
{
    const ath_desc *y = &c->site->out[0];

    for (int k = 0; k < 2; k++) {
        const int64_t n = ath_desc_last(&c->site->in[k]);
        const int64_t first = k ? ath_desc_last(y) - n : 0;
        for (int64_t row = 0; c->din[k] && row < ath_desc_rows(y); row++)
            for (int64_t i = 0; i < n; i++)
                ref_grad(c->din[k], y->dtype, row * n + i,
                         ref_get(c->dout[0], y->dtype, row * ath_desc_last(y) + first + i),
                         c->site->add >> k & 1);
    }
    return ATH_OK;
}
