/*
 * The program, with CLOCK_JUMPS in the environment, under a wall clock that goes a day forward or back at
 * each look. For test_clock.sh.
 */
#include "core/time.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

static int64_t read_clock(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t mono_ns(void *unused)
{
    (void)unused;
    return read_clock(CLOCK_MONOTONIC);
}

static int64_t wall_ns(void *unused)
{
    static const int64_t day_ns = INT64_C(86400000000000);
    static _Atomic uint32_t n_looks;

    (void)unused;
    return read_clock(CLOCK_REALTIME) + ((int64_t)(atomic_fetch_add(&n_looks, 1) % 3) - 1) * day_ns;
}

static void sleep_ns(void *unused, int64_t ns)
{
    const struct timespec t = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};

    (void)unused;
    nanosleep(&t, NULL);
}

__attribute__((constructor)) static void install(void)
{
    static const ath_clock clock = {mono_ns, wall_ns, sleep_ns, NULL};

    if (getenv("CLOCK_JUMPS")) ath_time_replace(&clock);
}
