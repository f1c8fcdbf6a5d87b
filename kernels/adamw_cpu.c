#include "kernels/adamw.h"
#include "kernels/isa.h"
#include "kernels/par.h"
#include "kernels/span.h"

typedef struct coefficients {
    float shrink, decay, beta1, new1, beta2, new2, rate, root, eps;
} coefficients;

/* In double, rounded once. False where the sum of norms is not finite. */
static bool make_coefficients(const ath_call *c, coefficients *k)
{
    const ath_adamw_attr *a = c->site->attr;
    const float *hyper = c->in[1];
    const double *norms = c->in[2], rate = (double)hyper[0];
    double sum = 0, clip = 1;

    for (int64_t i = 0; i < ath_desc_count(&c->site->in[2]); i++) sum += norms[i];
    if (a->max_norm > 0) clip = fmin(1, (double)a->max_norm / (sqrt(sum) + 1e-6));
    *k = (coefficients){
        .shrink = (float)clip,
        .decay = (float)(rate * (double)hyper[1]),
        .beta1 = (float)(1 - (double)a->rest1),
        .new1 = a->rest1,
        .beta2 = (float)(1 - (double)a->rest2),
        .new2 = a->rest2,
        .rate = (float)(rate / (double)hyper[2]),
        .root = (float)sqrt((double)hyper[3]),
        .eps = a->eps,
    };
    return isfinite(sum);
}

/* Left to the compiler's vectorizer: nothing here may fuse, so that the bits are those of the
 * reference at every ISA level. */
static void update(const coefficients *k, int64_t n, const float *restrict g, float *restrict p,
                   float *restrict m, float *restrict v)
{
    const coefficients c = *k;

    for (int64_t i = 0; i < n; i++) {
        const float d = g[i] * c.shrink;
        const float m1 = c.beta1 * m[i] + c.new1 * d;
        const float v1 = c.beta2 * v[i] + c.new2 * (d * d);
        const float p1 = p[i] - c.decay * p[i];
        m[i] = m1;
        v[i] = v1;
        p[i] = p1 - c.rate * m1 / (sqrtf(v1) / c.root + c.eps);
    }
}

ath_err ATH_ISA_NAME(adamw_fwd)(const ath_call *c)
{
    const int64_t n = ath_desc_count(&c->site->in[0]), n_spans = span_count(n);
    const float *g = c->in[0];
    float *p = c->out[0], *m = c->out[1], *v = c->out[2];
    coefficients k;

    if (!make_coefficients(c, &k)) return ATH_OK;
    ATH_PAR_FOR(c->site->n_threads)
    for (int64_t s = 0; s < n_spans; s++) {
        const int64_t at = s * SPAN;
        update(&k, span_end(s, n) - at, g + at, p + at, m + at, v + at);
    }
    return ATH_OK;
}
