/*
 * The program, killed at one of its calls that change a file: with FAULT_WRITE=k in the midst of the k-th
 * write, with FAULT_CALL=k before the k-th sync, truncation, renaming or removal, or folder made, of any of
 * its threads. For test_kill_calls.sh.
 */
#include "core/io/seam.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

static const ath_io *const real = &ath_io_machine;
static ath_io faulty;
static _Atomic int64_t n_writes, n_calls; /* until it ends; below 1: it does not */

static bool is_last(_Atomic int64_t *n)
{
    return atomic_fetch_sub(n, 1) == 1;
}

static void end_at_last(void)
{
    if (is_last(&n_calls)) raise(SIGKILL);
}

static int64_t write_in_part(void *user, int fd, const void *from, size_t n)
{
    const bool is = is_last(&n_writes);
    const int64_t done = real->write(user, fd, from, is ? n / 2 : n);

    if (is) raise(SIGKILL);
    return done;
}

static int64_t write_at_in_part(void *user, int fd, const void *from, size_t n, int64_t at)
{
    const bool is = is_last(&n_writes);
    const int64_t done = real->write_at(user, fd, from, is ? n / 2 : n, at);

    if (is) raise(SIGKILL);
    return done;
}

static int sync_file(void *user, int fd)
{
    end_at_last();
    return real->sync(user, fd);
}

static int rename_file(void *user, const char *from, const char *to)
{
    end_at_last();
    return real->rename(user, from, to);
}

static int unlink_file(void *user, const char *path)
{
    end_at_last();
    return real->unlink(user, path);
}

static int truncate_file(void *user, int fd, int64_t n)
{
    end_at_last();
    return real->truncate(user, fd, n);
}

static int make_folder(void *user, const char *path)
{
    end_at_last();
    return real->make_folder(user, path);
}

static int64_t number_in(const char *name)
{
    const char *text = getenv(name);

    return text ? strtoll(text, NULL, 10) : 0;
}

__attribute__((constructor)) static void install(void)
{
    atomic_store(&n_writes, number_in("FAULT_WRITE"));
    atomic_store(&n_calls, number_in("FAULT_CALL"));
    faulty = *real;
    faulty.write = write_in_part;
    faulty.write_at = write_at_in_part;
    faulty.sync = sync_file;
    faulty.rename = rename_file;
    faulty.unlink = unlink_file;
    faulty.truncate = truncate_file;
    faulty.make_folder = make_folder;
    ath_io_replace(&faulty);
}
