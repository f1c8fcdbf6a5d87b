/*
 * What a power cut can leave of a recorded run (faulty_io.h), after any of its calls, as a pessimist sees
 * file systems: only a sync makes last. What a file was given lasts from a sync of that file on, names
 * in a folder (made, moved, taken away) from a sync of that folder on. All else of what came before the
 * cut may be there or not, whatever its order: each name, and each block of a file as it was at some time.
 */
#ifndef ATH_TESTS_FAULT_CRASH_H
#define ATH_TESTS_FAULT_CRASH_H

#include "core/hash.h"
#include "tests/faulty_io.h"

typedef enum crash_how {
    CRASH_ALL,       /* the process ended, the machine did not */
    CRASH_NONE,      /* nothing that was not synced */
    CRASH_LATE,      /* of names that were not synced the last alone, and all data */
    CRASH_NAMES,     /* names without data */
    CRASH_DATA,      /* data without names */
    CRASH_TORN_512,  /* all but parts of the last write */
    CRASH_TORN_4096, /* the same by other blocks */
    CRASH_RANDOM,    /* from here on: by chance */
} crash_how;

/* What a call is to the model. */
typedef struct crash_call {
    int32_t file;               /* whose data it changes or syncs; -1: none */
    bool is_name;               /* changes a folder's names */
    char folder[IO_PATH_BYTES]; /* which, or the one it syncs; "": none */
    char label[IO_PATH_BYTES];  /* of a sync: "h5", "names of h5" */
    int64_t lasts_from;         /* the first sync behind it that makes it last */
} crash_call;

typedef struct crash {
    const io_trace *trace;
    const char *root; /* of the recorded paths */
    crash_call *call;
    const char *without; /* a label, or NULL */
    uint64_t seed;
} crash;

/* Takes the trace apart; syncs of that label are left out (NULL: none). */
ATH_MUST ath_err crash_init(crash *c, const io_trace *trace, const char *root, const char *without);
void crash_release(crash *c);

/* The state after the first `n` calls, `how` from 0 (CRASH_RANDOM and above: by seed, n and how), put
 * into the empty folder `to` (NULL: nowhere); `hash` is of all of it. */
ATH_MUST ath_err crash_build(const crash *c, int64_t n, int64_t how, const char *to,
                             ath_hash *hash);

#endif
