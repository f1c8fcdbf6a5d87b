#include "kernels/attention.h"

#include "kernels/attention_work.h"
#include "kernels/par.h"
#include "kernels/ref.h"
#include <math.h>
#include <string.h>

/* Rows [n][D] of a head of p from row `first`, and as columns [D][n]. */
static void gather(const att_shape *a, const void *p, int64_t at, int64_t n, real *to,
                   real *flipped)
{
    const ath_dtype dtype = a->dtype;

    for (int64_t i = 0; i < n; i++)
        for (int64_t d = 0; d < a->d; d++) {
            const real x = ref_get(p, dtype, at + i * a->channels + d);
            if (to) to[i * a->d + d] = x;
            if (flipped) flipped[d * n + i] = x;
        }
}

static void scatter(const att_shape *a, const real *from, int64_t n, void *p, int64_t at, bool add)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t d = 0; d < a->d; d++)
            ref_grad(p, a->dtype, at + i * a->channels + d, from[i * a->d + d], add);
}

/* C[m,n] = A[m,k] B[k,n] */
static void product(int64_t m, int64_t n, int64_t k, const real *a, const real *b, real *c)
{
    memset(c, 0, (size_t)(m * n) * sizeof *c);
    ATH_REF_NAME(gemm)(m, n, k, a, k, b, n, c, n);
}

/* A row of scores becomes weights over the keys it sees; returns log sum exp. */
static real softmax(const att_shape *a, int64_t query, real *s)
{
    const int64_t n = a->causal ? query + 1 : a->s;
    real top = s[0], sum = 0;

    for (int64_t k = 1; k < n; k++) top = s[k] > top ? s[k] : top;
    for (int64_t k = 0; k < n; k++) sum += s[k] = (real)exp((double)(s[k] - top));
    for (int64_t k = 0; k < a->s; k++) s[k] = k < n ? s[k] / sum : 0;
    return top + (real)log((double)sum);
}

/* Queries first.. of a head, `n` of them. */
static void attend(const ath_call *c, const att_shape *a, int64_t head, int64_t first,
                   const real *kt, const real *v, real *work)
{
    const int64_t n = a->t - first < ATT_REF_ROWS ? a->t - first : ATT_REF_ROWS;
    const int64_t at = att_head_at(a, head, a->t) + first * a->channels;
    real *q = work, *o = q + ATT_REF_ROWS * a->d, *s = o + ATT_REF_ROWS * a->d;

    gather(a, c->in[0], at, n, q, NULL);
    for (int64_t i = 0; i < n * a->d; i++) q[i] *= (real)a->scale;
    product(n, a->s, a->d, q, kt, s);
    for (int64_t i = 0; i < n; i++)
        ref_put(c->saved[0], ATH_REF_REAL, head * a->t + first + i,
                softmax(a, first + i, s + i * a->s));
    product(n, a->d, a->s, s, v, o);
    scatter(a, o, n, c->out[0], at, false);
}

ath_err ATH_REF_NAME(attention_fwd)(const ath_call *c)
{
    const att_shape a = att_shape_of(c->site);
    const int64_t n_threads = c->site->n_threads, n = att_ceil(a.t, ATT_REF_ROWS);
    real *kt = c->scratch, *v = kt + a.s * a.d, *work = v + a.s * a.d;

    for (int64_t head = 0; head < a.n * a.h; head++) {
        const int64_t at = att_head_at(&a, head, a.s);
        gather(&a, c->in[1], at, a.s, NULL, kt);
        gather(&a, c->in[2], at, a.s, v, NULL);
        ATH_PAR_FOR(c->site->n_threads)
        for (int64_t i = 0; i < n_threads; i++)
            for (int64_t j = i * n / n_threads; j < (i + 1) * n / n_threads; j++)
                attend(c, &a, head, j * ATT_REF_ROWS, kt, v, work + i * att_ref_slice(&a));
    }
    return ATH_OK;
}

/* A head, plain [rows][D] and flipped [D][rows]. */
typedef struct head {
    int64_t i;
    real *q, *qt, *dout, *dot; /* T rows */
    real *k, *kt, *v, *vt;     /* S rows */
    real *lse, *delta;         /* [T] */
} head;

static head load_head(const ath_call *c, const att_shape *a, int64_t i)
{
    const int64_t q = att_head_at(a, i, a->t), kv = att_head_at(a, i, a->s);
    const int64_t td = a->t * a->d, sd = a->s * a->d;
    real *w = c->scratch;
    head x = {i, w, w + td, w + 2 * td, w + 3 * td, NULL, NULL, NULL, NULL, NULL, NULL};

    w += 4 * td;
    x.k = w, x.kt = w + sd, x.v = w + 2 * sd, x.vt = w + 3 * sd;
    x.lse = w + 4 * sd, x.delta = x.lse + a->t;
    gather(a, c->in[0], q, a->t, x.q, x.qt);
    gather(a, c->dout[0], q, a->t, x.dout, x.dot);
    gather(a, c->in[1], kv, a->s, x.k, x.kt);
    gather(a, c->in[2], kv, a->s, x.v, x.vt);
    for (int64_t t = 0; t < a->t; t++) {
        x.lse[t] = ref_get(c->saved[0], ATH_REF_REAL, i * a->t + t);
        x.delta[t] = 0;
        for (int64_t d = 0; d < a->d; d++)
            x.delta[t] +=
                x.dout[t * a->d + d] * ref_get(c->out[0], a->dtype, q + t * a->channels + d);
    }
    return x;
}

/* The weight of a score q k; and the gradient of that score, from the weight's own, dp. */
static real weigh(const att_shape *a, const head *x, int64_t query, int64_t key, real score)
{
    if (a->causal && key > query) return 0;
    const real log_weight = (real)a->scale * score - x->lse[query];
    return log_weight > 0 ? 1 : (real)exp((double)log_weight); /* above 0: lse was rounded */
}

static real slope(const att_shape *a, const head *x, int64_t query, real weight, real dp)
{
    return (real)a->scale * weight * (dp - x->delta[query]);
}

/* dq of queries first..: rows of scores over all keys. */
static void bwd_queries(const ath_call *c, const att_shape *a, const head *x, int64_t first,
                        real *work)
{
    const int64_t n = a->t - first < ATT_REF_ROWS ? a->t - first : ATT_REF_ROWS;
    real *dq = work, *s = dq + 2 * ATT_REF_ROWS * a->d, *dp = s + n * a->s;

    product(n, a->s, a->d, x->q + first * a->d, x->kt, s);
    product(n, a->s, a->d, x->dout + first * a->d, x->vt, dp);
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0, at = i * a->s; k < a->s; k++, at++)
            s[at] = slope(a, x, first + i, weigh(a, x, first + i, k, s[at]), dp[at]);
    product(n, a->d, a->s, s, x->k, dq);
    scatter(a, dq, n, c->din[0], att_head_at(a, x->i, a->t) + first * a->channels,
            c->site->add & 1);
}

/* dk and dv of keys first..: rows of scores over all queries. */
static void bwd_keys(const ath_call *c, const att_shape *a, const head *x, int64_t first,
                     real *work)
{
    const int64_t n = a->s - first < ATT_REF_ROWS ? a->s - first : ATT_REF_ROWS;
    const int64_t to = att_head_at(a, x->i, a->s) + first * a->channels;
    real *dk = work, *dv = dk + ATT_REF_ROWS * a->d, *p = dv + ATT_REF_ROWS * a->d,
         *ds = p + n * a->t;

    product(n, a->t, a->d, x->k + first * a->d, x->qt, p);
    product(n, a->t, a->d, x->v + first * a->d, x->dot, ds);
    for (int64_t i = 0; i < n; i++)
        for (int64_t t = 0, at = i * a->t; t < a->t; t++, at++) {
            p[at] = weigh(a, x, t, first + i, p[at]);
            ds[at] = slope(a, x, t, p[at], ds[at]);
        }
    product(n, a->d, a->t, ds, x->q, dk);
    product(n, a->d, a->t, p, x->dout, dv);
    if (c->din[1]) scatter(a, dk, n, c->din[1], to, c->site->add >> 1 & 1);
    if (c->din[2]) scatter(a, dv, n, c->din[2], to, c->site->add >> 2 & 1);
}

ath_err ATH_REF_NAME(attention_bwd)(const ath_call *c)
{
    const att_shape a = att_shape_of(c->site);
    const int64_t n_threads = c->site->n_threads;
    const int64_t n_q = c->din[0] ? att_ceil(a.t, ATT_REF_ROWS) : 0;
    const int64_t n = n_q + (c->din[1] || c->din[2] ? att_ceil(a.s, ATT_REF_ROWS) : 0);
    real *work = (real *)c->scratch + att_ref_head(&a);

    for (int64_t i = 0; i < a.n * a.h; i++) {
        const head x = load_head(c, &a, i);
        ATH_PAR_FOR(c->site->n_threads)
        for (int64_t w = 0; w < n_threads; w++) {
            real *own = work + w * att_ref_slice(&a);
            for (int64_t j = w * n / n_threads; j < (w + 1) * n / n_threads; j++) {
                if (j < n_q)
                    bwd_queries(c, &a, &x, j * ATT_REF_ROWS, own);
                else
                    bwd_keys(c, &a, &x, (j - n_q) * ATT_REF_ROWS, own);
            }
        }
    }
    return ATH_OK;
}
