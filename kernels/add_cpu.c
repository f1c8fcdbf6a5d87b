#include "kernels/add.h"
#include "kernels/copy_span.h"
#include "kernels/isa.h"

ath_err ATH_ISA_NAME(add_fwd)(const ath_call *c)
{
    const ath_dtype dtype = c->site->in[0].dtype;
    const int64_t n = ath_desc_count(&c->site->in[0]), n_spans = span_count(n);

    ATH_PAR_FOR(c->site->n_threads)
    for (int64_t s = 0; s < n_spans; s++) {
        const int64_t end = span_end(s, n);
        for (int64_t i = s * SPAN; i < end; i += VL)
            span_store(c->out[0], dtype, i, end,
                       span_load(c->in[0], dtype, i, end) + span_load(c->in[1], dtype, i, end));
    }
    return ATH_OK;
}

ath_err ATH_ISA_NAME(add_bwd)(const ath_call *c)
{
    const ath_dtype dtype = c->site->out[0].dtype;
    const int64_t n = ath_desc_count(&c->site->out[0]), n_spans = span_count(n);

    /* both gradients span by span: dy comes from memory once */
    ATH_PAR_FOR(c->site->n_threads)
    for (int64_t s = 0; s < n_spans; s++) {
        const int64_t i = s * SPAN;
        for (int k = 0; k < 2; k++)
            if (c->din[k])
                copy_run(copy_to(c->din[k], dtype, i), copy_from(c->dout[0], dtype, i), dtype,
                         span_end(s, n) - i, c->site->add >> k & 1);
    }
    return ATH_OK;
}
