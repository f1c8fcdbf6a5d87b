#include "kernels/average.h"
#include "kernels/isa.h"
#include "kernels/par.h"
#include "kernels/span.h"

ath_err ATH_ISA_NAME(average_fwd)(const ath_call *c)
{
    const int64_t n = ath_desc_count(&c->site->in[0]), n_spans = span_count(n);
    const vf rest = vset(*(const float *)c->in[1]);

    ATH_PAR_FOR(c->site->n_threads)
    for (int64_t s = 0; s < n_spans; s++) {
        const int64_t end = span_end(s, n);
        for (int64_t i = s * SPAN; i < end; i += VL) {
            const vf y = span_load(c->out[0], ATH_F32, i, end);
            const vf x = span_load(c->in[0], ATH_F32, i, end);
            span_store(c->out[0], ATH_F32, i, end, y - rest * (y - x));
        }
    }
    return ATH_OK;
}
