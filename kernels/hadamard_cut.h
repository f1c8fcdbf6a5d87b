/*
 * How the hadamard kernels cut a weight [O,I]: into blocks whose two products stay in the cache,
 * and backward into a few strips of columns, each with its own sums of dw1a and dw2a. The sizes
 * depend on the shape alone.
 */
#ifndef ATH_KERNELS_HADAMARD_CUT_H
#define ATH_KERNELS_HADAMARD_CUT_H

#include "kernels/op.h"

#if ATH_TORTURE
enum { HADAMARD_ROWS = 8, HADAMARD_COLS = 16, HADAMARD_STRIPS = 2 };
#else
enum { HADAMARD_ROWS = 48, HADAMARD_COLS = 128, HADAMARD_STRIPS = 16 };
#endif

typedef struct hadamard_cut {
    int64_t o, i, r;
    int64_t r_padded; /* whole vectors and tiles at every ISA level */
    int64_t o_blocks, i_blocks;
    int64_t strips, strip_blocks; /* strips, and the blocks across one */
    int64_t tall, panel;          /* floats of a [O,R] and of a block's [R,COLS], padded */
} hadamard_cut;

static inline hadamard_cut hadamard_cut_of(const ath_site *site)
{
    hadamard_cut c = {.o = site->out[0].dim[0], .i = site->out[0].dim[1], .r = site->in[0].dim[1]};

    c.r_padded = (c.r + 15) / 16 * 16;
    c.o_blocks = (c.o + HADAMARD_ROWS - 1) / HADAMARD_ROWS;
    c.i_blocks = (c.i + HADAMARD_COLS - 1) / HADAMARD_COLS;
    c.strip_blocks = (c.i_blocks + HADAMARD_STRIPS - 1) / HADAMARD_STRIPS;
    c.strips = (c.i_blocks + c.strip_blocks - 1) / c.strip_blocks;
    c.tall = c.o_blocks * HADAMARD_ROWS * c.r_padded;
    c.panel = HADAMARD_COLS * c.r_padded;
    return c;
}

/* Scratch of one pair wa, wb of factors: wa and wb packed; backward also wb turned, and for each
 * strip the sums of dwb over one block and of dwa over the strip. */
typedef struct hadamard_pair {
    float *wa;        /* [O,R] */
    float *wb;        /* [i_blocks] of [R,COLS] */
    float *turned;    /* [i_blocks] of [COLS,R] */
    float *dwb, *dwa; /* [strips] of [R,COLS] and of [O,R] */
} hadamard_pair;

static inline int64_t hadamard_pair_floats(const hadamard_cut *c, ath_pass pass)
{
    const int64_t packed = c->tall + c->i_blocks * c->panel;
    if (pass == ATH_FWD) return packed;
    return packed + c->i_blocks * c->panel + c->strips * (c->panel + c->tall);
}

static inline hadamard_pair hadamard_pair_of(const hadamard_cut *c, ath_pass pass, void *scratch,
                                             int k)
{
    hadamard_pair p = {.wa = (float *)scratch + k * hadamard_pair_floats(c, pass)};

    p.wb = p.wa + c->tall;
    if (pass == ATH_FWD) return p;
    p.turned = p.wb + c->i_blocks * c->panel;
    p.dwb = p.turned + c->i_blocks * c->panel;
    p.dwa = p.dwb + c->strips * c->panel;
    return p;
}

#endif
