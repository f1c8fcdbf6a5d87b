/*
 * The machine's file calls with one fault: for tests that want to see every call fail in turn.
 *
 *     faulty_io f = {.fail_at = n, .kind = FAULT_ERROR, .code = ENOSPC};
 *     faulty_io_install(&f);   ...   ath_io_replace(NULL);
 */
#ifndef ATH_TESTS_FAULTY_IO_H
#define ATH_TESTS_FAULTY_IO_H

#include "core/io/file.h"

typedef enum fault_kind {
    FAULT_ERROR, /* the call fails with `code`, once */
    FAULT_SHORT, /* a read or write carries half of its bytes, at least one; others go well */
    FAULT_CRASH, /* the process is gone: a write is torn in half, nothing after it takes place */
} fault_kind;

typedef struct faulty_io {
    int fail_at; /* the call with the fault, from 1; 0: none, only counts */
    fault_kind kind;
    int code;
    int n_calls;
    int n_open; /* descriptors not closed */
    bool is_crashed;
    const char *failed; /* name of the call that had the fault, or NULL */
    ath_io io;
} faulty_io;

void faulty_io_install(faulty_io *f);

#endif
