#include "cli/progress.h"

#include "core/time.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

/* Carriage return and "erase to the end of the line". */
#define ERASE "\r\033[K"

void ath_progress_begin(ath_progress *p, int64_t n_steps, bool is_shown)
{
    *p = (ath_progress){
        .is_shown = is_shown, .is_terminal = isatty(STDERR_FILENO), .n_steps = n_steps};
}

void ath_progress_note(ath_progress *p, const char *what)
{
    if (!p->is_shown) return;
    fprintf(stderr, p->is_terminal ? ERASE "%s ..." : "%s ...\n", what);
    fflush(stderr);
}

void ath_progress_step(void *progress, int32_t step, int32_t n_steps)
{
    ath_progress *p = progress;

    /* the first step also compiles and packs weights: it is left out of the rate */
    if (p->n_done++ == 0) p->start_ns = ath_time_mono_ns();
    if (!p->is_shown || !p->is_terminal) return;
    fprintf(stderr, ERASE "step %d/%d", step, n_steps);
    if (p->n_done > 1) {
        const double taken = (double)(ath_time_mono_ns() - p->start_ns) * 1e-9;
        const double seconds = taken / (double)(p->n_done - 1);
        const int64_t left = p->n_steps > p->n_done ? p->n_steps - p->n_done : 0;
        const int64_t eta = (int64_t)(seconds * (double)left + 0.5);
        fprintf(stderr, ", %.2f s/it, %" PRId64 ":%02" PRId64 " left", seconds, eta / 60, eta % 60);
    }
    fflush(stderr);
}

/* "1:02:03" or "2:03". */
static void print_time(double seconds, char out[32])
{
    const int64_t s = (int64_t)(seconds + 0.5), hours = s / 3600, minutes = s / 60 % 60;

    if (hours)
        snprintf(out, 32, "%" PRId64 ":%02" PRId64 ":%02" PRId64, hours, minutes, s % 60);
    else
        snprintf(out, 32, "%" PRId64 ":%02" PRId64, minutes, s % 60);
}

static void print_train(const ath_progress *p, const Athanor__Step *step, int64_t n_steps)
{
    const int64_t now = (int64_t)step->step + 1;
    struct rusage use = {0};
    char left[32];

    fprintf(stderr, "%sstep %" PRId64 "/%" PRId64, p->is_terminal ? ERASE : "", now, n_steps);
    if (step->has_loss) fprintf(stderr, ", loss %.4f", step->loss);
    if (p->weight > 0) fprintf(stderr, ", average %.4f", p->loss / p->weight);
    if (p->n_done > 1) {
        const double taken = fmax((double)(ath_time_mono_ns() - p->start_ns) * 1e-9, 1e-9);
        print_time(taken / (double)(p->n_done - 1) * (double)(n_steps - now), left);
        fprintf(stderr, ", %.3g images/s, %s left", (double)p->n_samples / taken, left);
    }
    if (!getrusage(RUSAGE_SELF, &use))
        fprintf(stderr, ", %.1f GiB", (double)use.ru_maxrss / (1 << 20)); /* ru_maxrss: KiB */
    fputs(p->is_terminal ? "" : "\n", stderr);
    fflush(stderr);
}

void ath_progress_train(ath_progress *p, const Athanor__Step *step, int64_t n_steps)
{
    static const double keep = 0.98; /* of the moving average at each step: about 50 steps count */
    static const int64_t quiet_ns = 30 * INT64_C(1000000000);
    const int64_t now_ns = ath_time_mono_ns();

    /* the first step also compiles and packs weights: it is left out of the rate */
    if (p->n_done++ == 0)
        p->start_ns = now_ns;
    else
        p->n_samples += step->samples;
    if (step->has_loss && isfinite(step->loss)) {
        p->loss = keep * p->loss + (1 - keep) * step->loss;
        p->weight = keep * p->weight + (1 - keep);
    }
    const bool is_end = p->n_done == 1 || (int64_t)step->step + 1 >= n_steps;
    if (!p->is_shown) return;
    if (!p->is_terminal && !is_end && now_ns - p->shown_ns < quiet_ns) return;
    p->shown_ns = now_ns;
    print_train(p, step, n_steps);
}

void ath_progress_done(ath_progress *p, const char *path)
{
    if (p->is_shown && p->is_terminal) fputs(ERASE, stderr);
    printf("%s\n", path); /* main looks whether it was written */
    fflush(stdout);
}

void ath_progress_end(ath_progress *p)
{
    if (p->is_shown && p->is_terminal) fputs(ERASE, stderr);
}
