#include "core/io/seam.h"

#include "core/pulse.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the machine's ---- */

static int machine_open(void *user, const char *path, int flags)
{
    (void)user;
    return open(path, flags | O_CLOEXEC, 0666);
}

static int64_t machine_read(void *user, int fd, void *to, size_t n)
{
    (void)user;
    return read(fd, to, n);
}

static int64_t machine_write(void *user, int fd, const void *from, size_t n)
{
    (void)user;
    return write(fd, from, n);
}

static int machine_sync(void *user, int fd)
{
    (void)user;
    return fsync(fd);
}

static int machine_close(void *user, int fd)
{
    (void)user;
    return close(fd);
}

static int machine_rename(void *user, const char *from, const char *to)
{
    (void)user;
    return rename(from, to);
}

static int machine_unlink(void *user, const char *path)
{
    (void)user;
    return unlink(path);
}

static int machine_truncate(void *user, int fd, int64_t n)
{
    (void)user;
    return ftruncate(fd, n);
}

static int64_t machine_read_at(void *user, int fd, void *to, size_t n, int64_t at)
{
    (void)user;
    return pread(fd, to, n, at);
}

static int64_t machine_write_at(void *user, int fd, const void *from, size_t n, int64_t at)
{
    (void)user;
    return pwrite(fd, from, n, at);
}

static int64_t machine_size(void *user, const char *path)
{
    struct stat s;

    (void)user;
    return stat(path, &s) < 0 ? -1 : s.st_size;
}

static int machine_make_folder(void *user, const char *path)
{
    (void)user;
    return mkdir(path, 0777);
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static int machine_list(void *user, const char *folder, ath_io_name_fn *each, void *context)
{
    DIR *dir = opendir(folder);
    bool goes_on = true;
    int code = 0;

    (void)user;
    if (!dir) return -1;
    while (goes_on) {
        errno = 0;
        const struct dirent *e = readdir(dir);
        code = e ? 0 : errno;
        goes_on = e && (is_dots(e->d_name) || each(context, e->d_name));
    }
    closedir(dir);
    errno = code;
    return code ? -1 : 0;
}

const ath_io ath_io_machine = {
    .open = machine_open,
    .read = machine_read,
    .write = machine_write,
    .sync = machine_sync,
    .close = machine_close,
    .rename = machine_rename,
    .unlink = machine_unlink,
    .truncate = machine_truncate,
    .read_at = machine_read_at,
    .write_at = machine_write_at,
    .size = machine_size,
    .make_folder = machine_make_folder,
    .list = machine_list,
};

/* ---- the seam ---- */

static const ath_io *_Atomic current = &ath_io_machine;

void ath_io_replace(const ath_io *io)
{
    atomic_store(&current, io ? io : &ath_io_machine);
}

/* Gives back what a call gives that was not interrupted. */
#define REPEAT(type, call, ...)                      \
    do {                                             \
        const ath_io *io = atomic_load(&current);    \
        type result;                                 \
        do result = io->call(io->user, __VA_ARGS__); \
        while (result < 0 && errno == EINTR);        \
        return result;                               \
    } while (0)

int ath_io_open(const char *path, int flags)
{
    REPEAT(int, open, path, flags);
}

int64_t ath_io_read(int fd, void *to, size_t n)
{
    REPEAT(int64_t, read, fd, to, n);
}

int64_t ath_io_write(int fd, const void *from, size_t n)
{
    REPEAT(int64_t, write, fd, from, n);
}

int64_t ath_io_read_at(int fd, void *to, size_t n, int64_t at)
{
    REPEAT(int64_t, read_at, fd, to, n, at);
}

int64_t ath_io_write_at(int fd, const void *from, size_t n, int64_t at)
{
    ath_pulse();
    REPEAT(int64_t, write_at, fd, from, n, at);
}

int ath_io_sync(int fd)
{
    ath_pulse();
    REPEAT(int, sync, fd);
}

/* An interrupted close has closed: repeating it could close another thread's file. */
int ath_io_close(int fd)
{
    const ath_io *io = atomic_load(&current);
    const int result = io->close(io->user, fd);

    return result < 0 && errno == EINTR ? 0 : result;
}

int ath_io_rename(const char *from, const char *to)
{
    REPEAT(int, rename, from, to);
}

int ath_io_unlink(const char *path)
{
    REPEAT(int, unlink, path);
}

int ath_io_truncate(int fd, int64_t n)
{
    REPEAT(int, truncate, fd, n);
}

int64_t ath_io_size(const char *path)
{
    REPEAT(int64_t, size, path);
}

int ath_io_make_folder(const char *path)
{
    REPEAT(int, make_folder, path);
}

typedef struct counted {
    ath_io_name_fn *each;
    void *context;
    int64_t n;
} counted;

static bool count(void *context, const char *name)
{
    counted *c = context;

    c->n++;
    return c->each(c->context, name);
}

/* Repeated only where no name was given yet. */
int ath_io_list(const char *folder, ath_io_name_fn *each, void *context)
{
    const ath_io *io = atomic_load(&current);
    counted c = {each, context, 0};
    int result;

    do result = io->list(io->user, folder, count, &c);
    while (result < 0 && errno == EINTR && c.n == 0);
    return result;
}
