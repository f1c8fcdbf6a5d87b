#include "kernels/isa.h"
#include "kernels/par.h"
#include "kernels/silu.h"
#include "kernels/span.h"

ath_err ATH_ISA_NAME(silu_fwd)(const ath_call *c)
{
    const ath_dtype dtype = c->site->in[0].dtype;
    const int64_t n = ath_desc_count(&c->site->in[0]), n_spans = span_count(n);
    const void *in = c->in[0];
    void *out = c->out[0];

    ATH_PAR_FOR(c->site->n_threads)
    for (int64_t s = 0; s < n_spans; s++) {
        const int64_t end = span_end(s, n);
        for (int64_t i = s * SPAN; i < end; i += VL) {
            vf x = span_load(in, dtype, i, end);
            vsilu(&x, 1);
            span_store(out, dtype, i, end, x);
        }
    }
    return ATH_OK;
}

ath_err ATH_ISA_NAME(silu_bwd)(const ath_call *c)
{
    const ath_dtype dtype = c->site->in[0].dtype;
    const int64_t n = ath_desc_count(&c->site->in[0]), n_spans = span_count(n);
    const void *in = c->in[0], *dout = c->dout[0];
    void *din = c->din[0];
    const bool add = c->site->add & 1;

    ATH_PAR_FOR(c->site->n_threads)
    for (int64_t s = 0; s < n_spans; s++) {
        const int64_t end = span_end(s, n);
        for (int64_t i = s * SPAN; i < end; i += VL) {
            vf x = span_load(in, dtype, i, end);
            vf dy = span_load(dout, dtype, i, end);
            vf sigma = vsigmoid(x);
            vf dx = dy * sigma * vfma(x, vset(1.0f) - sigma, vset(1.0f));
            span_grad(din, dtype, i, end, dx, add);
        }
    }
    return ATH_OK;
}
