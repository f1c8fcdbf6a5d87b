#include "kernels/isa.h"
#include "kernels/mul.h"
#include "kernels/par.h"
#include "kernels/span.h"

ath_err ATH_ISA_NAME(mul_fwd)(const ath_call *c)
{
    const ath_dtype dtype = c->site->in[0].dtype;
    const int64_t n = ath_desc_count(&c->site->in[0]), n_spans = span_count(n);

    ATH_PAR_FOR(c->site->n_threads)
    for (int64_t s = 0; s < n_spans; s++) {
        const int64_t end = span_end(s, n);
        for (int64_t i = s * SPAN; i < end; i += VL) {
            vf a = span_load(c->in[0], dtype, i, end), b = span_load(c->in[1], dtype, i, end);
            span_store(c->out[0], dtype, i, end, a * b);
        }
    }
    return ATH_OK;
}

ath_err ATH_ISA_NAME(mul_bwd)(const ath_call *c)
{
    const ath_dtype dtype = c->site->in[0].dtype;
    const int64_t n = ath_desc_count(&c->site->in[0]), n_spans = span_count(n);
    const uint32_t add = c->site->add;

    ATH_PAR_FOR(c->site->n_threads)
    for (int64_t s = 0; s < n_spans; s++) {
        const int64_t end = span_end(s, n);
        for (int64_t i = s * SPAN; i < end; i += VL) {
            vf a = span_load(c->in[0], dtype, i, end), b = span_load(c->in[1], dtype, i, end);
            vf dy = span_load(c->dout[0], dtype, i, end);
            if (c->din[0]) span_grad(c->din[0], dtype, i, end, dy * b, add & 1);
            if (c->din[1]) span_grad(c->din[1], dtype, i, end, dy * a, add >> 1 & 1);
        }
    }
    return ATH_OK;
}
