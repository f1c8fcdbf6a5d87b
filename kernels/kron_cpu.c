#include "kernels/isa.h"
#include "kernels/kron.h"
#include "kernels/par.h"
#include "kernels/span.h"

/* b's axes after the first are one here: y[p*S+s, q*K+k] = scale * a[p,q] * b[s,k]. */
typedef struct shape {
    int64_t p, q, s, k;
} shape;

static shape shape_of(const ath_site *site)
{
    const ath_desc *a = &site->in[0], *b = &site->in[1];
    return (shape){a->dim[0], a->dim[1], b->dim[0], ath_desc_count(b) / b->dim[0]};
}

ath_err ATH_ISA_NAME(kron_fwd)(const ath_call *c)
{
    const shape d = shape_of(c->site);
    const float scale = ((const ath_kron_attr *)c->site->attr)->scale;
    const float *a = c->in[0], *b = c->in[1];

    ATH_PAR_FOR(c->site->n_threads)
    for (int64_t row = 0; row < d.p * d.s; row++) {
        const float *from = b + row % d.s * d.k;
        for (int64_t q = 0; q < d.q; q++) {
            const vf factor = vset(scale * a[row / d.s * d.q + q]);
            float *to = (float *)c->out[0] + (row * d.q + q) * d.k;
            for (int64_t i = 0; i < d.k; i += VL)
                span_store(to, ATH_F32, i, d.k, factor * span_load(from, ATH_F32, i, d.k));
        }
    }
    return ATH_OK;
}

/* da[p,q] sums the lanes of a row of dy * b, row after row. */
static void grad_a(const ath_call *c, const shape *d, float scale)
{
    ATH_PAR_FOR(c->site->n_threads)
    for (int64_t i = 0; i < d->p * d->q; i++) {
        vf sum = vset(0);
        for (int64_t s = 0; s < d->s; s++) {
            const float *b = (const float *)c->in[1] + s * d->k;
            const float *dy =
                (const float *)c->dout[0] + ((i / d->q * d->s + s) * d->q + i % d->q) * d->k;
            vf of_row = vset(0);
            for (int64_t k = 0; k < d->k; k += VL)
                of_row =
                    vfma(span_load(dy, ATH_F32, k, d->k), span_load(b, ATH_F32, k, d->k), of_row);
            sum += of_row;
        }
        float *da = (float *)c->din[0] + i;
        *da = (c->site->add & 1 ? *da : 0) + scale * vsum(sum);
    }
}

enum { CHUNK = 1024 }; /* elements of a row of b that a thread sums at a time */

/* sum[n] = the sum over q of a[q] dy[q * step + k], k < n. */
static void sum_row(const float *a, const float *dy, int64_t n_q, int64_t step, int64_t n,
                    float *sum)
{
    for (int64_t k = 0; k < n; k += VL) vstore(sum + k, vset(0));
    for (int64_t q = 0; q < n_q; q++)
        for (int64_t k = 0; k < n; k += VL)
            vstore(sum + k,
                   vfma(vset(a[q]), span_load(dy + q * step, ATH_F32, k, n), vload(sum + k)));
}

/* db[s,k] sums over q, then p. */
static void grad_b(const ath_call *c, const shape *d, float scale)
{
    const float *a = c->in[0];
    const int64_t chunks = (d->k + CHUNK - 1) / CHUNK;

    ATH_PAR_FOR(c->site->n_threads)
    for (int64_t u = 0; u < d->s * chunks; u++) {
        const int64_t s = u / chunks, first = u % chunks * CHUNK;
        const int64_t n = d->k - first < CHUNK ? d->k - first : CHUNK;
        float sum[CHUNK] = {0}, of_p[CHUNK];
        for (int64_t p = 0; p < d->p; p++) {
            const float *dy = (const float *)c->dout[0] + (p * d->s + s) * d->q * d->k + first;
            sum_row(a + p * d->q, dy, d->q, d->k, n, of_p);
            for (int64_t k = 0; k < n; k += VL) vstore(sum + k, vload(sum + k) + vload(of_p + k));
        }
        float *db = (float *)c->din[1] + s * d->k + first;
        for (int64_t k = 0; k < n; k += VL)
            span_grad(db, ATH_F32, k, n, vset(scale) * vload(sum + k), c->site->add >> 1 & 1);
    }
}

ath_err ATH_ISA_NAME(kron_bwd)(const ath_call *c)
{
    const shape d = shape_of(c->site);
    const float scale = ((const ath_kron_attr *)c->site->attr)->scale;

    if (c->din[0]) grad_a(c, &d, scale);
    if (c->din[1]) grad_b(c, &d, scale);
    return ATH_OK;
}
