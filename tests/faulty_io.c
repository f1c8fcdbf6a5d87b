#include "tests/faulty_io.h"

#include "core/mem.h"
#include "core/time.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const ath_io *const real = &ath_io_machine;

/* ---- the trace ---- */

static ath_err keep(io_trace *t, const io_call *call)
{
    ATH_TRY(ath_mem_grow(&t->call, t->n, &t->room, sizeof *t->call, "trace"));
    io_call *c = &t->call[t->n];
    ATH_TRY(ATH_NEW(call->n, "trace", &c->bytes));
    char *bytes = c->bytes;
    *c = *call;
    c->bytes = bytes;
    if (call->n) memcpy(bytes, call->bytes, call->n);
    t->n++;
    return ATH_OK;
}

static void record(faulty_io *f, const io_call *call)
{
    if (f->trace) ATH_ASSERT(!keep(f->trace, call));
}

void io_trace_mark(io_trace *t, int64_t mark)
{
    ATH_ASSERT(!keep(t, &(io_call){.what = IO_MARK, .at = mark}));
}

void io_trace_release(io_trace *t)
{
    for (int64_t i = 0; i < t->n; i++) ath_mem_free(&t->call[i].bytes);
    ath_mem_free(&t->call);
    t->n = t->room = 0;
}

/* Where a write without a place went. */
static int64_t place_of(int fd, int64_t n)
{
    return (fcntl(fd, F_GETFL) & O_APPEND ? lseek(fd, 0, SEEK_END) : lseek(fd, 0, SEEK_CUR)) - n;
}

static void set_path(char to[IO_PATH_BYTES], const char *path)
{
    ATH_ASSERT(snprintf(to, IO_PATH_BYTES, "%s", path) < IO_PATH_BYTES);
}

static void record_path(faulty_io *f, io_what what, const char *path, const char *to)
{
    io_call c = {.what = what};

    set_path(c.path, path);
    set_path(c.to, to);
    record(f, &c);
}

static const char *path_of(const faulty_io *f, int fd)
{
    ATH_ASSERT(fd < IO_FDS);
    return f->trace->path[fd];
}

/* ---- calls ---- */

static void wait_here(faulty_io *f)
{
    enum { NS = 100000 };

    atomic_store(&f->is_waiting, true);
    while (!atomic_load(&f->may_go_on)) ath_time_sleep_ns(NS);
}

/* True where this call goes wrong with errno set; counts it. */
static bool goes_wrong(faulty_io *f, const char *name)
{
    bool is_here = ++f->n_calls == f->fail_at;

    if (f->is_crashed) {
        errno = EIO;
        return true;
    }
    if (f->kind == FAULT_FULL && f->fail_at > 0 && f->n_calls >= f->fail_at) {
        is_here = strcmp(name, "write") == 0;
        errno = f->code;
        f->failed = name;
        return is_here;
    }
    if (!is_here) return false;
    f->failed = name;
    if (f->kind == FAULT_WAIT) wait_here(f);
    f->is_crashed = f->kind == FAULT_CRASH;
    errno = f->kind == FAULT_CRASH ? EIO : f->code;
    return f->kind != FAULT_SHORT && f->kind != FAULT_WAIT;
}

/* How much of `n` bytes this call carries. */
static size_t part_of(const faulty_io *f, size_t n)
{
    return f->kind == FAULT_SHORT && f->n_calls == f->fail_at ? (n + 1) / 2 : n;
}

static int faulty_open(void *user, const char *path, int flags)
{
    faulty_io *f = user;
    if (goes_wrong(f, "open")) return -1;
    int fd = real->open(real->user, path, flags);
    f->n_open += fd >= 0;
    if (fd < 0 || fd >= IO_FDS || !f->trace) return fd;
    set_path(f->trace->path[fd], path);
    if (flags & O_CREAT) record_path(f, IO_CREATE, path, "");
    return fd;
}

static int64_t faulty_read(void *user, int fd, void *to, size_t n)
{
    faulty_io *f = user;
    if (goes_wrong(f, "read")) return -1;
    return real->read(real->user, fd, to, part_of(f, n));
}

static int64_t faulty_read_at(void *user, int fd, void *to, size_t n, int64_t at)
{
    faulty_io *f = user;
    if (goes_wrong(f, "read")) return -1;
    return real->read_at(real->user, fd, to, part_of(f, n), at);
}

static int64_t put(int fd, const void *from, size_t n, int64_t at)
{
    return at < 0 ? real->write(real->user, fd, from, n)
                  : real->write_at(real->user, fd, from, n, at);
}

/* at < 0: where the descriptor stands */
static int64_t write_any(faulty_io *f, int fd, const void *from, size_t n, int64_t at)
{
    bool was_crashed = f->is_crashed;
    if (goes_wrong(f, "write")) {
        if (f->is_crashed && !was_crashed) (void)put(fd, from, n / 2, at);
        errno = f->is_crashed ? EIO : f->code;
        return -1;
    }
    const int64_t done = put(fd, from, part_of(f, n), at);
    if (done < 0 || !f->trace) return done;
    io_call c = {.what = IO_WRITE, .bytes = (char *)(uintptr_t)from, .n = (size_t)done};
    c.at = at < 0 ? place_of(fd, done) : at;
    set_path(c.path, path_of(f, fd));
    record(f, &c);
    return done;
}

static int64_t faulty_write(void *user, int fd, const void *from, size_t n)
{
    return write_any(user, fd, from, n, -1);
}

static int64_t faulty_write_at(void *user, int fd, const void *from, size_t n, int64_t at)
{
    return write_any(user, fd, from, n, at);
}

static int faulty_sync(void *user, int fd)
{
    faulty_io *f = user;
    if (goes_wrong(f, "sync")) return -1;
    int result = real->sync(real->user, fd);
    if (result >= 0 && f->trace) record_path(f, IO_SYNC, path_of(f, fd), "");
    return result;
}

/* Always closes, as Linux does; a process that is gone has closed everything. */
static int faulty_close(void *user, int fd)
{
    faulty_io *f = user;
    bool is_wrong = goes_wrong(f, "close");
    int code = errno, result = real->close(real->user, fd);
    f->n_open--;
    errno = code;
    return is_wrong ? -1 : result;
}

static int faulty_rename(void *user, const char *from, const char *to)
{
    faulty_io *f = user;
    if (goes_wrong(f, "rename")) return -1;
    int result = real->rename(real->user, from, to);
    if (result >= 0) record_path(f, IO_RENAME, from, to);
    return result;
}

static int faulty_unlink(void *user, const char *path)
{
    faulty_io *f = user;
    if (goes_wrong(f, "unlink")) return -1;
    int result = real->unlink(real->user, path);
    if (result >= 0) record_path(f, IO_UNLINK, path, "");
    return result;
}

static int faulty_truncate(void *user, int fd, int64_t n)
{
    faulty_io *f = user;
    if (goes_wrong(f, "truncate")) return -1;
    int result = real->truncate(real->user, fd, n);
    if (result < 0 || !f->trace) return result;
    io_call c = {.what = IO_TRUNCATE, .at = n};
    set_path(c.path, path_of(f, fd));
    record(f, &c);
    return result;
}

static int64_t faulty_size(void *user, const char *path)
{
    return goes_wrong(user, "size") ? -1 : real->size(real->user, path);
}

static int faulty_make_folder(void *user, const char *path)
{
    faulty_io *f = user;
    if (goes_wrong(f, "make_folder")) return -1;
    int result = real->make_folder(real->user, path);
    if (result >= 0) record_path(f, IO_MAKE_FOLDER, path, "");
    return result;
}

static int faulty_list(void *user, const char *folder, ath_io_name_fn *each, void *context)
{
    return goes_wrong(user, "list") ? -1 : real->list(real->user, folder, each, context);
}

void faulty_io_install(faulty_io *f)
{
    f->io = (ath_io){.open = faulty_open,
                     .read = faulty_read,
                     .write = faulty_write,
                     .sync = faulty_sync,
                     .close = faulty_close,
                     .rename = faulty_rename,
                     .unlink = faulty_unlink,
                     .truncate = faulty_truncate,
                     .read_at = faulty_read_at,
                     .write_at = faulty_write_at,
                     .size = faulty_size,
                     .make_folder = faulty_make_folder,
                     .list = faulty_list,
                     .user = f};
    ath_io_replace(&f->io);
}
