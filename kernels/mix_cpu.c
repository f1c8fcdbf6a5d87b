#include "kernels/isa.h"
#include "kernels/mix.h"
#include "kernels/par.h"
#include "kernels/span.h"

/* Spans of one image: unit u is span u % per_image of image u / per_image. */
ath_err ATH_ISA_NAME(mix_fwd)(const ath_call *c)
{
    const ath_desc *x = &c->site->in[0];
    const int64_t image = ath_desc_count(x) / x->dim[0], per_image = span_count(image);
    const float *a = c->in[2], *b = c->in[3];

    ATH_PAR_FOR(c->site->n_threads)
    for (int64_t u = 0; u < x->dim[0] * per_image; u++) {
        const int64_t n = u / per_image, s = u % per_image;
        const int64_t first = n * image + s * SPAN, end = n * image + span_end(s, image);
        for (int64_t i = first; i < end; i += VL) {
            vf bz = vset(b[n]) * span_load(c->in[1], x->dtype, i, end);
            span_store(c->out[0], x->dtype, i, end,
                       vfma(vset(a[n]), span_load(c->in[0], x->dtype, i, end), bz));
        }
    }
    return ATH_OK;
}

ath_err ATH_ISA_NAME(mix_bwd)(const ath_call *c)
{
    const ath_desc *x = &c->site->in[0];
    const int64_t image = ath_desc_count(x) / x->dim[0], per_image = span_count(image);

    ATH_PAR_FOR(c->site->n_threads)
    for (int64_t u = 0; u < x->dim[0] * per_image; u++) {
        const int64_t n = u / per_image, s = u % per_image;
        const int64_t first = n * image + s * SPAN, end = n * image + span_end(s, image);
        for (int k = 0; k < 2; k++) {
            const vf weight = vset(((const float *)c->in[2 + k])[n]);
            for (int64_t i = first; c->din[k] && i < end; i += VL)
                span_grad(c->din[k], x->dtype, i, end,
                          weight * span_load(c->dout[0], x->dtype, i, end), c->site->add >> k & 1);
        }
    }
    return ATH_OK;
}
