#include "kernels/add_rows.h"
#include "kernels/ref.h"

ath_err ATH_REF_NAME(add_rows_fwd)(const ath_call *c)
{
    const ath_add_rows_attr *a = c->site->attr;
    const ath_desc *x = &c->site->in[0];
    const int64_t first = ath_desc_count(x) / x->dim[0] * a->first;
    const int64_t end = first + ath_desc_count(&c->site->in[1]);

    for (int64_t i = 0; i < ath_desc_count(x); i++) {
        real y = ref_get(c->in[0], x->dtype, i);
        if (i >= first && i < end) y += ref_get(c->in[1], x->dtype, i - first);
        ref_put(c->out[0], x->dtype, i, y);
    }
    return ATH_OK;
}

ath_err ATH_REF_NAME(add_rows_bwd)(const ath_call *c)
{
    const ath_add_rows_attr *a = c->site->attr;
    const ath_desc *x = &c->site->in[0], *d = &c->site->in[1];
    const int64_t first = ath_desc_count(x) / x->dim[0] * a->first;

    for (int64_t i = 0; c->din[0] && i < ath_desc_count(x); i++)
        ref_grad(c->din[0], x->dtype, i, ref_get(c->dout[0], x->dtype, i), c->site->add & 1);
    for (int64_t i = 0; c->din[1] && i < ath_desc_count(d); i++)
        ref_grad(c->din[1], d->dtype, i, ref_get(c->dout[0], x->dtype, first + i),
                 c->site->add >> 1 & 1);
    return ATH_OK;
}
