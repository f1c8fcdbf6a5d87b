/* What the two passes of attention share on the cpu: packing, scores, and the causal mask. */
#ifndef ATH_KERNELS_ATTENTION_TILE_H
#define ATH_KERNELS_ATTENTION_TILE_H

#include "kernels/attention_work.h"
#include "kernels/span.h"
#include "kernels/tile.h"

#define ATT_LOG2E 1.44269504f /* scores carry this factor, so that weights are powers of 2 */

/* Rows first.. of a sequence; none past its end. */
typedef struct att_rows {
    int64_t first;
    int64_t n;
} att_rows;

/* Rows first.. of those before `end`: n, or what is left. */
static inline att_rows att_rows_from(int64_t first, int64_t end, int64_t n)
{
    const int64_t left = end - first;
    return (att_rows){first, left < 0 ? 0 : left < n ? left : n};
}

/* Tile i of a step. */
static inline att_rows att_tile_at(const att_shape *a, int64_t i_step, int64_t i)
{
    return att_rows_from((i_step * a->n_tiles + i) * ATT_ROWS, a->t, ATT_ROWS);
}

/* One head of an operand: its first row begins at element `at`, rows lie `step` elements apart. */
typedef struct att_head {
    ath_dtype dtype;
    int64_t at, step, d;
} att_head;

static inline att_head att_head_of(const att_shape *a, int64_t head, int64_t n_rows)
{
    return (att_head){a->dtype, att_head_at(a, head, n_rows), a->channels, a->d};
}

static inline int att_lanes(int64_t left)
{
    return left < VL ? (int)left : VL;
}

/* Lanes d.. of a row; 0 past the head's last channel. */
static inline vf att_load(const void *p, const att_head *x, int64_t row, int64_t d)
{
    const int64_t at = x->at + row * x->step + d;
    const int n = att_lanes(x->d - d);
    if (x->dtype == ATH_F32) return vload_n((const float *)p + at, n, 0);
    return vload_bf16_n((const uint16_t *)p + at, n);
}

/* Sets them to y, or adds y. */
static inline void att_store(void *p, const att_head *x, int64_t row, int64_t d, vf y, bool add)
{
    const int64_t at = x->at + row * x->step + d;
    const int n = att_lanes(x->d - d);
    if (add) y += att_load(p, x, row, d);
    if (x->dtype == ATH_F32)
        vstore_n((float *)p + at, y, n);
    else
        vstore_bf16_n((uint16_t *)p + at, y, n);
}

/* Rows that will be read or written soon. They lie too far apart for the machine to foresee, and
 * all at once would block it: so they are asked for a few at a time, between products. */
typedef struct att_ahead {
    struct {
        const void *p;
        const att_head *x;
        att_rows rows; /* left to ask for */
    } of[ATT_AHEAD];
    int n;
    int64_t n_each; /* rows at a time */
} att_ahead;

/* Rows r of a head of p, in at most n_asks times. */
static inline void att_ahead_add(att_ahead *ahead, const void *p, const att_head *x, att_rows r,
                                 int64_t n_asks)
{
    ahead->of[ahead->n].p = p;
    ahead->of[ahead->n].x = x;
    ahead->of[ahead->n++].rows = r;
    if (ahead->n_each * n_asks < r.n) ahead->n_each = att_ceil(r.n, n_asks);
}

/* Always inline: gcc drops calls of a function that does nothing but prefetch. */
VEC_INLINE void att_ahead_ask(att_ahead *ahead)
{
    for (int i = 0; i < ahead->n; i++) {
        const att_head *x = ahead->of[i].x;
        const int64_t size = x->dtype == ATH_F32 ? 4 : 2;
        att_rows *left = &ahead->of[i].rows;
        for (int64_t k = 0; k < ahead->n_each && left->n > 0; k++, left->first++, left->n--) {
            const char *at = (const char *)ahead->of[i].p + (x->at + left->first * x->step) * size;
            for (int64_t byte = 0; byte < x->d * size; byte += 64) __builtin_prefetch(at + byte);
        }
    }
}

/* Rows as f32: to[i][stride], zeros from D up to a whole vector. */
static inline void att_pack(const void *p, const att_head *x, att_rows r, float *to, int64_t stride)
{
    for (int64_t i = 0; i < r.n; i++)
        for (int64_t d = 0; d < x->d; d += VL)
            vstore(to + i * stride + d, att_load(p, x, r.first + i, d));
}

/* Rows as columns, times scale: to[d][ATT_ROWS]; from n up to a whole vector the last row again. */
static inline void att_pack_flipped(const void *p, const att_head *x, att_rows r, float scale,
                                    float *to)
{
    for (int64_t i = 0; i < r.n; i += VL) {
        for (int64_t d = 0; d < x->d; d += VL) {
            vf lane[VL];
            for (int k = 0; k < VL; k++) {
                const int64_t row = i + k < r.n ? i + k : r.n - 1;
                lane[k] = att_load(p, x, r.first + row, d) * vset(scale);
            }
            vtranspose(lane);
            for (int k = 0; k < VL; k++) vstore(to + (d + k) * ATT_ROWS + i, lane[k]);
        }
    }
}

/* The way back: rows of p become, or grow by, columns of from[d][ATT_ROWS] times factor[row]. */
static inline void att_unpack_flipped(const float *from, const float *factor, att_rows r, void *p,
                                      const att_head *x, bool add)
{
    for (int64_t i = 0; i < r.n; i += VL) {
        const vf f = vload(factor + i);
        for (int64_t d = 0; d < x->d; d += VL) {
            vf lane[VL];
            for (int k = 0; k < VL; k++) lane[k] = vload(from + (d + k) * ATT_ROWS + i) * f;
            vtranspose(lane);
            for (int k = 0; k < VL && i + k < r.n; k++)
                att_store(p, x, r.first + i + k, d, lane[k], add);
        }
    }
}

/* S^T[m keys][n queries] = X[m][D] Y^T[D][n], in runs of ATT_CHANNELS channels and ATT_PART keys.
 * Of `p` m, n, a, b, c are given. */
static inline void att_scores(const att_shape *a, tile_product p, att_ahead *ahead)
{
    const int64_t n_keys = p.m;

    for (int64_t d = 0; d < a->d; d += ATT_CHANNELS)
        for (int64_t k = 0; k < n_keys; k += ATT_PART) {
            att_ahead_ask(ahead);
            tile_mul((tile_product){.m = n_keys - k < ATT_PART ? n_keys - k : ATT_PART,
                                    .n = p.n,
                                    .k = a->d - d < ATT_CHANNELS ? a->d - d : ATT_CHANNELS,
                                    .a = p.a + k * a->stride + d,
                                    .lda = a->stride,
                                    .b = p.b + d * ATT_ROWS,
                                    .ldb = ATT_ROWS,
                                    .c = p.c + k * ATT_ROWS,
                                    .ldc = ATT_ROWS,
                                    .join = d ? TILE_ADD : TILE_SET});
        }
}

/* How often att_scores asks ahead. */
static inline int64_t att_asks(const att_shape *a, int64_t n_keys)
{
    return att_ceil(a->d, ATT_CHANNELS) * att_ceil(n_keys, ATT_PART);
}

/* How many of these keys some query of the tile sees: they are the first ones. */
static inline int64_t att_visible(const att_shape *a, att_rows queries, att_rows keys)
{
    const int64_t left = queries.first + queries.n - keys.first;
    if (!a->causal || keys.n <= left) return keys.n;
    return left > 0 ? left : 0;
}

/* Scores of keys after the query become -inf. */
static inline void att_mask(float *s, att_rows queries, att_rows keys)
{
    const int64_t from = keys.first > queries.first ? keys.first : queries.first;

    for (int64_t key = from; key < keys.first + keys.n; key++)
        for (int i = 0; i < ATT_ROWS; i += VL) {
            float *at = s + (key - keys.first) * ATT_ROWS + i;
            vi hidden = viota() < vset((float)(key - queries.first - i));
            vstore(at, vselect(hidden, vset(-INFINITY), vload(at)));
        }
}

#endif
