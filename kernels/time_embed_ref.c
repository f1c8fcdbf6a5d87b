#include "kernels/ref.h"
#include "kernels/time_embed.h"

#include <math.h>

ath_err ATH_REF_NAME(time_embed_fwd)(const ath_call *c)
{
    const ath_desc *t = &c->site->in[0], *y = &c->site->out[0];
    const int64_t width = y->dim[1], half = width / 2;

    for (int64_t n = 0; n < y->dim[0]; n++)
        for (int64_t i = 0; i < half; i++) {
            double frequency = exp(-log(10000.0) * (double)i / (double)half);
            double angle = ath_dtype_get(c->in[0], t->dtype, n) * frequency;
            ref_put(c->out[0], y->dtype, n * width + i, (real)cos(angle));
            ref_put(c->out[0], y->dtype, n * width + half + i, (real)sin(angle));
        }
    return ATH_OK;
}
