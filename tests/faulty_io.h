/*
 * The machine's file calls with one fault, or with a record of what they changed: for tests that want to
 * see every call fail in turn, and for those that take a crash apart.
 *
 *     faulty_io f = {.fail_at = n, .kind = FAULT_ERROR, .code = ENOSPC};
 *     faulty_io_install(&f);   ...   ath_io_replace(NULL);
 */
#ifndef ATH_TESTS_FAULTY_IO_H
#define ATH_TESTS_FAULTY_IO_H

#include "core/io/file.h"

#include <stdatomic.h>

typedef enum fault_kind {
    FAULT_ERROR, /* the call fails with `code`, once */
    FAULT_SHORT, /* a read or write carries half of its bytes, at least one; others go well */
    FAULT_FULL,  /* this call if it writes, and every write after it, fails with `code` */
    FAULT_CRASH, /* the process is gone: a write is torn in half, nothing after it takes place */
    FAULT_WAIT,  /* the call takes until it may go on, and goes well */
} fault_kind;

/* ---- a record of what went well and changes something, in order ---- */
enum { IO_PATH_BYTES = 256, IO_FDS = 256 };

typedef enum io_what {
    IO_CREATE, /* or opened: an existing file stays as it is */
    IO_WRITE,
    IO_TRUNCATE,
    IO_SYNC, /* of a file or a folder */
    IO_RENAME,
    IO_UNLINK,
    IO_MAKE_FOLDER,
    IO_MARK, /* no call: the test says where it is */
} io_what;

typedef struct io_call {
    io_what what;
    char path[IO_PATH_BYTES], to[IO_PATH_BYTES]; /* a file's: as it was opened */
    int64_t at; /* a write's place, a truncation's length, a mark */
    char *bytes;
    size_t n;
} io_call;

typedef struct io_trace {
    io_call *call;
    int64_t n, room;
    char path[IO_FDS][IO_PATH_BYTES]; /* of open descriptors */
} io_trace;

void io_trace_mark(io_trace *t, int64_t mark);
void io_trace_release(io_trace *t);

typedef struct faulty_io {
    int fail_at; /* the call with the fault, from 1; 0: none, only counts */
    fault_kind kind;
    int code;
    int n_calls;
    int n_open; /* descriptors not closed */
    bool is_crashed;
    _Atomic bool is_waiting, may_go_on; /* FAULT_WAIT */
    const char *failed;                 /* name of the call that had the fault, or NULL */
    io_trace *trace;                    /* where calls are recorded; NULL: they are not */
    ath_io io;
} faulty_io;

void faulty_io_install(faulty_io *f);

#endif
