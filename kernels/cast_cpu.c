#include "kernels/cast.h"
#include "kernels/isa.h"
#include "kernels/par.h"
#include "kernels/span.h"

typedef struct conversion {
    const void *x;
    void *y;
    ath_dtype from, to;
    bool add; /* to y */
} conversion;

static vf load(const void *p, ath_dtype dtype, int64_t i, int64_t end)
{
    uint16_t lane[VL] = {0};

    if (dtype != ATH_F16) return span_load(p, dtype, i, end);
    if (end - i >= VL) return vload_f16((const uint16_t *)p + i);
    memcpy(lane, (const uint16_t *)p + i, (size_t)(end - i) * sizeof *lane);
    return vload_f16(lane);
}

static void store(void *p, ath_dtype dtype, int64_t i, int64_t end, vf x)
{
    uint16_t lane[VL];

    if (dtype != ATH_F16) {
        span_store(p, dtype, i, end, x);
    } else if (end - i >= VL) {
        vstore_f16((uint16_t *)p + i, x);
    } else {
        vstore_f16(lane, x);
        memcpy((uint16_t *)p + i, lane, (size_t)(end - i) * sizeof *lane);
    }
}

/* F64 is for tests of the graph: one by one. */
static void convert_f64(const conversion *c, int64_t begin, int64_t end)
{
    for (int64_t i = begin; i < end; i++) {
        const double there = c->add ? ath_dtype_get(c->y, c->to, i) : 0;
        ath_dtype_put(c->y, c->to, i, ath_dtype_get(c->x, c->from, i) + there);
    }
}

static void convert(const conversion *c, int64_t begin, int64_t end)
{
    const conversion k = *c;

    if (k.from == ATH_F64 || k.to == ATH_F64) {
        convert_f64(c, begin, end);
        return;
    }
    for (int64_t i = begin; i < end; i += VL) {
        vf x = load(k.x, k.from, i, end);
        store(k.y, k.to, i, end, k.add ? load(k.y, k.to, i, end) + x : x);
    }
}

static ath_err run(conversion c, int64_t n, int32_t n_threads)
{
    const int64_t n_spans = span_count(n);

    ATH_PAR_FOR(n_threads)
    for (int64_t s = 0; s < n_spans; s++) convert(&c, s * SPAN, span_end(s, n));
    return ATH_OK;
}

ath_err ATH_ISA_NAME(cast_fwd)(const ath_call *call)
{
    const ath_desc *x = &call->site->in[0], *y = &call->site->out[0];
    const conversion c = {call->in[0], call->out[0], x->dtype, y->dtype, false};
    return run(c, ath_desc_count(x), call->site->n_threads);
}

ath_err ATH_ISA_NAME(cast_bwd)(const ath_call *call)
{
    const ath_desc *dy = &call->site->out[0], *dx = &call->site->din[0];
    const conversion c = {call->dout[0], call->din[0], dy->dtype, dx->dtype, call->site->add & 1};
    return run(c, ath_desc_count(dx), call->site->n_threads);
}
