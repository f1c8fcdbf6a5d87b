#include "kernels/concat.h"
#include "kernels/copy_span.h"
#include "kernels/isa.h"

ath_err ATH_ISA_NAME(concat_fwd)(const ath_call *c)
{
    const ath_desc *y = &c->site->out[0];

    for (int k = 0; k < 2; k++) {
        const int64_t n = ath_desc_last(&c->site->in[k]);
        const copy_strip strip = {.dtype = y->dtype,
                                  .rows = ath_desc_rows(y),
                                  .cols = n,
                                  .to = c->out[0],
                                  .to_at = k ? ath_desc_last(y) - n : 0,
                                  .to_stride = ath_desc_last(y),
                                  .from = c->in[k],
                                  .from_stride = n};
        copy_strips(&strip, c->site->n_threads);
    }
    return ATH_OK;
}

ath_err ATH_ISA_NAME(concat_bwd)(const ath_call *c)
{
    const ath_desc *y = &c->site->out[0];

    for (int k = 0; k < 2; k++) {
        const int64_t n = ath_desc_last(&c->site->in[k]);
        const copy_strip strip = {.dtype = y->dtype,
                                  .rows = ath_desc_rows(y),
                                  .cols = n,
                                  .to = c->din[k],
                                  .to_stride = n,
                                  .from = c->dout[0],
                                  .from_at = k ? ath_desc_last(y) - n : 0,
                                  .from_stride = ath_desc_last(y),
                                  .add = c->site->add >> k & 1};
        if (c->din[k]) copy_strips(&strip, c->site->n_threads);
    }
    return ATH_OK;
}
