#include "kernels/geglu.h"
#include "kernels/isa.h"
#include "kernels/par.h"
#include "kernels/span.h"

enum { AHEAD = 1024 }; /* elements of y that are asked for early: a page of f32 */

/* A row of x is 2C long, that of y C: element i of y comes from x at i + to_a and i + to_g. */

VEC_INLINE void row_fwd(const ath_call *call, int64_t row, int64_t c, ath_dtype dtype)
{
    const int64_t end = (row + 1) * c, to_a = row * c, to_g = to_a + c;
    const void *x = call->in[0];
    void *y = call->out[0];

    for (int64_t i = row * c; i < end; i += VL) {
        span_prefetch(x, dtype, i + to_a + 2 * c);
        span_prefetch(x, dtype, i + to_g + 2 * c);
        span_prefetch_write(y, dtype, i + AHEAD);
        vf a = span_load(x, dtype, i + to_a, end + to_a), density;
        vf g = span_load(x, dtype, i + to_g, end + to_g);
        span_store(y, dtype, i, end, a * g * vnormal(g, &density));
    }
}

ath_err ATH_ISA_NAME(geglu_fwd)(const ath_call *call)
{
    const ath_dtype dtype = call->site->out[0].dtype;
    const int64_t c = ath_desc_last(&call->site->out[0]), rows = ath_desc_rows(&call->site->out[0]);

    ATH_PAR_FOR(call->site->n_threads)
    for (int64_t row = 0; row < rows; row++) SPAN_BY_DTYPE(dtype, row_fwd, call, row, c);
    return ATH_OK;
}

VEC_INLINE void row_bwd(const ath_call *call, int64_t row, int64_t c, ath_dtype dtype)
{
    const int64_t end = (row + 1) * c, to_a = row * c, to_g = to_a + c;
    const bool add = call->site->add & 1;
    const void *x = call->in[0], *dy = call->dout[0];
    void *dx = call->din[0];

    for (int64_t i = row * c; i < end; i += VL) {
        span_prefetch(x, dtype, i + to_a + 2 * c);
        span_prefetch(x, dtype, i + to_g + 2 * c);
        vf a = span_load(x, dtype, i + to_a, end + to_a), density;
        vf g = span_load(x, dtype, i + to_g, end + to_g);
        vf d = span_load(dy, dtype, i, end);
        vf gate = vnormal(g, &density);
        span_grad(dx, dtype, i + to_a, end + to_a, d * g * gate, add);
        span_grad(dx, dtype, i + to_g, end + to_g, d * a * vfma(g, density, gate), add);
    }
}

ath_err ATH_ISA_NAME(geglu_bwd)(const ath_call *call)
{
    const ath_dtype dtype = call->site->out[0].dtype;
    const int64_t c = ath_desc_last(&call->site->out[0]), rows = ath_desc_rows(&call->site->out[0]);

    ATH_PAR_FOR(call->site->n_threads)
    for (int64_t row = 0; row < rows; row++) SPAN_BY_DTYPE(dtype, row_bwd, call, row, c);
    return ATH_OK;
}
