#include "kernels/kron.h"
#include "kernels/ref.h"

/* b's axes after the first are one here: y[p*S+s, q*K+k] = scale * a[p,q] * b[s,k]. */
typedef struct shape {
    int64_t p, q, s, k;
} shape;

static shape shape_of(const ath_site *site)
{
    const ath_desc *a = &site->in[0], *b = &site->in[1];
    return (shape){a->dim[0], a->dim[1], b->dim[0], ath_desc_count(b) / b->dim[0]};
}

/* Where y[p*S+s, q*K] is. */
static int64_t place(const shape *d, int64_t p, int64_t q, int64_t s)
{
    return ((p * d->s + s) * d->q + q) * d->k;
}

ath_err ATH_REF_NAME(kron_fwd)(const ath_call *c)
{
    const shape d = shape_of(c->site);
    const real scale = (real)((const ath_kron_attr *)c->site->attr)->scale;
    const real *a = c->in[0], *b = c->in[1];
    real *y = c->out[0];

    for (int64_t p = 0; p < d.p; p++)
        for (int64_t s = 0; s < d.s; s++)
            for (int64_t q = 0; q < d.q; q++)
                for (int64_t k = 0; k < d.k; k++)
                    y[place(&d, p, q, s) + k] = scale * a[p * d.q + q] * b[s * d.k + k];
    return ATH_OK;
}

ath_err ATH_REF_NAME(kron_bwd)(const ath_call *c)
{
    const shape d = shape_of(c->site);
    const real scale = (real)((const ath_kron_attr *)c->site->attr)->scale;
    const real *a = c->in[0], *b = c->in[1], *dy = c->dout[0];

    for (int64_t i = 0; c->din[0] && i < d.p * d.q; i++) {
        real sum = 0;
        for (int64_t s = 0; s < d.s; s++)
            for (int64_t k = 0; k < d.k; k++)
                sum += dy[place(&d, i / d.q, i % d.q, s) + k] * b[s * d.k + k];
        ref_grad(c->din[0], ATH_REF_REAL, i, scale * sum, c->site->add & 1);
    }
    for (int64_t i = 0; c->din[1] && i < d.s * d.k; i++) {
        real sum = 0;
        for (int64_t p = 0; p < d.p; p++)
            for (int64_t q = 0; q < d.q; q++)
                sum += dy[place(&d, p, q, i / d.k) + i % d.k] * a[p * d.q + q];
        ref_grad(c->din[1], ATH_REF_REAL, i, scale * sum, c->site->add >> 1 & 1);
    }
    return ATH_OK;
}
