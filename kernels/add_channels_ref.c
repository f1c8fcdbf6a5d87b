#include "kernels/add_channels.h"
#include "kernels/ref.h"

ath_err ATH_REF_NAME(add_channels_fwd)(const ath_call *c)
{
    const ath_desc *x = &c->site->in[0];
    const int64_t channels = ath_desc_last(x), image = ath_desc_count(x) / x->dim[0];

    for (int64_t i = 0; i < ath_desc_count(x); i++) {
        real v = ref_get(c->in[1], x->dtype, i / image * channels + i % channels);
        ref_put(c->out[0], x->dtype, i, ref_get(c->in[0], x->dtype, i) + v);
    }
    return ATH_OK;
}

ath_err ATH_REF_NAME(add_channels_bwd)(const ath_call *c)
{
    const ath_desc *y = &c->site->out[0];
    const int64_t channels = ath_desc_last(y), image = ath_desc_count(y) / y->dim[0];

    for (int64_t i = 0; c->din[0] && i < ath_desc_count(y); i++)
        ref_grad(c->din[0], y->dtype, i, ref_get(c->dout[0], y->dtype, i), c->site->add & 1);
    for (int64_t k = 0; c->din[1] && k < y->dim[0] * channels; k++) {
        const int64_t first = k / channels * image + k % channels;
        real sum = 0;
        for (int64_t i = 0; i < image; i += channels)
            sum += ref_get(c->dout[0], y->dtype, first + i);
        ref_grad(c->din[1], y->dtype, k, sum, c->site->add >> 1 & 1);
    }
    return ATH_OK;
}
