#include "kernels/average.h"
#include "kernels/ref.h"

ath_err ATH_REF_NAME(average_fwd)(const ath_call *c)
{
    const real *x = c->in[0], rest = *(const real *)c->in[1];
    real *y = c->out[0];

    for (int64_t i = 0; i < ath_desc_count(&c->site->in[0]); i++) y[i] -= rest * (y[i] - x[i]);
    return ATH_OK;
}
