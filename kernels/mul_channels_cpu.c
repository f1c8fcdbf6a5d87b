#include "kernels/blocks.h"
#include "kernels/isa.h"
#include "kernels/mul_channels.h"
#include "kernels/par.h"
#include "kernels/span.h"

static vf factor_at(const ath_call *call, int64_t j, int64_t c)
{
    const vf offset = vset(((const ath_mul_channels_attr *)call->site->attr)->offset);
    return call->in[1] ? offset + span_load(call->in[1], ATH_F32, j, c) : offset;
}

ath_err ATH_ISA_NAME(mul_channels_fwd)(const ath_call *call)
{
    const ath_desc *x = &call->site->in[0];
    const ath_dtype dtype = x->dtype;
    const int64_t c = ath_desc_last(x), rows = ath_desc_rows(x);

    ATH_PAR_FOR(call->site->n_threads)
    for (int64_t row = 0; row < rows; row++)
        for (int64_t j = 0, i = row * c, end = i + c; j < c; j += VL, i += VL) {
            vf factor = factor_at(call, j, c);
            span_store(call->out[0], dtype, i, end, span_load(call->in[0], dtype, i, end) * factor);
        }
    return ATH_OK;
}

/* dx of a row; its share of dv is added to `part`. */
static void row_bwd(const ath_call *call, int64_t row, float *part)
{
    const ath_dtype dtype = call->site->in[0].dtype;
    const int64_t c = ath_desc_last(&call->site->in[0]), begin = row * c, end = begin + c;
    const bool add = call->site->add & 1;

    for (int64_t i = begin; i < end; i += VL) {
        const int64_t j = i - begin;
        vf dy = span_load(call->dout[0], dtype, i, end);
        vf x = span_load(call->in[0], dtype, i, end);
        vstore(part + j, vfma(dy, x, vload(part + j)));
        if (!call->din[0]) continue;
        vf factor = factor_at(call, j, c);
        span_grad(call->din[0], dtype, i, end, dy * factor, add);
    }
}

ath_err ATH_ISA_NAME(mul_channels_bwd)(const ath_call *call)
{
    const ath_desc *x = &call->site->in[0];
    const int64_t c = ath_desc_last(x), rows = ath_desc_rows(x), width = block_width(c);
    const int64_t height = block_rows(c), n_blocks = block_count(rows, c);
    float *dv = call->din[1], *scratch = call->scratch;
    const bool add = call->site->add >> 1 & 1;

    ATH_PAR_FOR(call->site->n_threads)
    for (int64_t b = 0; b < n_blocks; b++) {
        float *part = scratch + b * width;
        memset(part, 0, (size_t)width * sizeof *part);
        for (int64_t row = b * height; row < rows && row < (b + 1) * height; row++)
            row_bwd(call, row, part);
    }
    if (!dv) return ATH_OK;
    ATH_PAR_FOR(call->site->n_threads)
    for (int64_t j = 0; j < c; j += BLOCK_COLUMNS) {
        const int n = c - j < BLOCK_COLUMNS ? (int)(c - j) : BLOCK_COLUMNS;
        block_grad(scratch + j, width, n_blocks, n, dv + j, add);
    }
    return ATH_OK;
}
