#include "core/io/file.h"

#include "core/mem.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

ath_err ath_path_print(char out[ATH_PATH_BYTES], const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    const int n = vsnprintf(out, ATH_PATH_BYTES, fmt, args);
    va_end(args);
    ATH_NEED(0 <= n && n < ATH_PATH_BYTES, ATH_ELIMIT, "%.100s...: the path is too long", out);
    return ATH_OK;
}

/* What is left of the file from `fd`, into memory that grows by doubling. */
static ath_err read_rest(int fd, const char *path, size_t limit, char **out, size_t *n)
{
    enum { FIRST_BYTES = ATH_TORTURE ? 23 : 64 * 1024 };
    ath_err err = ATH_OK;
    char *bytes = NULL, *more = NULL;
    size_t room = FIRST_BYTES, used = 0;

    ATH_TRY_OUT(ATH_NEW(room, path, &bytes));
    for (;;) {
        int64_t got = ath_io_read(fd, bytes + used, room - 1 - used);
        ATH_TRY_OUT(ath_sys(got, path));
        if (got == 0) break;
        used += (size_t)got;
        if (used > limit) {
            err = ath_raise(ATH_ELIMIT, "%s: longer than %zu bytes", path, limit);
            goto out;
        }
        if (used < room - 1) continue;
        ATH_TRY_OUT(ATH_NEW(2 * room, path, &more));
        memcpy(more, bytes, used);
        ath_mem_free(&bytes);
        bytes = more;
        more = NULL;
        room *= 2;
    }
    *out = bytes;
    *n = used;
    bytes = NULL;
out:
    ath_mem_free(&bytes);
    return err;
}

ath_err ath_file_read(const char *path, size_t limit, char **out, size_t *n)
{
    int fd = ath_io_open(path, O_RDONLY);

    ATH_NEED(fd >= 0 || errno != ENOENT, ATH_EMISSING, "%s: there is no such file", path);
    ATH_TRY(ath_sys(fd, path));
    ath_err err = read_rest(fd, path, limit, out, n);
    ath_io_close(fd);
    return err;
}

static ath_err take_rest(int fd, const char *path, ath_take_fn *take, void *context)
{
    enum { PIECE_BYTES = ATH_TORTURE ? 23 : 64 * 1024 };
    ath_err err = ATH_OK;
    char *piece = NULL;

    ATH_TRY_OUT(ATH_NEW(PIECE_BYTES, path, &piece));
    for (;;) {
        int64_t got = ath_io_read(fd, piece, PIECE_BYTES);
        ATH_TRY_OUT(ath_sys(got, path));
        if (got == 0) break;
        ATH_TRY_OUT(take(context, piece, (size_t)got));
    }
out:
    ath_mem_free(&piece);
    return err;
}

ath_err ath_file_each(const char *path, ath_take_fn *take, void *context)
{
    int fd = ath_io_open(path, O_RDONLY);

    ATH_NEED(fd >= 0 || errno != ENOENT, ATH_EMISSING, "%s: there is no such file", path);
    ATH_TRY(ath_sys(fd, path));
    ath_err err = take_rest(fd, path, take, context);
    ath_io_close(fd);
    return err;
}

/* Bytes of the folder's part of a path, with its slash; 0 where it has none. */
static size_t folder_bytes(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash - path) + 1 : 0;
}

/* ".name.process.number.tmp" beside path. The name is cut so that the whole stays a legal one. */
static bool make_temp_name(ath_publish *p)
{
    static _Atomic uint32_t n_made;
    size_t folder = folder_bytes(p->path);
    int n = snprintf(p->temp, sizeof p->temp, "%.*s.%.200s.%lld.%u.tmp", (int)folder, p->path,
                     p->path + folder, (long long)getpid(), atomic_fetch_add(&n_made, 1u));

    return n > 0 && (size_t)n < sizeof p->temp;
}

ath_err ath_publish_begin(ath_publish *p, const char *path)
{
    int n = snprintf(p->path, sizeof p->path, "%s", path);

    p->fd = -1;
    p->temp[0] = 0;
    ATH_NEED(n > 0, ATH_EINVAL, "publish: the path is empty");
    ATH_NEED((size_t)n < sizeof p->path, ATH_ELIMIT, "%s: the path is too long", path);
    do { /* a name can be taken by what a process of the same number left */
        ATH_NEED(make_temp_name(p), ATH_ELIMIT, "%s: the path is too long", path);
        p->fd = ath_io_open(p->temp, O_RDWR | O_CREAT | O_EXCL);
    } while (p->fd < 0 && errno == EEXIST);
    ath_err err = ath_sys(p->fd, p->temp);
    if (err) p->temp[0] = 0;
    return err;
}

static ath_err write_all(int fd, const char *path, const void *bytes, size_t n)
{
    for (const char *from = bytes; n > 0;) {
        int64_t put = ath_io_write(fd, from, n);
        ATH_TRY(ath_sys(put, path));
        ATH_NEED(put > 0, ATH_EIO, "%s: nothing was written", path);
        from += put;
        n -= (size_t)put;
    }
    return ATH_OK;
}

ath_err ath_publish_put(ath_publish *p, const void *bytes, size_t n)
{
    return write_all(p->fd, p->temp, bytes, n);
}

/* Makes the folder's entries last. Some file systems do not know how, and say EINVAL. */
static ath_err sync_folder(const char *path)
{
    char folder[ATH_PATH_BYTES] = ".";
    size_t n = folder_bytes(path);

    if (n) snprintf(folder, sizeof folder, "%.*s", (int)n, path);
    int fd = ath_io_open(folder, O_RDONLY | O_DIRECTORY);
    ATH_TRY(ath_sys(fd, folder));
    int result = ath_io_sync(fd);
    ath_err err = result < 0 && errno == EINVAL ? ATH_OK : ath_sys(result, folder);
    ath_io_close(fd);
    return err;
}

ath_err ath_publish_commit(ath_publish *p)
{
    ath_err err = ATH_OK;

    ATH_TRY_OUT(ath_sys(ath_io_sync(p->fd), p->temp));
    int closed = ath_io_close(p->fd);
    p->fd = -1;
    ATH_TRY_OUT(ath_sys(closed, p->temp));
    ATH_TRY_OUT(ath_sys(ath_io_rename(p->temp, p->path), p->path));
    p->temp[0] = 0;
    ATH_TRY_OUT(sync_folder(p->path));
out:
    ath_publish_discard(p);
    return err;
}

void ath_publish_discard(ath_publish *p)
{
    if (!p->temp[0]) return;
    if (p->fd >= 0) ath_io_close(p->fd);
    ath_io_unlink(p->temp);
    p->fd = -1;
    p->temp[0] = 0;
}

ath_err ath_file_remove(const char *path)
{
    const int result = ath_io_unlink(path);

    return result < 0 && errno == ENOENT ? ATH_OK : ath_sys(result, path);
}

ath_err ath_file_size(const char *path, int64_t *bytes)
{
    const int64_t n = ath_io_size(path);

    ATH_NEED(n >= 0 || errno != ENOENT, ATH_EMISSING, "%s: there is no such file", path);
    ATH_TRY(ath_sys(n, path));
    *bytes = n;
    return ATH_OK;
}

ath_err ath_folder_make(const char *path)
{
    const int result = ath_io_make_folder(path);

    ATH_TRY(ath_sys(result < 0 && errno == EEXIST ? 0 : result, path));
    return sync_folder(path); /* also of one that a crash may have left unsynced */
}

ath_err ath_folders_make(const char *path)
{
    char part[ATH_PATH_BYTES];

    ATH_TRY(ath_path_print(part, "%s", path));
    for (char *at = *part ? strchr(part + 1, '/') : NULL; at; at = strchr(at + 1, '/')) {
        *at = 0;
        const int result = ath_io_make_folder(part);
        /* one that was there is not looked into: that may not be allowed */
        if (result < 0 && errno != EEXIST) return ath_sys(result, part);
        if (result >= 0) ATH_TRY(sync_folder(part));
        *at = '/';
    }
    return ath_folder_make(path);
}

typedef struct names {
    ath_name_fn *take;
    void *context;
    ath_err err;
} names;

static bool take_name(void *context, const char *name)
{
    names *n = context;

    n->err = n->take(n->context, name);
    return !n->err;
}

ath_err ath_folder_each(const char *path, ath_name_fn *take, void *context)
{
    names n = {take, context, ATH_OK};
    const int result = ath_io_list(path, take_name, &n);

    ATH_NEED(result >= 0 || errno != ENOENT, ATH_EMISSING, "%s: there is no such folder", path);
    ATH_TRY(ath_sys(result, path));
    return n.err;
}

ath_err ath_file_publish(const char *path, const void *bytes, size_t n)
{
    ath_publish p;
    ath_err err = ATH_OK;

    ATH_TRY(ath_publish_begin(&p, path));
    ATH_TRY_OUT(ath_publish_put(&p, bytes, n));
    ATH_TRY_OUT(ath_publish_commit(&p));
out:
    ath_publish_discard(&p);
    return err;
}

ath_err ath_append_open(ath_append *a, const char *path, int64_t n)
{
    ath_err err = ATH_OK;
    int n_path = snprintf(a->path, sizeof a->path, "%s", path);

    a->fd = -1;
    a->n = n;
    a->is_torn = false;
    ATH_NEED(n_path > 0 && (size_t)n_path < sizeof a->path, ATH_ELIMIT,
             "%s: the path is empty or too long", path);
    a->fd = ath_io_open(path, O_WRONLY | O_CREAT | O_APPEND);
    ATH_TRY_OUT(ath_sys(a->fd, path));
    ATH_TRY_OUT(ath_sys(ath_io_truncate(a->fd, n), path));
    ATH_TRY_OUT(sync_folder(path));
out:
    if (err) ath_append_close(a);
    return err;
}

ath_err ath_append_put(ath_append *a, const void *bytes, size_t n)
{
    ATH_NEED(a->fd >= 0 && !a->is_torn, ATH_EIO,
             "%s: an earlier write failed and could not be undone; nothing more is appended",
             a->path);
    ath_err err = write_all(a->fd, a->path, bytes, n);
    if (!err)
        a->n += (int64_t)n;
    else
        a->is_torn = ath_io_truncate(a->fd, a->n) < 0;
    return err;
}

ath_err ath_append_sync(ath_append *a)
{
    return ath_sys(ath_io_sync(a->fd), a->path);
}

void ath_append_close(ath_append *a)
{
    if (a->fd >= 0) ath_io_close(a->fd);
    a->fd = -1;
}
