#include "core/squares.h"
#include "kernels/isa.h"
#include "kernels/norm2.h"
#include "kernels/par.h"
#include "kernels/span.h"

/* A sum per span, then the spans in order. */
ath_err ATH_ISA_NAME(norm2_fwd)(const ath_call *c)
{
    const int64_t n = ath_desc_count(&c->site->in[0]), n_spans = span_count(n);
    const float *g = c->in[0];
    double *part = c->scratch, sum = 0;

    ATH_PAR_FOR(c->site->n_threads)
    for (int64_t s = 0; s < n_spans; s++)
        part[s] = sum_of_squares(g + s * SPAN, span_end(s, n) - s * SPAN);
    for (int64_t s = 0; s < n_spans; s++) sum += part[s];
    *(double *)c->out[0] = sum;
    return ATH_OK;
}
