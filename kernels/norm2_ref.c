#include "kernels/norm2.h"
#include "kernels/ref.h"

ath_err ATH_REF_NAME(norm2_fwd)(const ath_call *c)
{
    const ath_desc *g = &c->site->in[0];
    double sum = 0;

    for (int64_t i = 0; i < ath_desc_count(g); i++) {
        double x = (double)ref_get(c->in[0], g->dtype, i);
        sum += x * x;
    }
    *(double *)c->out[0] = sum;
    return ATH_OK;
}
