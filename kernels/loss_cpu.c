#include "core/squares.h"
#include "kernels/isa.h"
#include "kernels/loss.h"
#include "kernels/par.h"
#include "kernels/span.h"

/* Lanes i.. of pred - target; those at or after `end` are 0. */
static vf difference(const ath_call *c, int64_t i, int64_t end)
{
    return span_load(c->in[0], c->site->in[0].dtype, i, end) -
           span_load(c->in[1], c->site->in[1].dtype, i, end);
}

/* Of elements first .. end-1, in pieces that stay in the cache. */
static double sum_over(const ath_call *c, int64_t first, int64_t end)
{
    enum { PIECE = 512 };
    float d[PIECE];
    double sum = 0;

    for (int64_t i = first; i < end; i += PIECE) {
        const int64_t stop = i + PIECE < end ? i + PIECE : end;
        for (int64_t k = i; k < stop; k += VL) vstore(d + (k - i), difference(c, k, stop));
        sum += sum_of_squares(d, stop - i);
    }
    return sum;
}

/* A sum per span of each image; the spans in order, then the images. */
ath_err ATH_ISA_NAME(loss_fwd)(const ath_call *c)
{
    const int64_t N = c->site->in[0].dim[0], n = ath_desc_count(&c->site->in[0]) / N;
    const int64_t n_spans = span_count(n);
    const float *weight = c->in[2];
    float *sample = c->saved[0];
    double *part = c->scratch, loss = 0;

    ATH_PAR_FOR(c->site->n_threads)
    for (int64_t s = 0; s < N * n_spans; s++) {
        const int64_t image = s / n_spans, span = s % n_spans;
        part[s] = sum_over(c, image * n + span * SPAN, image * n + span_end(span, n));
    }
    for (int64_t image = 0; image < N; image++) {
        double sum = 0;
        for (int64_t s = 0; s < n_spans; s++) sum += part[image * n_spans + s];
        const double mean = sum / (double)n;
        sample[image] = (float)mean;
        loss += (double)weight[image] * mean;
    }
    *(float *)c->out[0] = (float)(loss / (double)N);
    return ATH_OK;
}

ath_err ATH_ISA_NAME(loss_bwd)(const ath_call *c)
{
    const ath_desc *pred = &c->site->in[0];
    const int64_t count = ath_desc_count(pred), n = count / pred->dim[0], n_spans = span_count(n);
    const float *weight = c->in[2], dloss = *(const float *)c->dout[0];
    const bool add = c->site->add & 1;

    ATH_PAR_FOR(c->site->n_threads)
    for (int64_t s = 0; s < pred->dim[0] * n_spans; s++) {
        const int64_t image = s / n_spans, span = s % n_spans;
        const int64_t end = image * n + span_end(span, n);
        const vf slope = vset(2 * dloss * weight[image] / (float)count);
        for (int64_t i = image * n + span * SPAN; i < end; i += VL)
            span_grad(c->din[0], pred->dtype, i, end, slope * difference(c, i, end), add);
    }
    return ATH_OK;
}
