/*
 * Signals of a run: USR1, USR2, TERM and the timer set the flag and never end the process, however often
 * they come; INT does so once, then ends it. A SLURM job's end is told from the environment, and what is
 * no end in the future sets no timer.
 */
#include "cli/signals.h"
#include "tests/harness.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static ath_cancel cancel;

static void expect(int number)
{
    atomic_store(&cancel.is_set, false);
    CHECK(raise(number) == 0);
    CHECK(ath_cancel_is_set(&cancel));
}

/* In a child: two interrupts. The first exits with 9 where it did not set the flag. */
static int interrupt_twice(void)
{
    const pid_t child = fork();
    int status = 0;

    if (child == 0) {
        atomic_store(&cancel.is_set, false);
        raise(SIGINT);
        if (!ath_cancel_is_set(&cancel)) _exit(9);
        raise(SIGINT);
        _exit(8);
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    return status;
}

int main(void)
{
    enum { NS = 1000000000 };
    const int64_t now = (int64_t)1000 * NS;

    ath_test_begin("signals");
    CHECK(unsetenv("SLURM_JOB_END_TIME") == 0);
    CHECK_OK(ath_signals_catch(&cancel));
    CHECK_EQ(alarm(0), 0);
    CHECK(!ath_cancel_is_set(&cancel));
    CHECK_OK(ath_cancel_check(&cancel, "work"));
    for (int i = 0; i < 3; i++) {
        expect(SIGUSR1);
        expect(SIGUSR2);
        expect(SIGTERM);
        expect(SIGALRM);
    }
    CHECK_ERR(ath_cancel_check(&cancel, "work is left"), ATH_ECANCELED);
    CHECK_HAS(ath_err_text(), "work is left");
    CHECK_OK(ath_cancel_check(NULL, "work"));
    const int status = interrupt_twice();
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);

    ath_test_begin("the end of a SLURM job");
    CHECK_EQ(ath_signals_seconds_left(NULL, now), 0);
    CHECK_EQ(ath_signals_seconds_left("", now), 0);
    CHECK_EQ(ath_signals_seconds_left("soon", now), 0);
    CHECK_EQ(ath_signals_seconds_left("2000 s", now), 0);
    CHECK_EQ(ath_signals_seconds_left("-2000", now), 0);
    CHECK_EQ(ath_signals_seconds_left("999", now), 0);
    CHECK_EQ(ath_signals_seconds_left("1000", now), 0);
    CHECK_EQ(ath_signals_seconds_left("99999999999999999999", now), 0);
    CHECK_EQ(ath_signals_seconds_left("1001", now), 1);
    CHECK_EQ(ath_signals_seconds_left("1120", now), 1);
    CHECK_EQ(ath_signals_seconds_left("1500", now), 500 - ATH_SIGNALS_MARGIN_SECONDS);
    CHECK(setenv("SLURM_JOB_END_TIME", "1", 1) == 0);
    CHECK_OK(ath_signals_catch(&cancel));
    CHECK_EQ(alarm(0), 0);
    CHECK(setenv("SLURM_JOB_END_TIME", "100000000000", 1) == 0);
    CHECK_OK(ath_signals_catch(&cancel));
    CHECK_EQ(alarm(0), 0); /* beyond what is believed */
    return ath_test_end();
}
