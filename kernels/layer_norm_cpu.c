#include "kernels/blocks.h"
#include "kernels/isa.h"
#include "kernels/layer_norm.h"
#include "kernels/par.h"
#include "kernels/span.h"

enum { CHAINS = 4 };   /* of sums, so that one addition need not wait for the last */
enum { AHEAD = 1024 }; /* elements that are asked for early: a page of f32 */

/* A row stays in the inner cache, so it is read from memory once. The mean is summed, then mended
 * by the mean of what is left around it, which also feeds the variance. */
VEC_INLINE void row_fwd(const ath_call *call, int64_t row, ath_dtype dtype)
{
    const ath_layer_norm_attr *a = call->site->attr;
    const int64_t c = ath_desc_last(&call->site->in[0]), begin = row * c, end = begin + c;
    const void *x = call->in[0], *gamma = call->in[1], *beta = call->in[2];
    void *y = call->out[0];
    vf sum[CHAINS] = {0}, rest[CHAINS] = {0}, square[CHAINS] = {0};

    for (int64_t i = begin; i < end; i += CHAINS * VL)
        for (int k = 0; k < CHAINS && i + k * VL < end; k++) {
            span_prefetch_far(x, dtype, i + k * VL + AHEAD);
            span_prefetch_write(y, dtype, i + k * VL + AHEAD);
            sum[k] += span_load(x, dtype, i + k * VL, end);
        }
    const float guess = vsum((sum[0] + sum[1]) + (sum[2] + sum[3])) / (float)c;
    for (int64_t i = begin; i < end; i += CHAINS * VL)
        for (int k = 0; k < CHAINS && i + k * VL < end; k++) {
            vf d = span_load(x, dtype, i + k * VL, end) - vset(guess);
            d = span_keep(d, i + k * VL, end);
            rest[k] += d;
            square[k] = vfma(d, d, square[k]);
        }
    const double shift = (double)vsum((rest[0] + rest[1]) + (rest[2] + rest[3])) / (double)c;
    const double spread = (double)vsum((square[0] + square[1]) + (square[2] + square[3]));
    const double variance = spread / (double)c - shift * shift;
    const float mean = (float)((double)guess + shift);
    const float rstd = (float)(1 / sqrt(variance + (double)a->eps));
    ((float *)call->saved[0])[row] = mean;
    ((float *)call->saved[1])[row] = rstd;
    const vf lost = vset(((float)((double)guess + shift - (double)mean)) * rstd); /* by rounding */
    for (int64_t i = begin; i < end; i += VL) {
        vf xhat = vfma(span_load(x, dtype, i, end) - vset(mean), vset(rstd), -lost);
        vf scale = span_load(gamma, ATH_F32, i - begin, c);
        span_store(y, dtype, i, end, vfma(scale, xhat, span_load(beta, ATH_F32, i - begin, c)));
    }
}

ath_err ATH_ISA_NAME(layer_norm_fwd)(const ath_call *call)
{
    const ath_dtype dtype = call->site->in[0].dtype;
    const int64_t rows = ath_desc_rows(&call->site->in[0]);

    ATH_PAR_FOR(call->site->n_threads)
    for (int64_t row = 0; row < rows; row++) SPAN_BY_DTYPE(dtype, row_fwd, call, row);
    return ATH_OK;
}

/* dx of a row; its share of dbeta and dgamma is added to the partials, two rows of `width`. */
VEC_INLINE void row_bwd(const ath_call *call, int64_t row, float *part, int64_t width,
                        ath_dtype dtype)
{
    const int64_t c = ath_desc_last(&call->site->in[0]), begin = row * c, end = begin + c;
    const vf mean = vset(((const float *)call->saved[0])[row]);
    const vf rstd = vset(((const float *)call->saved[1])[row]);
    const bool add = call->site->add & 1;
    const void *x = call->in[0], *dy = call->dout[0], *gamma = call->in[1];
    void *dx = call->din[0];
    vf sum = vset(0), sum_xhat = vset(0);

    for (int64_t i = begin; i < end; i += VL) {
        const int64_t j = i - begin;
        vf xhat = (span_load(x, dtype, i, end) - mean) * rstd;
        vf g = span_load(dy, dtype, i, end), d = g * span_load(gamma, ATH_F32, j, c);
        sum += d;
        sum_xhat = vfma(d, xhat, sum_xhat);
        if (!part) continue;
        vstore(part + j, vload(part + j) + g);
        vstore(part + width + j, vfma(g, xhat, vload(part + width + j)));
    }
    if (!dx) return;
    const vf mean_d = vset(vsum(sum) / (float)c), slope = vset(vsum(sum_xhat) / (float)c);
    for (int64_t i = begin; i < end; i += VL) {
        vf xhat = (span_load(x, dtype, i, end) - mean) * rstd;
        vf g = span_load(dy, dtype, i, end);
        vf d = vfma(g, span_load(gamma, ATH_F32, i - begin, c), -mean_d);
        span_grad(dx, dtype, i, end, rstd * vfma(-xhat, slope, d), add);
    }
}

ath_err ATH_ISA_NAME(layer_norm_bwd)(const ath_call *call)
{
    const ath_desc *x = &call->site->in[0];
    const int64_t c = ath_desc_last(x), rows = ath_desc_rows(x), width = block_width(c);
    const int64_t height = block_rows(c), n_blocks = block_count(rows, c);
    float *dgamma = call->din[1], *dbeta = call->din[2], *scratch = call->scratch;
    const bool is_wanted = dgamma || dbeta;
    const uint32_t add = call->site->add;

    ATH_PAR_FOR(call->site->n_threads)
    for (int64_t b = 0; b < n_blocks; b++) {
        float *part = is_wanted ? scratch + b * 2 * width : NULL;
        if (part) memset(part, 0, (size_t)(2 * width) * sizeof *part);
        for (int64_t row = b * height; row < rows && row < (b + 1) * height; row++)
            SPAN_BY_DTYPE(x->dtype, row_bwd, call, row, part, width);
    }
    if (!is_wanted) return ATH_OK;
    ATH_PAR_FOR(call->site->n_threads)
    for (int64_t j = 0; j < c; j += BLOCK_COLUMNS) {
        const int n = c - j < BLOCK_COLUMNS ? (int)(c - j) : BLOCK_COLUMNS;
        if (dbeta) block_grad(scratch + j, 2 * width, n_blocks, n, dbeta + j, add >> 2 & 1);
        if (dgamma)
            block_grad(scratch + width + j, 2 * width, n_blocks, n, dgamma + j, add >> 1 & 1);
    }
    return ATH_OK;
}
