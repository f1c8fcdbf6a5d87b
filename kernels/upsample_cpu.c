#include "kernels/copy_span.h"
#include "kernels/isa.h"
#include "kernels/upsample.h"

/* One row of y at a time. */
ath_err ATH_ISA_NAME(upsample_fwd)(const ath_call *c)
{
    const ath_desc *x = &c->site->in[0], *y = &c->site->out[0];
    const int64_t channels = x->dim[3], rows = y->dim[0] * y->dim[1];

    ATH_PAR_FOR(c->site->n_threads)
    for (int64_t row = 0; row < rows; row++) {
        const int64_t n = row / y->dim[1], h = row % y->dim[1] * x->dim[1] / y->dim[1];
        for (int64_t l = 0; l < y->dim[2]; l++) {
            const int64_t from = (n * x->dim[1] + h) * x->dim[2] + l * x->dim[2] / y->dim[2];
            copy_run(copy_to(c->out[0], y->dtype, (row * y->dim[2] + l) * channels),
                     copy_from(c->in[0], y->dtype, from * channels), y->dtype, channels, false);
        }
    }
    return ATH_OK;
}

/* The first of `big` rows (or columns) that copies row i of `small`: floor(k small / big) >= i. */
static int64_t first_copy(int64_t i, int64_t small, int64_t big)
{
    return (i * big + small - 1) / small;
}

enum { CHUNK = 1024 }; /* channels that are summed at a time */

/* sum[n] += elements at .. at+n of dy. */
static void add_run(const ath_call *c, int64_t at, int64_t n, float *sum)
{
    const ath_dtype dtype = c->site->out[0].dtype;

    for (int64_t i = 0; i < n; i += VL)
        vstore(sum + i, vload(sum + i) + span_load(c->dout[0], dtype, at + i, at + n));
}

/* dx of one pixel: the sum over rows k[0] .. k[1] and columns l[0] .. l[1] of dy, rows first. */
static void sum_window(const ath_call *c, int64_t pixel, const int64_t k[2], const int64_t l[2])
{
    const ath_desc *y = &c->site->out[0];
    const int64_t channels = y->dim[3];

    for (int64_t first = 0; first < channels; first += CHUNK) {
        const int64_t n = channels - first < CHUNK ? channels - first : CHUNK;
        float sum[CHUNK];
        for (int64_t i = 0; i < n; i += VL) vstore(sum + i, vset(0));
        for (int64_t row = k[0]; row < k[1]; row++)
            for (int64_t col = l[0]; col < l[1]; col++)
                add_run(c, (row * y->dim[2] + col) * channels + first, n, sum);
        const int64_t to = pixel * channels + first;
        for (int64_t i = 0; i < n; i += VL)
            span_grad(c->din[0], y->dtype, to + i, to + n, vload(sum + i), c->site->add & 1);
    }
}

ath_err ATH_ISA_NAME(upsample_bwd)(const ath_call *c)
{
    const ath_desc *x = &c->site->in[0], *y = &c->site->out[0];
    const int64_t rows = x->dim[0] * x->dim[1];

    ATH_PAR_FOR(c->site->n_threads)
    for (int64_t row = 0; row < rows; row++) {
        const int64_t h = row % x->dim[1], top = row / x->dim[1] * y->dim[1];
        const int64_t k[2] = {top + first_copy(h, x->dim[1], y->dim[1]),
                              top + first_copy(h + 1, x->dim[1], y->dim[1])};
        for (int64_t w = 0; w < x->dim[2]; w++) {
            const int64_t l[2] = {first_copy(w, x->dim[2], y->dim[2]),
                                  first_copy(w + 1, x->dim[2], y->dim[2])};
            sum_window(c, row * x->dim[2] + w, k, l);
        }
    }
    return ATH_OK;
}
