#include "core/time.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

enum { NS_PER_S = 1000 * 1000 * 1000, NS_PER_MS = 1000 * 1000 };

static int64_t read_clock(clockid_t id)
{
    struct timespec t;

    ATH_ASSERT(clock_gettime(id, &t) == 0);
    return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

static int64_t machine_mono_ns(void *user)
{
    (void)user;
    return read_clock(CLOCK_MONOTONIC);
}

static int64_t machine_wall_ns(void *user)
{
    (void)user;
    return read_clock(CLOCK_REALTIME);
}

static void machine_sleep_ns(void *user, int64_t ns)
{
    (void)user;
    if (ns <= 0) return;
    struct timespec left = {.tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S};
    while (nanosleep(&left, &left) < 0 && errno == EINTR) {
    }
}

static const ath_clock machine = {machine_mono_ns, machine_wall_ns, machine_sleep_ns, NULL};
static const ath_clock *_Atomic current = &machine;

int64_t ath_time_mono_ns(void)
{
    const ath_clock *c = atomic_load(&current);
    return c->mono_ns(c->user);
}

int64_t ath_time_wall_ns(void)
{
    const ath_clock *c = atomic_load(&current);
    return c->wall_ns(c->user);
}

void ath_time_sleep_ns(int64_t ns)
{
    const ath_clock *c = atomic_load(&current);
    c->sleep_ns(c->user, ns);
}

void ath_time_replace(const ath_clock *clock)
{
    atomic_store(&current, clock ? clock : &machine);
}

char *ath_time_print(int64_t wall_ns, char out[ATH_TIME_TEXT])
{
    time_t seconds = wall_ns / NS_PER_S;
    struct tm t;

    ATH_ASSERT(wall_ns >= 0 && gmtime_r(&seconds, &t));
    size_t n = strftime(out, ATH_TIME_TEXT, "%Y-%m-%dT%H:%M:%S", &t);
    snprintf(out + n, ATH_TIME_TEXT - n, ".%03dZ", (int)(wall_ns % NS_PER_S / NS_PER_MS));
    return out;
}
