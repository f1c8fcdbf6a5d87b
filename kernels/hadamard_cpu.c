#include "kernels/hadamard.h"
#include "kernels/hadamard_cut.h"
#include "kernels/isa.h"
#include "kernels/par.h"
#include "kernels/span.h"
#include "kernels/tile.h"

/* What a pass works with. */
typedef struct work {
    const ath_call *call;
    hadamard_cut cut;
    hadamard_pair pair[2];
    vf scale;
} work;

/* Rows o.. and columns i.. of the weight; the last ones of each direction may be smaller. */
typedef struct block {
    int64_t o, rows, i, cols;
} block;

typedef float plane[HADAMARD_ROWS * HADAMARD_COLS]; /* one number for each element of a block */

static block block_at(const work *w, int64_t down, int64_t across)
{
    block b = {.o = down * HADAMARD_ROWS, .i = across * HADAMARD_COLS};
    b.rows = w->cut.o - b.o < HADAMARD_ROWS ? w->cut.o - b.o : HADAMARD_ROWS;
    b.cols = w->cut.i - b.i < HADAMARD_COLS ? w->cut.i - b.i : HADAMARD_COLS;
    return b;
}

/* The columns of one block of wb, as they are and turned. */
static void pack_panel(const work *w, int k, int64_t across)
{
    const block b = block_at(w, 0, across);
    const hadamard_cut *cut = &w->cut;
    const float *from = (const float *)w->call->in[2 * k + 1] + b.i;
    float *wb = w->pair[k].wb + across * cut->panel;

    for (int64_t r = 0; r < cut->r; r++)
        memcpy(wb + r * HADAMARD_COLS, from + r * cut->i, (size_t)b.cols * sizeof *wb);
    if (w->call->site->pass == ATH_FWD) return;

    float *turned = w->pair[k].turned + across * cut->panel;
    for (int64_t r = 0; r < cut->r; r++)
        for (int64_t i = 0; i < b.cols; i++) turned[i * cut->r_padded + r] = from[r * cut->i + i];
}

/* Gives the factors room for whole tiles. */
static work work_of(const ath_call *c)
{
    const float scale = ((const ath_hadamard_attr *)c->site->attr)->scale;
    work w = {.call = c, .cut = hadamard_cut_of(c->site), .scale = vset(scale)};

    for (int k = 0; k < 2; k++) {
        w.pair[k] = hadamard_pair_of(&w.cut, c->site->pass, c->scratch, k);
        const float *wa = c->in[2 * k];
        for (int64_t o = 0; o < w.cut.o; o++)
            memcpy(w.pair[k].wa + o * w.cut.r_padded, wa + o * w.cut.r,
                   (size_t)w.cut.r * sizeof *wa);
    }
    ATH_PAR_FOR(c->site->n_threads)
    for (int64_t across = 0; across < w.cut.i_blocks; across++)
        for (int k = 0; k < 2; k++) pack_panel(&w, k, across);
    return w;
}

/* Both products over a block. */
static void multiply(const work *w, const block *b, plane p[2])
{
    for (int k = 0; k < 2; k++)
        tile_mul((tile_product){.m = b->rows,
                                .n = b->cols,
                                .k = w->cut.r,
                                .a = w->pair[k].wa + b->o * w->cut.r_padded,
                                .lda = w->cut.r_padded,
                                .b = w->pair[k].wb + b->i / HADAMARD_COLS * w->cut.panel,
                                .ldb = HADAMARD_COLS,
                                .c = p[k],
                                .ldc = HADAMARD_COLS,
                                .join = TILE_SET});
}

ath_err ATH_ISA_NAME(hadamard_fwd)(const ath_call *c)
{
    const work w = work_of(c);

    ATH_PAR_FOR(c->site->n_threads)
    for (int64_t u = 0; u < w.cut.o_blocks * w.cut.i_blocks; u++) {
        const block b = block_at(&w, u / w.cut.i_blocks, u % w.cut.i_blocks);
        plane p[2];
        multiply(&w, &b, p);
        for (int64_t row = 0; row < b.rows; row++) {
            const float *p1 = p[0] + row * HADAMARD_COLS, *p2 = p[1] + row * HADAMARD_COLS;
            float *y = (float *)c->out[0] + (b.o + row) * w.cut.i + b.i;
            for (int64_t i = 0; i < b.cols; i += VL)
                span_store(y, ATH_F32, i, b.cols, w.scale * vload(p1 + i) * vload(p2 + i));
        }
    }
    return ATH_OK;
}

/* From the products to their gradients, in place: dp1 = scale dy p2, dp2 = scale dy p1. */
static void differentiate(const work *w, const block *b, plane p[2])
{
    for (int64_t row = 0; row < b->rows; row++) {
        float *p1 = p[0] + row * HADAMARD_COLS, *p2 = p[1] + row * HADAMARD_COLS;
        const float *dy = (const float *)w->call->dout[0] + (b->o + row) * w->cut.i + b->i;
        for (int64_t i = 0; i < b->cols; i += VL) {
            const vf g = w->scale * span_load(dy, ATH_F32, i, b->cols), v1 = vload(p1 + i);
            vstore(p1 + i, g * vload(p2 + i));
            vstore(p2 + i, g * v1);
        }
    }
}

/* dwb of the block's columns (=|+=) wa^T dp;  dwa of the block's rows (=|+=) dp wb^T. */
static void sum_block(const work *w, int k, int64_t strip, const block *b, const plane dp)
{
    const hadamard_cut *cut = &w->cut;
    const hadamard_pair *p = &w->pair[k];
    const int64_t across = b->i / HADAMARD_COLS;

    if (w->call->din[2 * k + 1])
        tile_mul_flipped((tile_product){.m = cut->r,
                                        .n = b->cols,
                                        .k = b->rows,
                                        .a = p->wa + b->o * cut->r_padded,
                                        .lda = cut->r_padded,
                                        .b = dp,
                                        .ldb = HADAMARD_COLS,
                                        .c = p->dwb + strip * cut->panel,
                                        .ldc = HADAMARD_COLS,
                                        .join = b->o ? TILE_ADD : TILE_SET});
    if (w->call->din[2 * k])
        tile_mul((tile_product){.m = b->rows,
                                .n = cut->r,
                                .k = b->cols,
                                .a = dp,
                                .lda = HADAMARD_COLS,
                                .b = p->turned + across * cut->panel,
                                .ldb = cut->r_padded,
                                .c = p->dwa + strip * cut->tall + b->o * cut->r_padded,
                                .ldc = cut->r_padded,
                                .join = across % cut->strip_blocks ? TILE_ADD : TILE_SET});
}

/* The block's columns of dwb. */
static void put_dwb(const work *w, int k, int64_t strip, const block *b)
{
    for (int64_t r = 0; r < w->cut.r; r++) {
        const float *sum = w->pair[k].dwb + strip * w->cut.panel + r * HADAMARD_COLS;
        float *dwb = (float *)w->call->din[2 * k + 1] + r * w->cut.i + b->i;
        for (int64_t i = 0; i < b->cols; i += VL)
            span_grad(dwb, ATH_F32, i, b->cols, vload(sum + i),
                      w->call->site->add >> (2 * k + 1) & 1);
    }
}

/* Block columns from left to right, and in each the blocks downwards. */
static void sum_strip(const work *w, int64_t strip)
{
    const int64_t next = (strip + 1) * w->cut.strip_blocks;

    for (int64_t across = strip * w->cut.strip_blocks; across < next && across < w->cut.i_blocks;
         across++) {
        block b;
        for (int64_t down = 0; down < w->cut.o_blocks; down++) {
            plane p[2];
            b = block_at(w, down, across);
            multiply(w, &b, p);
            differentiate(w, &b, p);
            for (int k = 0; k < 2; k++) sum_block(w, k, strip, &b, p[k]);
        }
        for (int k = 0; k < 2; k++)
            if (w->call->din[2 * k + 1]) put_dwb(w, k, strip, &b);
    }
}

/* Row o of dwa: the strips' sums. */
static void put_dwa(const work *w, int k, int64_t o)
{
    float *dwa = (float *)w->call->din[2 * k] + o * w->cut.r;

    for (int64_t r = 0; r < w->cut.r; r += VL) {
        vf sum = vset(0);
        for (int64_t strip = 0; strip < w->cut.strips; strip++)
            sum += vload(w->pair[k].dwa + strip * w->cut.tall + o * w->cut.r_padded + r);
        span_grad(dwa, ATH_F32, r, w->cut.r, sum, w->call->site->add >> (2 * k) & 1);
    }
}

/* Sums run within a block, then over blocks, then over strips, each in index order. */
ath_err ATH_ISA_NAME(hadamard_bwd)(const ath_call *c)
{
    const work w = work_of(c);

    ATH_PAR_FOR(c->site->n_threads)
    for (int64_t strip = 0; strip < w.cut.strips; strip++) sum_strip(&w, strip);

    ATH_PAR_FOR(c->site->n_threads)
    for (int64_t o = 0; o < w.cut.o; o++)
        for (int k = 0; k < 2; k++)
            if (c->din[2 * k]) put_dwa(&w, k, o);
    return ATH_OK;
}
