#include "tests/fault/crash.h"

#include "core/mem.h"
#include "core/rng.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAMES_MAX = 64, FILE_BYTES_MAX = 1 << 18, FOLDER = -1, NONE = -2 };

/* ---- names ---- */

typedef struct names {
    int n;
    struct {
        char path[IO_PATH_BYTES];
        int32_t file; /* FOLDER: it is one */
    } at[NAMES_MAX];
} names;

static int find(const names *n, const char *path)
{
    for (int i = 0; i < n->n; i++)
        if (strcmp(n->at[i].path, path) == 0) return i;
    return -1;
}

static int32_t file_of(const names *n, const char *path)
{
    const int i = find(n, path);

    return i < 0 ? NONE : n->at[i].file;
}

static void set(names *n, const char *path, int32_t file)
{
    int i = find(n, path);

    if (i < 0) {
        i = n->n++;
        ATH_ASSERT(i < NAMES_MAX);
        snprintf(n->at[i].path, IO_PATH_BYTES, "%s", path);
    }
    n->at[i].file = file;
}

static void drop(names *n, const char *path)
{
    const int i = find(n, path);

    if (i >= 0) n->at[i] = n->at[--n->n];
}

/* ---- what each call is ---- */

/* Without what only tells two publications apart, "/run/.step-00000120.h5.77.1.tmp" is "h5". */
static const char *kind_of(const char *path)
{
    static const char *const kinds[] = {"manifest", "h5", "curve.log", "checkpoints"};

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const char *name = strrchr(path, '/');
        if (strstr(name ? name : path, kinds[i])) return kinds[i];
    }
    return "others";
}

static void set_folder(crash_call *c, const char *path)
{
    const char *slash = strrchr(path, '/');

    snprintf(c->folder, sizeof c->folder, "%.*s", (int)(slash - path), path);
}

/* The last name that was changed in the folder of a sync. */
static const char *last_name(const crash *c, int64_t i)
{
    for (int64_t k = i - 1; k >= 0; k--) {
        const io_call *io = &c->trace->call[k];
        if (c->call[k].is_name && strcmp(c->call[k].folder, c->call[i].folder) == 0)
            return io->what == IO_RENAME ? io->to : io->path;
    }
    return "";
}

static void take_sync(crash *c, int64_t i, const names *now)
{
    const io_call *io = &c->trace->call[i];
    crash_call *call = &c->call[i];
    char path[IO_PATH_BYTES];
    const size_t n = (size_t)snprintf(path, sizeof path, "%s", io->path);

    if (n && path[n - 1] == '/') path[n - 1] = 0; /* as folders are opened */
    call->file = file_of(now, path);
    if (call->file >= 0) {
        snprintf(call->label, sizeof call->label, "%s", kind_of(path));
        return;
    }
    snprintf(call->folder, sizeof call->folder, "%s", path);
    snprintf(call->label, sizeof call->label, "names of %s", kind_of(last_name(c, i)));
}

static void take_call(crash *c, int64_t i, names *now, int32_t *n_files)
{
    const io_call *io = &c->trace->call[i];
    crash_call *call = &c->call[i];

    *call = (crash_call){.file = NONE, .lasts_from = INT64_MAX};
    switch (io->what) {
    case IO_CREATE:
        if (find(now, io->path) >= 0) return;
        call->file = (*n_files)++;
        set(now, io->path, call->file);
        break;
    case IO_MAKE_FOLDER:
        call->file = FOLDER;
        set(now, io->path, FOLDER);
        break;
    case IO_RENAME:
        call->file = file_of(now, io->path);
        drop(now, io->path);
        set(now, io->to, call->file);
        break;
    case IO_UNLINK:
        drop(now, io->path);
        break;
    case IO_WRITE:
    case IO_TRUNCATE:
        call->file = file_of(now, io->path);
        return;
    case IO_SYNC:
        take_sync(c, i, now);
        return;
    case IO_MARK:
        return;
    }
    call->is_name = true;
    set_folder(call, io->path);
}

static bool is_made_last(const crash *c, int64_t i, int64_t by)
{
    const crash_call *call = &c->call[i], *sync = &c->call[by];
    const io_what what = c->trace->call[i].what;

    if (call->is_name && strcmp(call->folder, sync->folder) == 0) return true;
    return (what == IO_WRITE || what == IO_TRUNCATE) && sync->file >= 0 && call->file == sync->file;
}

ath_err crash_init(crash *c, const io_trace *trace, const char *root, const char *without)
{
    names now = {0};
    int32_t n_files = 0;

    *c = (crash){.trace = trace, .root = root, .without = without};
    ATH_TRY(ATH_NEW(trace->n, "crash", &c->call));
    for (int64_t i = 0; i < trace->n; i++) take_call(c, i, &now, &n_files);
    for (int64_t s = 0; s < trace->n; s++) {
        if (trace->call[s].what != IO_SYNC) continue;
        if (without && strcmp(c->call[s].label, without) == 0) continue;
        for (int64_t i = 0; i < s; i++)
            if (c->call[i].lasts_from == INT64_MAX && is_made_last(c, i, s))
                c->call[i].lasts_from = s;
    }
    return ATH_OK;
}

void crash_release(crash *c)
{
    ath_mem_free(&c->call);
}

/* ---- a state ---- */

typedef struct cut {
    const crash *c;
    int64_t n, how;
    int64_t last, last_name; /* the last write and name that do not last; -1: none */
} cut;

static uint32_t chance(const cut *x, int64_t i, int64_t block)
{
    const uint32_t key[2] = {(uint32_t)x->c->seed, (uint32_t)(x->c->seed >> 32)};
    uint32_t word[4] = {(uint32_t)x->n, (uint32_t)x->how, (uint32_t)i, (uint32_t)block};

    ath_philox(word, key, word);
    return word[0];
}

static bool lasts(const cut *x, int64_t i)
{
    return x->c->call[i].lasts_from < x->n;
}

/* Where blocks of the last write lack, and all else is there. */
static bool is_torn_state(const cut *x)
{
    return x->how == CRASH_TORN_512 || x->how == CRASH_TORN_4096;
}

/* Of some states much is there, of others little. */
static bool is_likely(const cut *x, uint32_t word)
{
    return word % 8 < 1 + chance(x, -1, -1) % 7;
}

/* Whether call i is there after the cut, in part at least. */
static bool is_there(const cut *x, int64_t i)
{
    const bool is_name = x->c->call[i].is_name;

    if (lasts(x, i) || x->how == CRASH_ALL || is_torn_state(x)) return true;
    if (x->how == CRASH_LATE) return !is_name || i == x->last_name;
    if (x->how < CRASH_RANDOM) return x->how == (is_name ? CRASH_NAMES : CRASH_DATA);
    return x->c->trace->call[i].what == IO_WRITE || is_likely(x, chance(x, i, -1));
}

/* Whether that block of a write is there; blocks are the file's. A block goes to the disk as a whole, as
 * it was at some time: with it all earlier writes to it. */
static bool has_block(const cut *x, int64_t i, int64_t block)
{
    if (x->how < CRASH_RANDOM) return i != x->last || block % 2 == 0;
    const int32_t file = x->c->call[i].file;
    const uint32_t word = chance(x, -2 - file, block);
    if (is_likely(x, word)) return true;
    return word >> 31 && i < chance(x, -2 - file, -2 - block) % x->n;
}

static int64_t block_bytes(const cut *x)
{
    if (x->how < CRASH_RANDOM) return x->how == CRASH_TORN_4096 ? 4096 : 512;
    return x->how % 2 ? 4096 : 512;
}

typedef struct content {
    char byte[FILE_BYTES_MAX];
    int64_t n;
} content;

static void write_at(content *f, int64_t at, const char *bytes, int64_t n)
{
    ATH_ASSERT(at + n <= FILE_BYTES_MAX);
    memcpy(f->byte + at, bytes, (size_t)n);
    if (at + n > f->n) f->n = at + n;
}

static void cut_to(content *f, int64_t n)
{
    ATH_ASSERT(n <= FILE_BYTES_MAX);
    if (n < f->n) memset(f->byte + n, 0, (size_t)(f->n - n));
    f->n = n;
}

static void write_torn(const cut *x, int64_t i, content *f)
{
    const io_call *io = &x->c->trace->call[i];
    const int64_t size = block_bytes(x);
    const int64_t end = io->at + (int64_t)io->n;

    for (int64_t at = io->at; at < end;) {
        const int64_t block = at / size, next = (block + 1) * size < end ? (block + 1) * size : end;
        if (has_block(x, i, block)) write_at(f, at, io->bytes + (at - io->at), next - at);
        at = next;
    }
}

static void fill(const cut *x, int32_t file, content *f)
{
    memset(f->byte, 0, (size_t)f->n);
    f->n = 0;
    for (int64_t i = 0; i < x->n; i++) {
        const io_call *io = &x->c->trace->call[i];
        if (x->c->call[i].file != file || !is_there(x, i)) continue;
        if (io->what == IO_TRUNCATE) cut_to(f, io->at);
        if (io->what != IO_WRITE) continue;
        if (!lasts(x, i) && x->how >= CRASH_TORN_512)
            write_torn(x, i, f);
        else
            write_at(f, io->at, io->bytes, (int64_t)io->n);
    }
}

static void find_names(const cut *x, names *now)
{
    for (int64_t i = 0; i < x->n; i++) {
        const io_call *io = &x->c->trace->call[i];
        if (!x->c->call[i].is_name || !is_there(x, i)) continue;
        if (io->what == IO_RENAME || io->what == IO_UNLINK) drop(now, io->path);
        if (io->what == IO_RENAME) set(now, io->to, x->c->call[i].file);
        if (io->what == IO_CREATE || io->what == IO_MAKE_FOLDER)
            set(now, io->path, x->c->call[i].file);
    }
}

/* ---- on the disk ---- */

static ath_err put(const char *path, const content *f)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

    if (fd < 0 && errno == ENOENT) return ATH_OK; /* lost with its folder */
    ATH_TRY(ath_sys(fd, path));
    const int64_t n = write(fd, f->byte, (size_t)f->n);
    close(fd);
    ATH_NEED(n == f->n, ATH_EIO, "%s: cannot be written", path);
    return ATH_OK;
}

static ath_err put_names(const cut *x, const names *now, const char *to, ath_hasher *hasher)
{
    static content f;
    char path[2 * IO_PATH_BYTES];

    for (int folders = 1; folders >= 0; folders--) {
        for (int i = 0; i < now->n; i++) {
            const char *name = now->at[i].path + strlen(x->c->root);
            const int32_t file = now->at[i].file;
            if ((file == FOLDER) != (folders == 1)) continue;
            snprintf(path, sizeof path, "%s%s", to ? to : "", name);
            ath_hasher_put(hasher, name, strlen(name) + 1);
            if (!folders) fill(x, file, &f);
            if (!folders) ath_hasher_put(hasher, f.byte, (size_t)f.n);
            if (to) ATH_TRY(folders ? ath_sys(mkdir(path, 0777), path) : put(path, &f));
        }
    }
    return ATH_OK;
}

ath_err crash_build(const crash *c, int64_t n, int64_t how, const char *to, ath_hash *hash)
{
    cut x = {.c = c, .n = n, .how = how, .last = -1, .last_name = -1};
    ath_hasher *hasher = NULL;
    names now = {0};

    for (int64_t i = 0; i < n; i++) {
        if (lasts(&x, i)) continue;
        if (c->trace->call[i].what == IO_WRITE) x.last = i;
        if (c->call[i].is_name) x.last_name = i;
    }
    find_names(&x, &now);
    ATH_TRY(ath_hasher_create(&hasher));
    const ath_err err = put_names(&x, &now, to, hasher);
    *hash = ath_hasher_get(hasher);
    ath_hasher_destroy(&hasher);
    return err;
}
