#include "kernels/add_channels.h"
#include "kernels/blocks.h"
#include "kernels/copy_span.h"
#include "kernels/isa.h"

/* x as rows [C], one a pixel, and each image's pixels cut into blocks: block u is the rows
 * block_first .. block_end. */
typedef struct block_cut {
    ath_dtype dtype;
    int64_t images, pixels, channels, per_block, blocks;
} block_cut;

static block_cut cut_of(const ath_desc *x)
{
    block_cut g = {.dtype = x->dtype, .images = x->dim[0], .channels = ath_desc_last(x)};
    g.pixels = ath_desc_rows(x) / g.images;
    g.per_block = block_rows(g.channels);
    g.blocks = block_count(g.pixels, g.channels);
    return g;
}

static int64_t block_first(const block_cut *g, int64_t u)
{
    return u / g->blocks * g->pixels + u % g->blocks * g->per_block;
}

static int64_t block_end(const block_cut *g, int64_t u)
{
    const int64_t image_end = (u / g->blocks + 1) * g->pixels;
    const int64_t end = block_first(g, u) + g->per_block;
    return end < image_end ? end : image_end;
}

ath_err ATH_ISA_NAME(add_channels_fwd)(const ath_call *c)
{
    const block_cut g = cut_of(&c->site->in[0]);

    ATH_PAR_FOR(c->site->n_threads)
    for (int64_t u = 0; u < g.images * g.blocks; u++) {
        const int64_t v_end = (u / g.blocks + 1) * g.channels;
        for (int64_t row = block_first(&g, u); row < block_end(&g, u); row++) {
            const int64_t end = (row + 1) * g.channels;
            for (int64_t i = g.channels; i > 0; i -= VL) {
                vf v = span_load(c->in[1], g.dtype, v_end - i, v_end);
                vf x = span_load(c->in[0], g.dtype, end - i, end);
                span_store(c->out[0], g.dtype, end - i, end, x + v);
            }
        }
    }
    return ATH_OK;
}

/* part[C] = sum of rows first .. end of dy. */
static void sum_rows(const block_cut *g, const void *dy, int64_t first, int64_t end, float *part)
{
    memset(part, 0, (size_t)g->channels * sizeof *part);
    for (int64_t row = first; row < end; row++) {
        const void *from = copy_from(dy, g->dtype, row * g->channels);
        for (int64_t i = 0; i < g->channels; i += VL)
            span_grad(part, ATH_F32, i, g->channels, span_load(from, g->dtype, i, g->channels),
                      true);
    }
}

/* dv: rows within a block, then blocks, in index order. */
ath_err ATH_ISA_NAME(add_channels_bwd)(const ath_call *c)
{
    const block_cut g = cut_of(&c->site->out[0]);
    float *parts = c->scratch;

    ATH_PAR_FOR(c->site->n_threads)
    for (int64_t u = 0; u < g.images * g.blocks; u++) {
        const int64_t first = block_first(&g, u), end = block_end(&g, u);
        if (c->din[1]) sum_rows(&g, c->dout[0], first, end, parts + u * g.channels);
        if (c->din[0])
            copy_run(copy_to(c->din[0], g.dtype, first * g.channels),
                     copy_from(c->dout[0], g.dtype, first * g.channels), g.dtype,
                     (end - first) * g.channels, c->site->add & 1);
    }
    if (!c->din[1]) return ATH_OK;

    ATH_PAR_FOR(c->site->n_threads)
    for (int64_t n = 0; n < g.images; n++) {
        const float *part = parts + n * g.blocks * g.channels;
        void *dv = copy_to(c->din[1], g.dtype, n * g.channels);
        for (int64_t i = 0; i < g.channels; i += VL) {
            vf sum = vset(0);
            for (int64_t k = 0; k < g.blocks; k++)
                sum += span_load(part + k * g.channels, ATH_F32, i, g.channels);
            span_grad(dv, g.dtype, i, g.channels, sum, c->site->add >> 1 & 1);
        }
    }
    return ATH_OK;
}
