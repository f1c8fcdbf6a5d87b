/*
 * Clocks. Every reading goes through one place that tests can replace. Any thread.
 */
#ifndef ATH_CORE_TIME_H
#define ATH_CORE_TIME_H

#include "core/err.h"

typedef struct ath_clock {
    int64_t (*mono_ns)(void *user);
    int64_t (*wall_ns)(void *user);
    void (*sleep_ns)(void *user, int64_t ns);
    void *user;
} ath_clock;

/* Nanoseconds since some moment in the past; never goes back. For durations. */
int64_t ath_time_mono_ns(void);

/* Nanoseconds since 1970-01-01 UTC, as the machine believes. For people. */
int64_t ath_time_wall_ns(void);

/* Waits at least that long. */
void ath_time_sleep_ns(int64_t ns);

/* Puts `clock` in the machine's place until replaced again; NULL: the machine's. It must outlive
 * its use. */
void ath_time_replace(const ath_clock *clock);

enum { ATH_TIME_TEXT = 32 };
/* "2026-02-28T23:59:59.123Z" of a wall time from 1970 on; returns `out`. */
char *ath_time_print(int64_t wall_ns, char out[ATH_TIME_TEXT]);

#endif
