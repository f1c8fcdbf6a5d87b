#include "kernels/linear.h"
#include "kernels/product_ref.h"

ath_err ATH_REF_NAME(linear_fwd)(const ath_call *c)
{
    const ath_site *s = c->site;
    const ath_desc *x = &s->in[0];
    const int64_t k = ath_desc_last(x), n = s->in[1].dim[0];
    const ref_product y = {
        .m = ath_desc_rows(x),
        .n = n,
        .k = k,
        .a = {c->in[0], x->dtype, k, 1},
        .b = {c->in[1], s->in[1].dtype, 1, k},
        .scale = 1,
        .bias = c->in[2],
        .out = c->out[0],
        .dtype = s->out[0].dtype,
        .n_threads = s->n_threads,
    };

    ATH_REF_NAME(product)(&y, c->scratch);
    return ATH_OK;
}

ath_err ATH_REF_NAME(linear_bwd)(const ath_call *c)
{
    const ath_site *s = c->site;
    const ath_desc *x = &s->in[0];
    const int64_t m = ath_desc_rows(x), k = ath_desc_last(x), n = s->in[1].dim[0];
    const ref_product dx = {
        .m = m,
        .n = k,
        .k = n,
        .a = {c->dout[0], s->out[0].dtype, n, 1},
        .b = {c->in[1], s->in[1].dtype, k, 1},
        .scale = 1,
        .out = c->din[0],
        .dtype = s->din[0].dtype,
        .add = s->add & 1,
        .n_threads = s->n_threads,
    };
    const ref_product dweight = {
        .m = n,
        .n = k,
        .k = m,
        .a = {c->dout[0], s->out[0].dtype, 1, n},
        .b = {c->in[0], x->dtype, k, 1},
        .scale = 1,
        .out = c->din[1],
        .dtype = s->din[1].dtype,
        .add = s->add >> 1 & 1,
        .n_threads = s->n_threads,
    };

    if (c->din[0]) ATH_REF_NAME(product)(&dx, c->scratch);
    if (c->din[1]) ATH_REF_NAME(product)(&dweight, c->scratch);
    if (c->din[2]) ATH_REF_NAME(bias_grad)(c, 2);
    return ATH_OK;
}
