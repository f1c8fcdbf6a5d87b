#include "kernels/add_rows.h"
#include "kernels/copy_span.h"
#include "kernels/isa.h"

ath_err ATH_ISA_NAME(add_rows_fwd)(const ath_call *c)
{
    const ath_add_rows_attr *a = c->site->attr;
    const ath_desc *x = &c->site->in[0];
    const int64_t n = ath_desc_count(x), n_spans = span_count(n);
    const int64_t d_first = n / x->dim[0] * a->first;
    const int64_t d_end = d_first + ath_desc_count(&c->site->in[1]);

    ATH_PAR_FOR(c->site->n_threads)
    for (int64_t s = 0; s < n_spans; s++) {
        const int64_t first = s * SPAN, end = span_end(s, n);
        const int64_t from = first > d_first ? first : d_first, to = end < d_end ? end : d_end;
        copy_run(copy_to(c->out[0], x->dtype, first), copy_from(c->in[0], x->dtype, first),
                 x->dtype, end - first, false);
        /* x is exact in y, so adding to y rounds once; the span is still in the cache */
        if (from < to)
            copy_run(copy_to(c->out[0], x->dtype, from),
                     copy_from(c->in[1], x->dtype, from - d_first), x->dtype, to - from, true);
    }
    return ATH_OK;
}

ath_err ATH_ISA_NAME(add_rows_bwd)(const ath_call *c)
{
    const ath_add_rows_attr *a = c->site->attr;
    const ath_desc *x = &c->site->in[0];

    for (int k = 0; k < 2; k++) {
        const copy_strip strip = {.dtype = x->dtype,
                                  .rows = 1,
                                  .cols = ath_desc_count(&c->site->in[k]),
                                  .to = c->din[k],
                                  .from = c->dout[0],
                                  .from_at = k ? ath_desc_count(x) / x->dim[0] * a->first : 0,
                                  .add = c->site->add >> k & 1};
        if (c->din[k]) copy_strips(&strip, c->site->n_threads);
    }
    return ATH_OK;
}
