#include "kernels/loss.h"
#include "kernels/ref.h"

static real difference(const ath_call *c, int64_t i)
{
    return ref_get(c->in[0], c->site->in[0].dtype, i) - ref_get(c->in[1], c->site->in[1].dtype, i);
}

/* Sums in double, in order of index. */
ath_err ATH_REF_NAME(loss_fwd)(const ath_call *c)
{
    const int64_t N = c->site->in[0].dim[0], n = ath_desc_count(&c->site->in[0]) / N;
    double loss = 0;

    for (int64_t image = 0; image < N; image++) {
        double sum = 0;
        for (int64_t i = image * n; i < (image + 1) * n; i++) {
            const double d = (double)difference(c, i);
            sum += d * d;
        }
        const double mean = sum / (double)n;
        ref_put(c->saved[0], ATH_REF_REAL, image, (real)mean);
        loss += (double)ref_get(c->in[2], ATH_REF_REAL, image) * mean;
    }
    ref_put(c->out[0], ATH_REF_REAL, 0, (real)(loss / (double)N));
    return ATH_OK;
}

ath_err ATH_REF_NAME(loss_bwd)(const ath_call *c)
{
    const ath_desc *pred = &c->site->in[0];
    const int64_t count = ath_desc_count(pred), n = count / pred->dim[0];
    const real dloss = ref_get(c->dout[0], ATH_REF_REAL, 0);

    for (int64_t i = 0; i < count; i++) {
        const real slope = 2 * dloss * ref_get(c->in[2], ATH_REF_REAL, i / n) / (real)count;
        ref_grad(c->din[0], pred->dtype, i, slope * difference(c, i), c->site->add & 1);
    }
    return ATH_OK;
}
