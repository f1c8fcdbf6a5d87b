#include "kernels/gelu.h"
#include "kernels/isa.h"
#include "kernels/par.h"
#include "kernels/span.h"

/* What multiplies x, and its derivative. */
VEC_INLINE vf gate_of(vf x, bool quick, vf *slope)
{
    if (!quick) return vnormal(x, slope);
    const vf steep = vset(1.702f), gate = vsigmoid(steep * x);
    *slope = steep * gate * (vset(1.0f) - gate);
    return gate;
}

ath_err ATH_ISA_NAME(gelu_fwd)(const ath_call *c)
{
    const ath_dtype dtype = c->site->in[0].dtype;
    const int64_t n = ath_desc_count(&c->site->in[0]), n_spans = span_count(n);
    const void *in = c->in[0];
    void *out = c->out[0];
    const bool quick = ((const ath_gelu_attr *)c->site->attr)->quick;

    ATH_PAR_FOR(c->site->n_threads)
    for (int64_t s = 0; s < n_spans; s++) {
        const int64_t end = span_end(s, n);
        for (int64_t i = s * SPAN; i < end; i += VL) {
            vf x = span_load(in, dtype, i, end), slope;
            span_store(out, dtype, i, end, x * gate_of(x, quick, &slope));
        }
    }
    return ATH_OK;
}

ath_err ATH_ISA_NAME(gelu_bwd)(const ath_call *c)
{
    const ath_dtype dtype = c->site->in[0].dtype;
    const int64_t n = ath_desc_count(&c->site->in[0]), n_spans = span_count(n);
    const void *in = c->in[0], *dout = c->dout[0];
    void *din = c->din[0];
    const bool quick = ((const ath_gelu_attr *)c->site->attr)->quick, add = c->site->add & 1;

    ATH_PAR_FOR(c->site->n_threads)
    for (int64_t s = 0; s < n_spans; s++) {
        const int64_t end = span_end(s, n);
        for (int64_t i = s * SPAN; i < end; i += VL) {
            vf x = span_load(in, dtype, i, end), slope;
            vf gate = gate_of(x, quick, &slope);
            vf dy = span_load(dout, dtype, i, end);
            span_grad(din, dtype, i, end, dy * vfma(x, slope, gate), add);
        }
    }
    return ATH_OK;
}
