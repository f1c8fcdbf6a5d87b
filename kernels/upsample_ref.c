#include "kernels/ref.h"
#include "kernels/upsample.h"

/* The element of x [N,H,W,C] that element i of y [N,height,width,C] is a copy of. */
static int64_t source(const ath_desc *x, const ath_desc *y, int64_t i)
{
    const int64_t channels = x->dim[3], c = i % channels;
    const int64_t w = i / channels % y->dim[2] * x->dim[2] / y->dim[2];
    const int64_t h = i / channels / y->dim[2] % y->dim[1] * x->dim[1] / y->dim[1];
    const int64_t n = i / channels / y->dim[2] / y->dim[1];

    return ((n * x->dim[1] + h) * x->dim[2] + w) * channels + c;
}

ath_err ATH_REF_NAME(upsample_fwd)(const ath_call *c)
{
    const ath_desc *x = &c->site->in[0], *y = &c->site->out[0];

    for (int64_t i = 0; i < ath_desc_count(y); i++)
        ref_put(c->out[0], y->dtype, i, ref_get(c->in[0], x->dtype, source(x, y, i)));
    return ATH_OK;
}

/* The first of `big` rows (or columns) that copies row i of `small`: floor(k small / big) >= i. */
static int64_t first_copy(int64_t i, int64_t small, int64_t big)
{
    return (i * big + small - 1) / small;
}

ath_err ATH_REF_NAME(upsample_bwd)(const ath_call *c)
{
    const ath_desc *x = &c->site->in[0], *y = &c->site->out[0];
    const int64_t channels = x->dim[3];

    for (int64_t i = 0; i < ath_desc_count(x); i++) {
        const int64_t w = i / channels % x->dim[2], h = i / channels / x->dim[2] % x->dim[1];
        const int64_t n = i / channels / x->dim[2] / x->dim[1];
        const int64_t h_end = first_copy(h + 1, x->dim[1], y->dim[1]);
        const int64_t w_end = first_copy(w + 1, x->dim[2], y->dim[2]);
        real sum = 0;
        for (int64_t k = first_copy(h, x->dim[1], y->dim[1]); k < h_end; k++)
            for (int64_t l = first_copy(w, x->dim[2], y->dim[2]); l < w_end; l++)
                sum += ref_get(c->dout[0], y->dtype,
                               ((n * y->dim[1] + k) * y->dim[2] + l) * channels + i % channels);
        ref_grad(c->din[0], x->dtype, i, sum, c->site->add & 1);
    }
    return ATH_OK;
}
