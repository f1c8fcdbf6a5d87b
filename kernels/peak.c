#include "kernels/peak.h"

#include "core/mem.h"
#include "core/time.h"
#include "kernels/isa.h"
#include "kernels/par.h"
#include <stdlib.h>
#include <string.h>

enum { RUNS = 9, STEPS = 4 * 1000 * 1000 };

double ath_peak_loop_base(int64_t n_steps, float x, float *sum);
double ath_peak_loop_v3(int64_t n_steps, float x, float *sum);
double ath_peak_loop_v4(int64_t n_steps, float x, float *sum);

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double run[RUNS])
{
    qsort(run, RUNS, sizeof *run, by_value);
    return run[RUNS / 2];
}

double ath_peak_fma(int32_t n_threads)
{
    static double (*const by_isa[ATH_N_ISAS])(int64_t, float, float *) = {
        ath_peak_loop_base, ath_peak_loop_v3, ath_peak_loop_v4};
    double (*loop)(int64_t, float, float *) = by_isa[ath_isa_get()];
    double run[RUNS], flop = 0;

    for (int r = 0; r < RUNS; r++) {
        const int64_t start = ath_time_mono_ns();
        ATH_PAR_FOR(n_threads)
        for (int32_t i = 0; i < n_threads; i++) {
            float sum;
            const double own = loop(STEPS, 0.5f, &sum);
            if (i == 0) flop = own;
        }
        run[r] = flop * n_threads / (double)(ath_time_mono_ns() - start);
    }
    return median(run);
}

double ath_peak_copy_once(int32_t n_threads, void *to, const void *from, size_t bytes)
{
    const int64_t start = ath_time_mono_ns();

    ATH_PAR_FOR(n_threads)
    for (int32_t i = 0; i < n_threads; i++) {
        const size_t first = bytes * (size_t)i / (size_t)n_threads;
        const size_t end = bytes * ((size_t)i + 1) / (size_t)n_threads;
        memcpy((char *)to + first, (const char *)from + first, end - first);
    }
    return (double)(ath_time_mono_ns() - start) * 1e-9;
}

ath_err ath_peak_copy(int32_t n_threads, size_t bytes, double *gb_per_s)
{
    ath_err err = ATH_OK;
    char *from = NULL, *to = NULL;
    double run[RUNS];

    ATH_TRY_OUT(ATH_NEW(bytes, "source of a timed copy", &from));
    ATH_TRY_OUT(ATH_NEW(bytes, "target of a timed copy", &to));
    memset(from, 1, bytes);
    ath_peak_copy_once(n_threads, to, from, bytes); /* which brings the pages in */
    for (int r = 0; r < RUNS; r++)
        run[r] = 2e-9 * (double)bytes / ath_peak_copy_once(n_threads, to, from, bytes);
    *gb_per_s = median(run);
out:
    ath_mem_free(&from);
    ath_mem_free(&to);
    return err;
}
