#include "kernels/ref.h"
#include "kernels/sample_loss.h"

/* In the order of index. */
ath_err ATH_REF_NAME(sample_loss_fwd)(const ath_call *c)
{
    const ath_desc *pred = &c->site->in[0], *target = &c->site->in[1];
    const int64_t N = pred->dim[0], n = ath_desc_count(pred) / N;
    double *y = c->out[0];

    for (int64_t image = 0; image < N; image++) {
        double sum = 0;
        for (int64_t i = image * n; i < (image + 1) * n; i++) {
            const double d = (double)ref_get(c->in[0], pred->dtype, i) -
                             (double)ref_get(c->in[1], target->dtype, i);
            sum += d * d;
        }
        y[image] = sum / (double)n;
    }
    return ATH_OK;
}
