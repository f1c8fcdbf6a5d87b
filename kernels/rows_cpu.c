#include "kernels/copy_span.h"
#include "kernels/isa.h"
#include "kernels/rows.h"

ath_err ATH_ISA_NAME(rows_fwd)(const ath_call *c)
{
    const ath_rows_attr *a = c->site->attr;
    const ath_desc *x = &c->site->in[0], *y = &c->site->out[0];
    const copy_strip strip = {.dtype = x->dtype,
                              .rows = 1,
                              .cols = ath_desc_count(y),
                              .to = c->out[0],
                              .from = c->in[0],
                              .from_at = ath_desc_count(x) / x->dim[0] * a->first};

    copy_strips(&strip, c->site->n_threads);
    return ATH_OK;
}

ath_err ATH_ISA_NAME(rows_bwd)(const ath_call *c)
{
    const ath_rows_attr *a = c->site->attr;
    const ath_desc *x = &c->site->in[0], *y = &c->site->out[0];
    const int64_t first = ath_desc_count(x) / x->dim[0] * a->first, n = ath_desc_count(y);
    const copy_strip strip = {.dtype = x->dtype,
                              .rows = 1,
                              .cols = n,
                              .to = c->din[0],
                              .to_at = first,
                              .from = c->dout[0],
                              .add = c->site->add & 1};

    copy_strips(&strip, c->site->n_threads);
    if (strip.add) return ATH_OK;
    copy_zero(c->din[0], x->dtype, 0, first, c->site->n_threads);
    copy_zero(c->din[0], x->dtype, first + n, ath_desc_count(x), c->site->n_threads);
    return ATH_OK;
}
