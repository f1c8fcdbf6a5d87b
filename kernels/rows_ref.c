#include "kernels/ref.h"
#include "kernels/rows.h"

ath_err ATH_REF_NAME(rows_fwd)(const ath_call *c)
{
    const ath_rows_attr *a = c->site->attr;
    const ath_desc *x = &c->site->in[0], *y = &c->site->out[0];
    const int64_t first = ath_desc_count(x) / x->dim[0] * a->first;

    for (int64_t i = 0; i < ath_desc_count(y); i++)
        ref_put(c->out[0], y->dtype, i, ref_get(c->in[0], x->dtype, first + i));
    return ATH_OK;
}

ath_err ATH_REF_NAME(rows_bwd)(const ath_call *c)
{
    const ath_rows_attr *a = c->site->attr;
    const ath_desc *x = &c->site->in[0], *y = &c->site->out[0];
    const int64_t first = ath_desc_count(x) / x->dim[0] * a->first, n = ath_desc_count(y);

    for (int64_t i = 0; i < ath_desc_count(x); i++) {
        const bool inside = i >= first && i < first + n;
        real dy = inside ? ref_get(c->dout[0], y->dtype, i - first) : 0;
        if (inside || !(c->site->add & 1)) ref_grad(c->din[0], x->dtype, i, dy, c->site->add & 1);
    }
    return ATH_OK;
}
