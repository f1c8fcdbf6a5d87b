#include "kernels/attention.h"

#include "kernels/attention_tile.h"
#include "kernels/isa.h"
#include "kernels/par.h"

#define LN2 0.693147181f

/* A tile on its way through the keys. Scores carry a factor log2(e), so weights are powers of 2. */
typedef struct tile {
    att_rows rows;
    float *qt;  /* [D][ATT_ROWS], times scale * log2(e) */
    float *ot;  /* [D][ATT_ROWS]: sum of weight * v */
    float *max; /* [ATT_ROWS]: greatest score so far: weights are relative to it */
    float *sum; /* [ATT_ROWS]: of weights */
} tile;

/* A block of keys, packed. */
typedef struct block {
    att_rows keys;
    float *k, *v; /* [keys][stride] */
    float *s;     /* [keys][ATT_ROWS]: scores, then weights */
} block;

/* Step i of a head. */
typedef struct step {
    int64_t head, i;
    att_head q, kv; /* q: also o */
    float *work;    /* this thread's slice */
} step;

/* nv vectors of columns: the new maximum, the weights in place of the scores, the new sum; `gain`
 * is what the older weights are multiplied by. */
VEC_INLINE void softmax_columns(float *s, int64_t n_keys, float *max, float *sum, float *gain,
                                int nv)
{
    vf top[TILE_V], total[TILE_V];

    for (int j = 0; j < nv; j++) {
        top[j] = vload(max + j * VL);
        total[j] = vset(0.0f);
    }
    for (int64_t k = 0; k < n_keys; k++)
        for (int j = 0; j < nv; j++) top[j] = vmax(vload(s + k * ATT_ROWS + j * VL), top[j]);
    for (int64_t k = 0; k < n_keys; k++)
        for (int j = 0; j < nv; j++) {
            float *at = s + k * ATT_ROWS + j * VL;
            vf weight = vexp2(vload(at) - top[j]);
            vstore(at, weight);
            total[j] += weight;
        }
    for (int j = 0; j < nv; j++) {
        vf older = vexp2(vload(max + j * VL) - top[j]);
        vstore(gain + j * VL, older);
        vstore(max + j * VL, top[j]);
        vstore(sum + j * VL, vfma(vload(sum + j * VL), older, total[j]));
    }
}

static void softmax(float *s, int64_t n_keys, const tile *t, float *gain)
{
    for (int64_t i = 0, nv; i < t->rows.n; i += nv * VL) {
        nv = tile_vectors(t->rows.n - i);
        if (nv == 3)
            softmax_columns(s + i, n_keys, t->max + i, t->sum + i, gain + i, 3);
        else if (nv == 2)
            softmax_columns(s + i, n_keys, t->max + i, t->sum + i, gain + i, 2);
        else
            softmax_columns(s + i, n_keys, t->max + i, t->sum + i, gain + i, 1);
    }
}

/* The block's keys join the tile's sums. */
static void attend(const att_shape *a, const tile *t, const block *b, att_ahead *ahead)
{
    const int64_t n_keys = att_visible(a, t->rows, b->keys);
    float gain[ATT_ROWS];

    if (n_keys == 0) return;
    att_scores(a, (tile_product){.m = n_keys, .n = t->rows.n, .a = b->k, .b = t->qt, .c = b->s},
               ahead);
    if (a->causal) att_mask(b->s, t->rows, b->keys);
    softmax(b->s, n_keys, t, gain);
    tile_mul_flipped((tile_product){.m = a->d,
                                    .n = t->rows.n,
                                    .k = n_keys,
                                    .a = b->v,
                                    .lda = a->stride,
                                    .b = b->s,
                                    .ldb = ATT_ROWS,
                                    .c = t->ot,
                                    .ldc = ATT_ROWS,
                                    .join = b->keys.first ? TILE_GAIN : TILE_SET,
                                    .gain = gain});
}

static tile begin(const ath_call *c, const att_shape *a, const step *s, int64_t i)
{
    const att_fwd_work w = att_fwd_layout(a);
    const int64_t size = a->stride * ATT_ROWS;
    const tile t = {att_tile_at(a, s->i, i), s->work + w.qt + i * size, s->work + w.ot + i * size,
                    s->work + w.max + i * ATT_ROWS, s->work + w.sum + i * ATT_ROWS};

    att_pack_flipped(c->in[0], &s->q, t.rows, a->scale * ATT_LOG2E, t.qt);
    for (int r = 0; r < ATT_ROWS; r += VL) {
        vstore(t.max + r, vset(-INFINITY));
        vstore(t.sum + r, vset(0.0f));
    }
    return t;
}

static void finish(const ath_call *c, const att_shape *a, const step *s, const tile *t)
{
    float *lse = (float *)c->saved[0] + s->head * a->t;
    float factor[ATT_ROWS];

    for (int64_t i = 0; i < t->rows.n; i += VL) {
        vf sum = vload(t->sum + i);
        vstore(factor + i, vset(1.0f) / sum);
        span_store(lse, ATH_F32, t->rows.first + i, t->rows.first + t->rows.n,
                   vfma(vload(t->max + i), vset(LN2), vlog(sum)));
    }
    att_unpack_flipped(t->ot, factor, t->rows, c->out[0], &s->q, false);
}

/* A few tiles past all keys that they see. Meanwhile the next block of keys is asked for; beside
 * the last block, the next step's queries and the rows of the output. */
static void run_step(const ath_call *c, const att_shape *a, const step *s)
{
    const att_fwd_work w = att_fwd_layout(a);
    tile tiles[ATT_TILES];
    int64_t n = 0, end = 0;

    for (; n < a->n_tiles && att_tile_at(a, s->i, n).n > 0; n++) {
        tiles[n] = begin(c, a, s, n);
        end = att_visible(a, tiles[n].rows, (att_rows){0, a->s});
    }
    for (int64_t first = 0; first < end; first += a->block) {
        const att_rows keys = att_rows_from(first, end, a->block);
        const att_rows next = att_rows_from(first + a->block, end, a->block);
        const block b = {keys, s->work + w.k, s->work + w.v, s->work + w.s};
        const int64_t n_asks = att_asks(a, keys.n);
        att_ahead ahead = {0};

        att_pack(c->in[1], &s->kv, keys, b.k, a->stride);
        att_pack(c->in[2], &s->kv, keys, b.v, a->stride);
        att_ahead_add(&ahead, c->in[1], &s->kv, next, n_asks * n);
        att_ahead_add(&ahead, c->in[2], &s->kv, next, n_asks * n);
        for (int64_t i = 0; i < n; i++) {
            if (next.n == 0) {
                ahead = (att_ahead){0};
                att_ahead_add(&ahead, c->in[0], &s->q, att_tile_at(a, s->i + 1, i), n_asks);
                att_ahead_add(&ahead, c->out[0], &s->q, tiles[i].rows, n_asks);
            }
            attend(a, &tiles[i], &b, &ahead);
        }
    }
    for (int64_t i = 0; i < n; i++) finish(c, a, s, &tiles[i]);
}

ath_err ATH_ISA_NAME(attention_fwd)(const ath_call *c)
{
    const att_shape a = att_shape_of(c->site);
    const int64_t n = a.n * a.h * a.n_steps, n_threads = c->site->n_threads;
    const int64_t slice = att_fwd_layout(&a).floats;

    ATH_PAR_FOR(c->site->n_threads)
    for (int64_t i = 0; i < n_threads; i++)
        for (int64_t j = i * n / n_threads; j < (i + 1) * n / n_threads; j++) {
            const int64_t head = j / a.n_steps;
            const step s = {head, j % a.n_steps, att_head_of(&a, head, a.t),
                            att_head_of(&a, head, a.s), (float *)c->scratch + i * slice};
            run_step(c, &a, &s);
        }
    return ATH_OK;
}
