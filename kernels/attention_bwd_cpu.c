#include "kernels/attention.h"

#include "kernels/attention_tile.h"
#include "kernels/isa.h"
#include "kernels/par.h"
#include <string.h>

/*
 * With P the weights, dP = dO V^T and delta the row sums of dO * O:
 *     dS = P * (dP - delta)    dQ = scale dS K    dK = scale dS^T Q    dV = P^T dO
 * P is made again from the saved lse. A task owns a group of keys of one head, and takes all
 * queries past it: dK and dV grow in its slice; dQ is finished where the group has all keys, else
 * each group leaves its part, and the parts are added in order.
 */
typedef struct tile {
    att_rows rows;
    float *qt;    /* [D][ATT_ROWS], times scale * log2(e) */
    float *dot;   /* [D][ATT_ROWS]: dO^T */
    float *dqt;   /* [D][ATT_ROWS] */
    float *q;     /* [ATT_ROWS][stride] */
    float *dout;  /* [ATT_ROWS][stride] */
    float *lse;   /* [ATT_ROWS], times log2(e) */
    float *delta; /* [ATT_ROWS] */
} tile;

/* A block of keys in the task's slice. */
typedef struct block {
    att_rows keys;
    float *k, *v;   /* [keys][stride] */
    float *dk, *dv; /* [keys][stride] */
    float *p, *ds;  /* [keys][ATT_ROWS]: scores and dP, then P and dS */
} block;

/* A group of keys of one head. */
typedef struct task {
    int64_t head;
    att_rows keys;
    float *work; /* this thread's slice */
    float *part; /* [T][stride] of dQ; NULL: dQ goes to the gradient */
} task;

static task task_of(const att_shape *a, int64_t head, int64_t group, float *work, float *part)
{
    return (task){head, att_rows_from(group * a->group, a->s, a->group), work, part};
}

static block block_of(const att_shape *a, const task *k, int64_t first, int64_t end)
{
    const att_bwd_work w = att_bwd_layout(a, 1);
    const int64_t done = (first - k->keys.first) * a->stride;

    return (block){.keys = att_rows_from(first, end, a->block),
                   .k = k->work + w.k,
                   .v = k->work + w.v,
                   .dk = k->work + w.dk + done,
                   .dv = k->work + w.dv + done,
                   .p = k->work + w.p,
                   .ds = k->work + w.ds};
}

static tile tile_of(const att_shape *a, float *work, int64_t i_step, int64_t i)
{
    const att_bwd_work w = att_bwd_layout(a, 1);
    const int64_t size = i * a->stride * ATT_ROWS;

    return (tile){.rows = att_tile_at(a, i_step, i),
                  .qt = work + w.qt + size,
                  .dot = work + w.dot + size,
                  .dqt = work + w.dqt + size,
                  .q = work + w.q + size,
                  .dout = work + w.dout + size,
                  .lse = work + w.lse + i * ATT_ROWS,
                  .delta = work + w.delta + i * ATT_ROWS};
}

static bool is_wanted(const ath_call *c, int i)
{
    return c->din[i] != NULL;
}

static void load_tile(const ath_call *c, const att_shape *a, const att_head *q, const float *lse,
                      const tile *t)
{
    const int64_t end = t->rows.first + t->rows.n;

    att_pack_flipped(c->in[0], q, t->rows, a->scale * ATT_LOG2E, t->qt);
    att_pack_flipped(c->dout[0], q, t->rows, 1.0f, t->dot);
    att_pack(c->in[0], q, t->rows, t->q, a->stride);
    att_pack(c->dout[0], q, t->rows, t->dout, a->stride);
    memset(t->dqt, 0, (size_t)(a->stride * ATT_ROWS) * sizeof(float));
    for (int64_t i = 0; i < t->rows.n; i++) {
        vf sum = vset(0.0f);
        for (int64_t d = 0; d < a->d; d += VL)
            sum = vfma(vload(t->dout + i * a->stride + d),
                       att_load(c->out[0], q, t->rows.first + i, d), sum);
        t->delta[i] = vsum(sum);
    }
    for (int64_t i = 0; i < t->rows.n; i += VL)
        vstore(t->lse + i, span_load(lse, ATH_F32, t->rows.first + i, end) * vset(ATT_LOG2E));
}

/* P from the scores and dS from dP, in place. P is at most 1, also where scores are so large that
 * the rounding of lse matters. The rows that round the keys up become 0. */
static void weigh(const tile *t, const block *b, int64_t n_keys)
{
    const int64_t n = (t->rows.n + VL - 1) / VL * VL;

    for (int64_t k = 0; k < n_keys; k++)
        for (int64_t i = 0; i < n; i += VL) {
            float *p = b->p + k * ATT_ROWS + i, *ds = b->ds + k * ATT_ROWS + i;
            vf weight = vexp2(vmin(vset(0.0f), vload(p) - vload(t->lse + i)));
            vstore(p, weight);
            vstore(ds, weight * (vload(ds) - vload(t->delta + i)));
        }
    for (int64_t k = n_keys; k % TILE_M; k++)
        for (int64_t i = 0; i < n; i += VL) {
            vstore(b->p + k * ATT_ROWS + i, vset(0.0f));
            vstore(b->ds + k * ATT_ROWS + i, vset(0.0f));
        }
}

/* to[n_keys][D] += W[n_keys][rows] X[rows][D] */
static void gather(const att_shape *a, int64_t n_keys, const float *weights, const float *x,
                   int64_t n_rows, float *to)
{
    tile_mul((tile_product){.m = n_keys,
                            .n = a->d,
                            .k = n_rows,
                            .a = weights,
                            .lda = ATT_ROWS,
                            .b = x,
                            .ldb = a->stride,
                            .c = to,
                            .ldc = a->stride,
                            .join = TILE_ADD});
}

static void meet(const ath_call *c, const att_shape *a, const tile *t, const block *b,
                 att_ahead *ahead)
{
    const int64_t n_keys = att_visible(a, t->rows, b->keys), n = t->rows.n;

    if (n_keys == 0) return;
    att_scores(a, (tile_product){.m = n_keys, .n = n, .a = b->k, .b = t->qt, .c = b->p}, ahead);
    if (a->causal) att_mask(b->p, t->rows, b->keys);
    att_scores(a, (tile_product){.m = n_keys, .n = n, .a = b->v, .b = t->dot, .c = b->ds}, ahead);
    weigh(t, b, n_keys);
    if (is_wanted(c, 0))
        tile_mul_flipped((tile_product){.m = a->d,
                                        .n = n,
                                        .k = n_keys,
                                        .a = b->k,
                                        .lda = a->stride,
                                        .b = b->ds,
                                        .ldb = ATT_ROWS,
                                        .c = t->dqt,
                                        .ldc = ATT_ROWS,
                                        .join = TILE_ADD});
    if (is_wanted(c, 1)) gather(a, n_keys, b->ds, t->q, n, b->dk);
    if (is_wanted(c, 2)) gather(a, n_keys, b->p, t->dout, n, b->dv);
}

/* Rows of a group's dK or dV, times scale, go to the gradient. */
static void put_rows(const ath_call *c, int i, const att_head *x, att_rows keys, const float *from,
                     float scale, int64_t stride)
{
    if (!is_wanted(c, i)) return;
    for (int64_t k = 0; k < keys.n; k++)
        for (int64_t d = 0; d < x->d; d += VL)
            att_store(c->din[i], x, keys.first + k, d, vload(from + k * stride + d) * vset(scale),
                      c->site->add >> i & 1);
}

static void put_dq(const ath_call *c, const att_shape *a, int64_t head, const tile *t, float *part)
{
    float factor[ATT_ROWS];

    if (!is_wanted(c, 0)) return;
    for (int i = 0; i < ATT_ROWS; i++) factor[i] = a->scale;
    if (part) {
        const att_head x = {ATH_F32, 0, a->stride, a->d};
        att_unpack_flipped(t->dqt, factor, t->rows, part, &x, false);
    } else {
        const att_head x = att_head_of(a, head, a->t);
        att_unpack_flipped(t->dqt, factor, t->rows, c->din[0], &x, c->site->add & 1);
    }
}

/* A few tiles of queries past the group's keys. Meanwhile the next block of keys is asked for;
 * beside the last block, the next step's rows and those of the gradient. */
static void step(const ath_call *c, const att_shape *a, const task *k, int64_t i_step)
{
    const att_head q = att_head_of(a, k->head, a->t), kv = att_head_of(a, k->head, a->s);
    tile tiles[ATT_TILES];
    int64_t n = 0, end = 0;

    for (; n < a->n_tiles && att_tile_at(a, i_step, n).n > 0; n++) {
        tiles[n] = tile_of(a, k->work, i_step, n);
        load_tile(c, a, &q, (const float *)c->saved[0] + k->head * a->t, &tiles[n]);
        end = k->keys.first + att_visible(a, tiles[n].rows, k->keys);
    }
    for (int64_t first = k->keys.first; first < end; first += a->block) {
        const block b = block_of(a, k, first, end);
        const att_rows next = att_rows_from(first + a->block, end, a->block);
        const int64_t n_asks = 2 * att_asks(a, b.keys.n);
        att_ahead ahead = {0};

        att_pack(c->in[1], &kv, b.keys, b.k, a->stride);
        att_pack(c->in[2], &kv, b.keys, b.v, a->stride);
        att_ahead_add(&ahead, c->in[1], &kv, next, n_asks * n);
        att_ahead_add(&ahead, c->in[2], &kv, next, n_asks * n);
        for (int64_t i = 0; i < n; i++) {
            if (next.n == 0) {
                const att_rows rows = att_tile_at(a, i_step + 1, i);
                ahead = (att_ahead){0};
                att_ahead_add(&ahead, c->in[0], &q, rows, n_asks);
                att_ahead_add(&ahead, c->out[0], &q, rows, n_asks);
                att_ahead_add(&ahead, c->dout[0], &q, rows, n_asks);
                if (!k->part && is_wanted(c, 0))
                    att_ahead_add(&ahead, c->din[0], &q, tiles[i].rows, n_asks);
            }
            meet(c, a, &tiles[i], &b, &ahead);
        }
    }
    for (int64_t i = 0; i < n; i++) put_dq(c, a, k->head, &tiles[i], k->part);
}

static void run_task(const ath_call *c, const att_shape *a, const task *k)
{
    const att_head kv = att_head_of(a, k->head, a->s);
    const size_t bytes = (size_t)(a->group * a->stride) * sizeof(float);
    const att_bwd_work w = att_bwd_layout(a, 1);

    memset(k->work + w.dk, 0, bytes);
    memset(k->work + w.dv, 0, bytes);
    for (int64_t i = 0; i < a->n_steps; i++) step(c, a, k, i);
    put_rows(c, 1, &kv, k->keys, k->work + w.dk, a->scale, a->stride);
    put_rows(c, 2, &kv, k->keys, k->work + w.dv, 1.0f, a->stride);
}

/* dQ of a head from the parts of its groups [groups][T][stride], added in order. */
static void add_parts(const ath_call *c, const att_shape *a, int64_t head, int64_t row,
                      const float *part)
{
    const att_head x = att_head_of(a, head, a->t);

    for (int64_t d = 0; d < a->d; d += VL) {
        vf sum = vload(part + row * a->stride + d);
        for (int64_t g = 1; g < a->n_groups; g++)
            sum += vload(part + (g * a->t + row) * a->stride + d);
        att_store(c->din[0], &x, row, d, sum, c->site->add & 1);
    }
}

ath_err ATH_ISA_NAME(attention_bwd)(const ath_call *c)
{
    const att_shape a = att_shape_of(c->site);
    const int64_t n_threads = c->site->n_threads, n_heads = a.n * a.h;
    const att_bwd_work w = att_bwd_layout(&a, n_threads);
    const int64_t part = a.n_groups * a.t * a.stride;
    float *parts = a.n_groups > 1 ? (float *)c->scratch + w.part : NULL;

    for (int64_t head = 0; head < n_heads; head += w.n_heads) {
        const int64_t here = n_heads - head < w.n_heads ? n_heads - head : w.n_heads;
        const int64_t n = here * a.n_groups;
        ATH_PAR_FOR(c->site->n_threads)
        for (int64_t i = 0; i < n_threads; i++)
            for (int64_t j = i * n / n_threads; j < (i + 1) * n / n_threads; j++) {
                const task k = task_of(&a, head + j / a.n_groups, j % a.n_groups,
                                       (float *)c->scratch + i * w.floats,
                                       parts ? parts + j * a.t * a.stride : NULL);
                run_task(c, &a, &k);
            }
        if (!parts || !is_wanted(c, 0)) continue;
        ATH_PAR_FOR(c->site->n_threads)
        for (int64_t i = 0; i < here * a.t; i++)
            add_parts(c, &a, head + i / a.t, i % a.t, parts + i / a.t * part);
    }
    return ATH_OK;
}
