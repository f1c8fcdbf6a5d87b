/*
 * The line of training where there is no terminal: one at the first step, one when half a minute has
 * gone by, one at the end; with the moving average, the rate and the time left of the steps after the
 * first. Where it is not shown, nothing is written.
 */
#include "cli/progress.h"
#include "core/time.h"
#include "tests/harness.h"
#include <stdlib.h>
#include <unistd.h>

static int64_t now_ns = 1;

static int64_t read_clock(void *user)
{
    (void)user;
    return now_ns;
}

/* 50 steps of 2 s and 4 samples, of a run of 4000 steps that ends with them. */
static void train(bool is_shown)
{
    ath_progress p;

    ath_progress_begin(&p, 0, is_shown);
    for (uint64_t i = 0; i < 50; i++) {
        Athanor__Step step = ATHANOR__STEP__INIT;
        step.has_loss = true;
        step.loss = i == 0 ? 0.3 : 0.1;
        step.step = i < 49 ? i : 3999;
        step.samples = 4;
        now_ns += 2 * INT64_C(1000000000);
        ath_progress_train(&p, &step, 4000);
    }
    ath_progress_end(&p);
}

/* What standard error gets, up to room - 1 bytes. */
static void capture(bool is_shown, char *out, size_t room)
{
    char path[] = "/tmp/athanor-progress-XXXXXX";
    const int file = mkstemp(path), before = dup(STDERR_FILENO);

    CHECK(file >= 0 && before >= 0 && dup2(file, STDERR_FILENO) >= 0);
    train(is_shown);
    CHECK(dup2(before, STDERR_FILENO) >= 0);
    const int64_t n = pread(file, out, room - 1, 0);
    out[n > 0 ? n : 0] = 0;
    close(before);
    close(file);
    unlink(path);
}

int main(void)
{
    const ath_clock clock = {.mono_ns = read_clock, .wall_ns = read_clock};
    char text[4096];
    int n_lines = 0;

    ath_time_replace(&clock);
    ath_test_begin("training");
    capture(true, text, sizeof text);
    for (const char *at = text; (at = strchr(at, '\n')); at++) n_lines++;
    CHECK_EQ(n_lines, 5);
    CHECK_HAS(text, "step 1/4000, loss 0.3000, average 0.3000, ");
    /* 16 steps: 0.3 weighs 0.98^15 (1 - 0.98) of 1 - 0.98^16 */
    CHECK_HAS(text, "step 16/4000, loss 0.1000, average 0.1107, 2 images/s, 2:12:48 left, ");
    CHECK_HAS(text, "step 4000/4000, loss 0.1000, average 0.10");
    CHECK_HAS(text, ", 0:00 left, ");
    CHECK_HAS(text, " GiB\n");
    capture(false, text, sizeof text);
    CHECK_STR(text, "");
    ath_time_replace(NULL);
    return ath_test_end();
}
