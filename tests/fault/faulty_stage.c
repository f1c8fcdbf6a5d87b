/*
 * The program with a fault in a phase: linked in place of ath_stage_enter, for test_watch.sh. FAULT_RANK,
 * when it enters FAULT_STAGE at FAULT_STEP or later (-1: before the first), moves no further. FAULT_KIND "stop" stops the process, "kill" kills it, "exit" ends it with 0,
 * "crash" aborts, "loop" keeps its main thread for ever, "slow" keeps it a little each time. Before that it
 * stays in the phase for as long as a beat takes, as a rank in a long phase does.
 */
#include "core/time.h"
#include "worker/dist/dist.h"
#include "worker/dist/stage.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BEAT_NS = 900 * 1000 * 1000, SLOW_NS = 500 * 1000 * 1000 };

void __real_ath_stage_enter(ath_stage stage);
void __wrap_ath_stage_enter(ath_stage stage);

static void fail(const char *kind)
{
    if (strcmp(kind, "slow") == 0) {
        ath_time_sleep_ns(SLOW_NS);
        return;
    }
    ath_time_sleep_ns(BEAT_NS);
    FILE *mark = fopen("fault", "w"); /* says when it was */
    if (mark) fclose(mark);
    if (strcmp(kind, "stop") == 0) raise(SIGSTOP);
    if (strcmp(kind, "kill") == 0) raise(SIGKILL);
    if (strcmp(kind, "exit") == 0) exit(0);
    if (strcmp(kind, "crash") == 0) abort();
    for (;;) ath_time_sleep_ns(BEAT_NS);
}

void __wrap_ath_stage_enter(ath_stage stage)
{
    const char *kind = getenv("FAULT_KIND"), *name = getenv("FAULT_STAGE");
    const char *rank = getenv("FAULT_RANK"), *step = getenv("FAULT_STEP");

    __real_ath_stage_enter(stage);
    if (!kind || !name || !rank || !step) return;
    if (strtoll(rank, NULL, 10) == ath_dist_rank() && strcmp(name, ath_stage_name(stage)) == 0 &&
        ath_stage_place(ath_stage_word()).step >= strtoll(step, NULL, 10))
        fail(kind);
}
