#include "kernels/column_sum.h"

#include "kernels/isa.h"
#include "kernels/par.h"
#include "kernels/span.h"

/* One thread sums STRIP columns at a time, so that a row gives it a few whole cache lines. */
enum { STRIP = 128, BLOCK = 256, N_VECS = STRIP / VL };

static void strip(const ath_desc *d, const void *x, int64_t j0, bool add, float *sum)
{
    const int64_t rows = ath_desc_rows(d), cols = ath_desc_last(d);
    const int64_t end = j0 + STRIP < cols ? j0 + STRIP : cols;
    const int n_vecs = (int)((end - j0 + VL - 1) / VL);
    vf total[N_VECS] = {0};

    for (int64_t i0 = 0; i0 < rows; i0 += BLOCK) {
        vf part[N_VECS] = {0};
        for (int64_t i = i0; i < rows && i < i0 + BLOCK; i++)
            for (int v = 0; v < n_vecs; v++)
                part[v] += span_load(x, d->dtype, i * cols + j0 + v * VL, i * cols + end);
        for (int v = 0; v < n_vecs; v++) total[v] += part[v];
    }
    for (int v = 0; v < n_vecs; v++) span_grad(sum, ATH_F32, j0 + v * VL, end, total[v], add);
}

void ATH_ISA_NAME(column_sum)(const ath_desc *d, const void *x, bool add, int n_threads, float *sum)
{
    const int64_t n_strips = (ath_desc_last(d) + STRIP - 1) / STRIP;

    (void)n_threads; /* unused in a build without OpenMP */
    ATH_PAR_FOR(n_threads)
    for (int64_t s = 0; s < n_strips; s++) strip(d, x, s * STRIP, add, sum);
}
