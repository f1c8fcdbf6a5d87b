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

/* A loop of this file for one span, with type and kind as constants. */
#define BY_KIND(loop, c, s)                                            \
    (((const ath_gelu_attr *)(c)->site->attr)->quick                   \
         ? SPAN_BY_DTYPE((c)->site->in[0].dtype, loop, (c), (s), true) \
         : SPAN_BY_DTYPE((c)->site->in[0].dtype, loop, (c), (s), false))

VEC_INLINE void span_fwd(const ath_call *c, int64_t s, bool quick, ath_dtype dtype)
{
    const int64_t end = span_end(s, ath_desc_count(&c->site->in[0]));
    const void *in = c->in[0];
    void *out = c->out[0];

    for (int64_t i = s * SPAN; i < end; i += VL) {
        vf x = span_load(in, dtype, i, end), slope;
        span_store(out, dtype, i, end, x * gate_of(x, quick, &slope));
    }
}

ath_err ATH_ISA_NAME(gelu_fwd)(const ath_call *c)
{
    const int64_t n_spans = span_count(ath_desc_count(&c->site->in[0]));

    ATH_PAR_FOR(c->site->n_threads)
    for (int64_t s = 0; s < n_spans; s++) BY_KIND(span_fwd, c, s);
    return ATH_OK;
}

VEC_INLINE void span_bwd(const ath_call *c, int64_t s, bool quick, ath_dtype dtype)
{
    const int64_t end = span_end(s, ath_desc_count(&c->site->in[0]));
    const void *in = c->in[0], *dout = c->dout[0];
    void *din = c->din[0];
    const bool add = c->site->add & 1;

    for (int64_t i = s * SPAN; i < end; i += VL) {
        vf x = span_load(in, dtype, i, end), slope;
        vf gate = gate_of(x, quick, &slope);
        vf dy = span_load(dout, dtype, i, end);
        span_grad(din, dtype, i, end, dy * vfma(x, slope, gate), add);
    }
}

ath_err ATH_ISA_NAME(gelu_bwd)(const ath_call *c)
{
    const int64_t n_spans = span_count(ath_desc_count(&c->site->in[0]));

    ATH_PAR_FOR(c->site->n_threads)
    for (int64_t s = 0; s < n_spans; s++) BY_KIND(span_bwd, c, s);
    return ATH_OK;
}
