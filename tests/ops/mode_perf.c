#include "core/mem.h"
#include "core/time.h"
#include "kernels/peak.h"
#include "kernels/peak_dnnl.h"
#include "tests/ops/on_device.h"
#include "tests/ops/opcheck.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RUNS_MAX = 31, RUNS_MIN = 3 };
static const double seconds_max = 0.6; /* for one row, once RUNS_MIN runs are in */

/* Something larger than all caches together, read between runs. */
static const void *cold_memory(size_t *bytes)
{
    static void *memory;
    static size_t size;

    if (!memory) {
        size = (size_t)128 << 20;
#ifdef _SC_LEVEL3_CACHE_SIZE
        const long l3 = sysconf(_SC_LEVEL3_CACHE_SIZE);
        if (l3 > 0 && (size_t)l3 * 3 > size) size = (size_t)l3 * 3;
#endif
        if (ath_mem_new(size, 1, "cold memory", &memory)) return NULL;
    }
    *bytes = size;
    return memory;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *times, int n)
{
    qsort(times, (size_t)n, sizeof *times, by_value);
    return times[n / 2];
}

/* The median of the times of a bound call in seconds, with the caches as the last run left them. */
static ath_err time_warm(const ath_ready *ready, double *out)
{
    double times[RUNS_MAX], sum = 0;
    int n = 0;

    ATH_TRY(ath_ready_run(ready)); /* pages, and whatever is made at first use */
    while (n < RUNS_MAX && (n < RUNS_MIN || sum < seconds_max)) {
        const int64_t start = ath_time_mono_ns();
        ATH_TRY(ready->kernel->run(&ready->call));
        times[n] = (double)(ath_time_mono_ns() - start) * 1e-9;
        sum += times[n++];
    }
    *out = median(times, n);
    return ATH_OK;
}

/* Launched one after the other, on a device. */
static ath_err time_on_device(const ath_ready *ready, double *out)
{
    ATH_TRY(ath_ready_run_on_device(ready, RUNS_MIN, NULL));
    return ath_ready_run_on_device(ready, RUNS_MAX, out);
}

/* The same with cold caches, and beside each run a copy of as many bytes by as many threads, cold too:
 * memory is faster in one second than in the next where others share it. */
static ath_err time_beside_copy(const ath_ready *ready, int n_threads, double *out, double *copy)
{
    const size_t half = (size_t)(ath_site_bytes(&ready->site) / 2);
    double times[RUNS_MAX], copies[RUNS_MAX], sum = 0;
    size_t bytes = 0;
    int n = 0;
    const void *cold = cold_memory(&bytes);
    char *memory = NULL;

    ATH_NEED(cold, ATH_ENOMEM, "no memory to clear the caches with");
    ATH_TRY(ATH_NEW(2 * half, "a timed copy", &memory));
    memset(memory, 1, 2 * half);
    ath_err err = ath_ready_run(ready);
    while (!err && n < RUNS_MAX && (n < RUNS_MIN || sum < 2 * seconds_max)) {
        ath_array_evict(cold, bytes, n_threads);
        const int64_t start = ath_time_mono_ns();
        err = ready->kernel->run(&ready->call);
        times[n] = (double)(ath_time_mono_ns() - start) * 1e-9;
        ath_array_evict(cold, bytes, n_threads);
        copies[n] = ath_peak_copy_once(n_threads, memory, memory + half, half);
        sum += times[n] + copies[n];
        n++;
    }
    ath_mem_free(&memory);
    if (err) return err;
    *out = median(times, n);
    *copy = median(copies, n);
    return ATH_OK;
}

/* What the machine can do with as many threads, measured in this run. */
typedef struct peaks {
    double gflops, gbs; /* multiply-adds between registers; a copy of more than the caches hold */
} peaks;

static ath_err measure_peaks(int n_threads, peaks *p)
{
    p->gflops = ath_peak_fma(n_threads);
    return ath_peak_copy(n_threads, (size_t)256 << 20, &p->gbs);
}

/* The share of what the bare primitive reaches, both with warm caches; 0 where there is none of this
 * product alone. */
static ath_err share_of_dnnl(const ath_ready *ready, double *out)
{
    double gflops = 0, seconds = 0;

    *out = 0;
    if (ath_peak_dnnl(&ready->site, &gflops)) {
        ath_err_clear();
        return ATH_OK;
    }
    ATH_TRY(time_warm(ready, &seconds));
    *out = ready->site.op->flop(&ready->site) / seconds * 1e-9 / gflops;
    return ATH_OK;
}

static double share(double x, double of)
{
    return of > 0 ? x / of : 0;
}

/* `s` and `copy`: seconds of the call and of a copy of as many bytes beside it. */
static ath_err print_row(const ath_ready *ready, const ath_report *r, const char *pass, double s,
                         double copy)
{
    static peaks peak;
    static bool is_begun;
    const ath_setup *at = r->at;
    const char *algorithm = ready->bound.algorithm ? ready->bound.algorithm : "";
    const double gflops = at->op->flop ? at->op->flop(&ready->site) / s * 1e-9 : 0;
    const double gbs = ath_site_bytes(&ready->site) / s * 1e-9;
    double of_dnnl = 0;

    if (!is_begun) {
        is_begun = true;
        if (!at->device) ATH_TRY(measure_peaks(at->threads, &peak));
        if (!r->is_json)
            printf("%d threads: %.1f GFLOP/s, %.1f GB/s\n%-12s %-26s %-5s %-8s %9s %8s %5s %5s %8s "
                   "%5s  %s\n",
                   at->threads, peak.gflops, peak.gbs, "op", "case", "dtype", "pass", "ms",
                   "GFLOP/s", "/fma", "/dnnl", "GB/s", "/copy", "algorithm");
    }
    if (strcmp(pass, "bwd all") != 0 && !at->device) ATH_TRY(share_of_dnnl(ready, &of_dnnl));
    printf(r->is_json ? "{\"op\": \"%s\", \"case\": \"%s\", \"dtype\": \"%s\", \"pass\": \"%s\", "
                        "\"ms\": %.6f, \"gflops\": %.3f, \"of_fma\": %.4f, \"of_dnnl\": %.4f, "
                        "\"gbs\": %.3f, \"of_copy\": %.4f, \"algorithm\": \"%s\"}\n"
                      : "%-12s %-26s %-5s %-8s %9.4f %8.2f %5.2f %5.2f %8.2f %5.2f  %s\n",
           at->op->name, at->c->name, ath_dtype_name(at->dtype), pass, s * 1e3, gflops,
           share(gflops, peak.gflops), of_dnnl, gbs, copy / s, algorithm);
    return ATH_OK;
}

static ath_err time_pass(ath_trial *t, ath_report *r, ath_pass pass, const char *name,
                         const ath_how *how)
{
    ath_ready ready;
    double seconds = 0, copy = 0;

    ATH_TRY(ath_ready_init(&ready, t, pass, how));
    ath_ready_fill(&ready);
    ath_err err = t->setup.device ? time_on_device(&ready, &seconds)
                                  : time_beside_copy(&ready, how->threads, &seconds, &copy);
    if (!err) err = print_row(&ready, r, name, seconds, copy);
    if (!err) ath_report_check(r, true, "%s", name);
    ath_ready_release(&ready);
    return err;
}

/* Forward and backward as in adapter training, with frozen weights; then with all gradients. */
static ath_err time_passes(ath_trial *t, ath_report *r)
{
    const uint32_t weights = t->setup.op->weights, free = t->wanted & ~weights;
    ath_how how = {.threads = t->setup.threads, .frozen = weights};

    ATH_TRY(time_pass(t, r, ATH_FWD, "fwd", &how));
    how.wanted = free;
    if (free) ATH_TRY(time_pass(t, r, ATH_BWD, weights ? "bwd x" : "bwd", &how));
    how.wanted = t->wanted;
    how.frozen = 0;
    return t->wanted != free ? time_pass(t, r, ATH_BWD, "bwd all", &how) : ATH_OK;
}

ath_err ath_mode_perf(const ath_setup *s, ath_report *r)
{
    ath_trial t;

    ATH_TRY(ath_trial_init(&t, s));
    const ath_err err = time_passes(&t, r);
    ath_trial_release(&t);
    return err;
}
