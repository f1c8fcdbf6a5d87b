/*
 * How the cpu kernels of attention cut a problem and lay out their scratch: by the shape alone
 * (number of threads: only how many slices), and equally at every ISA level.
 *
 * A head's queries are cut into tiles of ATT_ROWS rows, and its keys into blocks. A step takes a
 * few tiles past the blocks of keys, so that a block of K and V is packed once for all of them.
 * Within a tile query rows lie along the vector lanes: S^T [keys][ATT_ROWS], Q^T and O^T
 * [D][ATT_ROWS]; softmax then works down the columns and no lane is lost to the head size. Rows of
 * K and V are `stride` floats apart: an odd number of cache lines, so that columns do not collide.
 */
#ifndef ATH_KERNELS_ATTENTION_WORK_H
#define ATH_KERNELS_ATTENTION_WORK_H

#include "kernels/attention.h"

enum {
    ATT_ROWS = 48,                        /* a multiple of VL: three vectors at v4 */
    ATT_TILES = ATH_TORTURE ? 2 : 8,      /* of a step, at most */
    ATT_KEYS = ATH_TORTURE ? 16 : 128,    /* of a block, at most */
    ATT_PART = ATH_TORTURE ? 8 : 16,      /* keys of a product of scores */
    ATT_CHANNELS = ATH_TORTURE ? 5 : 128, /* of one: so much of Q^T stays in L1 */
    ATT_GROUP = ATH_TORTURE ? 48 : 1024,  /* keys of a group, at least */
    ATT_GROUPS = 8,                       /* of a head, at most */
    ATT_AHEAD = 4,                        /* operands asked for ahead */
};

typedef struct att_shape {
    int64_t n, h, t, s, d;
    int64_t channels; /* H * D: elements from one row of a head to the next */
    int64_t stride;   /* floats from one packed row to the next; D rounded up fits */
    int64_t block;    /* keys packed at a time */
    int64_t n_tiles;  /* taken past the keys together: one step */
    int64_t n_steps;  /* of a head: each a task of forward; backward's tasks take all */
    int64_t n_groups; /* of keys of a head: each a task of backward */
    int64_t group;    /* keys of a group */
    ath_dtype dtype;
    bool causal;
    float scale;
} att_shape;

static inline int64_t att_ceil(int64_t n, int64_t by)
{
    return (n + by - 1) / by;
}

static inline att_shape att_shape_of(const ath_site *site)
{
    const ath_attention_attr *attr = site->attr;
    const ath_desc *q = &site->in[0];
    att_shape a = {.n = q->dim[0], .h = attr->heads, .t = q->dim[1], .s = site->in[1].dim[1]};

    a.channels = q->dim[2];
    a.d = a.channels / a.h;
    a.stride = 16 * (att_ceil(a.d, 16) | 1);
    /* a step's tiles and a block of keys share L2 */
    a.block = a.d <= 192 ? ATT_KEYS : ATT_KEYS / 2;
    a.n_tiles = a.d <= 96 ? ATT_TILES : ATT_TILES / 2;
    a.n_steps = att_ceil(a.t, a.n_tiles * ATT_ROWS);
    a.n_groups = att_ceil(a.s, ATT_GROUP) < ATT_GROUPS ? att_ceil(a.s, ATT_GROUP) : ATT_GROUPS;
    a.group = att_ceil(att_ceil(a.s, a.n_groups), ATT_KEYS) * ATT_KEYS;
    a.n_groups = att_ceil(a.s, a.group);
    a.dtype = q->dtype;
    a.causal = attr->causal;
    a.scale = attr->scale;
    return a;
}

/* First element of head `head` = n * H + h of an operand with n_rows rows a sequence. */
static inline int64_t att_head_at(const att_shape *a, int64_t head, int64_t n_rows)
{
    return head / a->h * n_rows * a->channels + head % a->h * a->d;
}

/* Offsets in floats, each a multiple of a cache line, of the arrays in one thread's slice. */
typedef struct att_fwd_work {
    int64_t qt, ot;   /* [tiles][D][ATT_ROWS] */
    int64_t max, sum; /* [tiles][ATT_ROWS] */
    int64_t k, v;     /* [block][stride] */
    int64_t s;        /* [block][ATT_ROWS] scores, then weights */
    int64_t floats;   /* of the slice */
} att_fwd_work;

typedef struct att_bwd_work {
    int64_t qt, dot, dqt; /* [tiles][D][ATT_ROWS] */
    int64_t q, dout;      /* [tiles][ATT_ROWS][stride] */
    int64_t lse, delta;   /* [tiles][ATT_ROWS] */
    int64_t k, v;         /* [block][stride] */
    int64_t p, ds;        /* [block][ATT_ROWS] */
    int64_t dk, dv;       /* [group][stride] */
    int64_t floats;
    int64_t n_heads; /* worked on at a time */
    int64_t part;    /* after the slices: [heads][groups][T][stride] of dq, where groups > 1 */
    int64_t total;   /* floats of slices and parts */
} att_bwd_work;

static inline int64_t att_book(int64_t *floats, int64_t n)
{
    const int64_t at = *floats;
    *floats += att_ceil(n, 16) * 16;
    return at;
}

static inline att_fwd_work att_fwd_layout(const att_shape *a)
{
    const int64_t tile = a->n_tiles * a->stride * ATT_ROWS, rows = a->n_tiles * ATT_ROWS;
    att_fwd_work w = {0};

    w.qt = att_book(&w.floats, tile);
    w.ot = att_book(&w.floats, tile);
    w.max = att_book(&w.floats, rows);
    w.sum = att_book(&w.floats, rows);
    w.k = att_book(&w.floats, a->block * a->stride);
    w.v = att_book(&w.floats, a->block * a->stride);
    w.s = att_book(&w.floats, a->block * ATT_ROWS);
    return w;
}

static inline att_bwd_work att_bwd_layout(const att_shape *a, int64_t n_threads)
{
    const int64_t tile = a->n_tiles * a->stride * ATT_ROWS, rows = a->n_tiles * ATT_ROWS;
    att_bwd_work w = {0};

    w.qt = att_book(&w.floats, tile);
    w.dot = att_book(&w.floats, tile);
    w.dqt = att_book(&w.floats, tile);
    w.q = att_book(&w.floats, tile);
    w.dout = att_book(&w.floats, tile);
    w.lse = att_book(&w.floats, rows);
    w.delta = att_book(&w.floats, rows);
    w.k = att_book(&w.floats, a->block * a->stride);
    w.v = att_book(&w.floats, a->block * a->stride);
    w.p = att_book(&w.floats, a->block * ATT_ROWS);
    w.ds = att_book(&w.floats, a->block * ATT_ROWS);
    w.dk = att_book(&w.floats, a->group * a->stride);
    w.dv = att_book(&w.floats, a->group * a->stride);
    w.n_heads = a->n_groups == 1 ? a->n * a->h : n_threads; /* a multiple of the threads in tasks */
    if (w.n_heads > a->n * a->h) w.n_heads = a->n * a->h;
    w.total = w.part = w.floats * n_threads;
    if (a->n_groups > 1) att_book(&w.total, w.n_heads * a->n_groups * a->t * a->stride);
    return w;
}

/* The references: numbers for one head, and in one thread's slice. */
enum { ATT_REF_ROWS = 64 };

static inline int64_t att_ref_head(const att_shape *a)
{
    return 4 * (a->t + a->s) * a->d + 2 * a->t;
}

static inline int64_t att_ref_slice(const att_shape *a)
{
    return 2 * ATT_REF_ROWS * (a->d + (a->t > a->s ? a->t : a->s));
}

#endif
