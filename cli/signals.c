#include "cli/signals.h"

#include "core/time.h"

#include <ctype.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum { NS_PER_S = 1000000000 };

static ath_cancel *flag;

static void on_signal(int number)
{
    (void)number;
    ath_cancel_set(flag);
}

int64_t ath_signals_seconds_left(const char *end_time, int64_t wall_ns)
{
    char *end = NULL;

    if (!end_time || !isdigit((unsigned char)*end_time)) return 0;
    const int64_t left = strtoll(end_time, &end, 10) - wall_ns / NS_PER_S;
    if (*end || left <= 0 || left > INT_MAX) return 0;
    return left > ATH_SIGNALS_MARGIN_SECONDS ? left - ATH_SIGNALS_MARGIN_SECONDS : 1;
}

ath_err ath_signals_catch(ath_cancel *cancel)
{
    static const int numbers[] = {SIGUSR1, SIGUSR2, SIGTERM, SIGALRM, SIGINT};
    struct sigaction action = {.sa_handler = on_signal};

    flag = cancel;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        /* system calls go on, and INT is caught once */
        action.sa_flags = numbers[i] == SIGINT ? (int)(SA_RESTART | SA_RESETHAND) : SA_RESTART;
        ATH_TRY(ath_sys(sigaction(numbers[i], &action, NULL), "signals"));
    }
    /* the kernel counts these seconds on a clock that does not jump */
    alarm((unsigned)ath_signals_seconds_left(getenv("SLURM_JOB_END_TIME"), ath_time_wall_ns()));
    return ATH_OK;
}
