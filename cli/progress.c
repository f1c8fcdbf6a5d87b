#include "cli/progress.h"

#include "core/time.h"
#include <inttypes.h>
#include <stdio.h>
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
