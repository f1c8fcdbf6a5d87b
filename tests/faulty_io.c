#include "tests/faulty_io.h"

#include <errno.h>

static const ath_io *const real = &ath_io_machine;

/* True where this call goes wrong with errno set; counts it. */
static bool goes_wrong(faulty_io *f, const char *name)
{
    bool is_here = ++f->n_calls == f->fail_at;

    if (f->is_crashed) {
        errno = EIO;
        return true;
    }
    if (!is_here) return false;
    f->failed = name;
    f->is_crashed = f->kind == FAULT_CRASH;
    errno = f->kind == FAULT_CRASH ? EIO : f->code;
    return f->kind != FAULT_SHORT;
}

static int faulty_open(void *user, const char *path, int flags)
{
    faulty_io *f = user;
    if (goes_wrong(f, "open")) return -1;
    int fd = real->open(real->user, path, flags);
    f->n_open += fd >= 0;
    return fd;
}

static int64_t faulty_read(void *user, int fd, void *to, size_t n)
{
    faulty_io *f = user;
    if (goes_wrong(f, "read")) return -1;
    return real->read(real->user, fd, to, f->n_calls == f->fail_at ? (n + 1) / 2 : n);
}

static int64_t faulty_write(void *user, int fd, const void *from, size_t n)
{
    faulty_io *f = user;
    bool was_crashed = f->is_crashed;
    if (goes_wrong(f, "write")) {
        if (f->is_crashed && !was_crashed) (void)real->write(real->user, fd, from, n / 2);
        errno = f->is_crashed ? EIO : f->code;
        return -1;
    }
    return real->write(real->user, fd, from, f->n_calls == f->fail_at ? (n + 1) / 2 : n);
}

static int faulty_sync(void *user, int fd)
{
    return goes_wrong(user, "sync") ? -1 : real->sync(real->user, fd);
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
    return goes_wrong(user, "rename") ? -1 : real->rename(real->user, from, to);
}

static int faulty_unlink(void *user, const char *path)
{
    return goes_wrong(user, "unlink") ? -1 : real->unlink(real->user, path);
}

static int faulty_truncate(void *user, int fd, int64_t n)
{
    return goes_wrong(user, "truncate") ? -1 : real->truncate(real->user, fd, n);
}

void faulty_io_install(faulty_io *f)
{
    f->io = (ath_io){faulty_open,   faulty_read,     faulty_write,
                     faulty_sync,   faulty_close,    faulty_rename,
                     faulty_unlink, faulty_truncate, f};
    ath_io_replace(&f->io);
}
