#define _XOPEN_SOURCE 700 /* gethostname */

#include "worker/data/cache.h"

#include "core/io/file.h"
#include "core/io/h5.h"
#include "core/io/map.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/time.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A file holds "keys" and "digests" [n, 2] (low word, high word), and the array of each key as a
 * dataset "data/<the key in hexadecimal>". */

enum { NAME_BYTES = 64 };

typedef enum state { UNCHECKED, GOOD, BROKEN } state;

typedef struct entry {
    ath_hash key, digest;
    int32_t file;
    int64_t offset, n; /* bytes, floats */
    state state;
} entry;

typedef struct source {
    char *path;
    ath_map map;
} source;

struct ath_cache {
    source *files;
    entry *entries; /* by key */
    int64_t n_files, room_files, n_entries, room_entries;
};

static void name_of(ath_hash key, char out[NAME_BYTES])
{
    char text[ATH_HASH_TEXT];

    snprintf(out, NAME_BYTES, "data/%s", ath_hash_print(key, text));
}

/* ---- reading an index ---- */

typedef struct index {
    int64_t n;
    ath_hash *keys, *digests;
} index;

static void release_index(index *x)
{
    ath_mem_free(&x->keys);
    ath_mem_free(&x->digests);
}

static ath_err read_hashes(ath_h5 *h, const char *name, int64_t n, ath_hash **out)
{
    _Static_assert(sizeof(ath_hash) == 16, "two words");
    ATH_TRY(ATH_NEW(n, "index of a cache", out));
    return ath_h5_read(h, name, ATH_H5_U64, *out, (size_t)n * sizeof **out);
}

static ath_err read_index(ath_h5 *h, const char *path, index *x)
{
    ath_h5_array shape;

    ATH_TRY(ath_h5_shape(h, "keys", &shape));
    ATH_NEED(shape.type == ATH_H5_U64 && shape.n_dim == 2 && shape.dim[1] == 2, ATH_EFORMAT,
             "%s: \"keys\" is no list of hashes; delete the file, it will be made again", path);
    x->n = shape.dim[0];
    ATH_TRY(read_hashes(h, "keys", x->n, &x->keys));
    return read_hashes(h, "digests", x->n, &x->digests);
}

static ath_err put_entry(ath_cache *c, ath_h5 *h, const index *x, int64_t i)
{
    entry e = {.key = x->keys[i], .digest = x->digests[i], .file = (int32_t)c->n_files};
    ath_h5_array shape;
    char name[NAME_BYTES];
    int64_t bytes = 0;

    name_of(e.key, name);
    ATH_TRY(ath_h5_shape(h, name, &shape));
    ATH_TRY(ath_h5_place(h, name, &e.offset, &bytes));
    ATH_NEED(shape.type == ATH_H5_F32 && e.offset % (int64_t)sizeof(float) == 0, ATH_EFORMAT,
             "\"%s\" holds no floats", name);
    e.n = bytes / (int64_t)sizeof(float);
    ATH_TRY(ath_mem_grow(&c->entries, c->n_entries, &c->room_entries, sizeof e, "cache"));
    c->entries[c->n_entries++] = e;
    return ATH_OK;
}

/* A file is in with all its entries or not at all. */
static ath_err put_file(ath_cache *c, const char *path)
{
    const int64_t n_before = c->n_entries;
    ath_h5 *h = NULL;
    index x = {0};
    source s = {0};
    ath_err err = ATH_OK;

    ATH_TRY_OUT(ath_h5_open(path, &h));
    ATH_TRY_OUT(read_index(h, path, &x));
    for (int64_t i = 0; i < x.n; i++) ATH_TRY_OUT(put_entry(c, h, &x, i));
    ATH_TRY_OUT(ath_mem_grow(&c->files, c->n_files, &c->room_files, sizeof s, "cache"));
    ATH_TRY_OUT(ath_map_open(path, &s.map));
    for (int64_t i = n_before; i < c->n_entries; i++)
        if (c->entries[i].offset + c->entries[i].n * 4 > (int64_t)s.map.n) {
            err = ath_raise(ATH_EFORMAT, "%s: it was cut while it was read", path);
            goto out;
        }
    ATH_TRY_OUT(ATH_NEW(strlen(path) + 1, "cache", &s.path));
    memcpy(s.path, path, strlen(path) + 1);
    c->files[c->n_files++] = s;
    s = (source){0};
out:
    if (err) c->n_entries = n_before;
    ath_map_close(&s.map);
    release_index(&x);
    ath_h5_close(&h);
    return err;
}

static bool is_ours(const char *name, const char *kind)
{
    const size_t n = strlen(name), n_kind = strlen(kind);

    return n > n_kind + 4 && memcmp(name, kind, n_kind) == 0 && name[n_kind] == '-' &&
           strcmp(name + n - 3, ".h5") == 0;
}

static ath_err read_folder(ath_cache *c, DIR *dir, const char *folder, const char *kind)
{
    char path[ATH_PATH_BYTES];

    for (const struct dirent *d; (d = readdir(dir));) {
        if (!is_ours(d->d_name, kind)) continue;
        ATH_TRY(ath_path_print(path, "%s/%s", folder, d->d_name));
        const ath_err err = put_file(c, path);
        if (err == ATH_ENOMEM || err == ATH_EFROZEN) return err;
        if (err)
            ath_log(ATH_LOG_WARN, "cache", ATH_KV("unreadable", path),
                    ATH_KV("why", ath_err_text()));
    }
    ath_err_clear();
    return ATH_OK;
}

static int compare(const void *a, const void *b)
{
    const entry *x = a, *y = b;

    if (x->key.hi != y->key.hi) return x->key.hi < y->key.hi ? -1 : 1;
    if (x->key.lo != y->key.lo) return x->key.lo < y->key.lo ? -1 : 1;
    return 0;
}

ath_err ath_cache_open(const char *folder, const char *kind, ath_cache **out)
{
    ath_cache *c = NULL;
    DIR *dir = opendir(folder);
    ath_err err = ATH_OK;

    if (!dir && errno != ENOENT) ATH_TRY_OUT(ath_sys(-1, folder));
    ATH_TRY_OUT(ATH_NEW(1, "cache", &c));
    if (dir) ATH_TRY_OUT(read_folder(c, dir, folder, kind));
    if (c->n_entries) qsort(c->entries, (size_t)c->n_entries, sizeof *c->entries, compare);
    *out = c;
    c = NULL;
out:
    if (dir) closedir(dir);
    ath_cache_close(&c);
    return err;
}

void ath_cache_close(ath_cache **cache)
{
    ath_cache *c = *cache;

    if (!c) return;
    for (int64_t i = 0; i < c->n_files; i++) {
        ath_map_close(&c->files[i].map);
        ath_mem_free(&c->files[i].path);
    }
    ath_mem_free(&c->files);
    ath_mem_free(&c->entries);
    ath_mem_free(cache);
}

/* ---- finding ---- */

/* The first entry of the key, or NULL; others of the same key follow it. */
static entry *find_first(const ath_cache *c, ath_hash key)
{
    const entry wanted = {.key = key};
    int64_t low = 0, high = c->n_entries;

    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (compare(&c->entries[middle], &wanted) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < c->n_entries && ath_hash_is_equal(c->entries[low].key, key) ? &c->entries[low]
                                                                             : NULL;
}

static bool goes_on(const ath_cache *c, const entry *e, ath_hash key)
{
    return e < c->entries + c->n_entries && ath_hash_is_equal(e->key, key);
}

bool ath_cache_has(const ath_cache *cache, ath_hash key)
{
    const entry *e = find_first(cache, key);

    for (; e && goes_on(cache, e, key); e++)
        if (e->state != BROKEN) return true;
    return false;
}

static ath_err check(const ath_cache *c, entry *e, int64_t n)
{
    const source *s = &c->files[e->file];
    char name[NAME_BYTES];

    name_of(e->key, name);
    ATH_NEED(e->n == n, ATH_EFORMAT, "%s: \"%s\" has %lld numbers, wanted %lld", s->path, name,
             (long long)e->n, (long long)n);
    if (e->state == GOOD) return ATH_OK;
    e->state = BROKEN;
    const ath_hash found = ath_hash_of(s->map.bytes + e->offset, (size_t)n * sizeof(float));
    ATH_NEED(ath_hash_is_equal(found, e->digest), ATH_EFORMAT,
             "%s: \"%s\" is not what was written; the disk or a copy changed it, delete the file",
             s->path, name);
    e->state = GOOD;
    return ATH_OK;
}

ath_err ath_cache_find(ath_cache *cache, ath_hash key, int64_t n, const float **out)
{
    entry *e = find_first(cache, key);
    ath_err err = ATH_OK;

    ATH_NEED(e, ATH_EMISSING, "cache: there is no such key in it");
    for (; goes_on(cache, e, key); e++) {
        err = check(cache, e, n);
        if (err) continue;
        *out = (const float *)(const void *)(cache->files[e->file].map.bytes + e->offset);
        return ATH_OK;
    }
    return err;
}

/* ---- writing ---- */

struct ath_cache_writer {
    char *folder, *kind;
    ath_h5 *h; /* NULL: nothing was put yet */
    ath_hash *keys, *digests;
    int64_t n, room_keys, room_digests;
};

static ath_err copy(const char *text, char **out)
{
    ATH_TRY(ATH_NEW(strlen(text) + 1, "cache", out));
    memcpy(*out, text, strlen(text) + 1);
    return ATH_OK;
}

ath_err ath_cache_write(const char *folder, const char *kind, ath_cache_writer **out)
{
    ath_cache_writer *w = NULL;
    ath_err err = ATH_OK;

    ATH_TRY_OUT(ATH_NEW(1, "cache", &w));
    ATH_TRY_OUT(copy(folder, &w->folder));
    ATH_TRY_OUT(copy(kind, &w->kind));
    *out = w;
    w = NULL;
out:
    ath_cache_discard(&w);
    return err;
}

/* A name that no other writer takes, on this machine or another. */
static ath_err begin_file(ath_cache_writer *w)
{
    struct {
        int64_t wall, process;
        const void *writer;
        char host[256];
    } who;
    char path[ATH_PATH_BYTES], text[ATH_HASH_TEXT];

    memset(&who, 0, sizeof who);
    who.wall = ath_time_wall_ns();
    who.process = getpid();
    who.writer = w;
    gethostname(who.host, sizeof who.host - 1);
    ATH_TRY(ath_folders_make(w->folder));
    ATH_TRY(ath_path_print(path, "%s/%s-%.16s.h5", w->folder, w->kind,
                           ath_hash_print(ath_hash_of(&who, sizeof who), text)));
    return ath_h5_create(path, &w->h);
}

ath_err ath_cache_put(ath_cache_writer *w, ath_hash key, int64_t n, const float *data)
{
    const ath_h5_array array = {ATH_H5_F32, 1, {n}};
    char name[NAME_BYTES];

    if (!w->h) ATH_TRY(begin_file(w));
    ATH_TRY(ath_mem_grow(&w->keys, w->n, &w->room_keys, sizeof key, "cache"));
    ATH_TRY(ath_mem_grow(&w->digests, w->n, &w->room_digests, sizeof key, "cache"));
    name_of(key, name);
    ATH_TRY(ath_h5_write(w->h, name, &array, data));
    w->keys[w->n] = key;
    w->digests[w->n++] = ath_hash_of(data, (size_t)n * sizeof *data);
    return ATH_OK;
}

ath_err ath_cache_publish(ath_cache_writer **writer)
{
    ath_cache_writer *w = *writer;
    const ath_h5_array array = {ATH_H5_U64, 2, {w->n, 2}};
    ath_err err = ATH_OK;

    if (!w->h) goto out;
    ATH_TRY_OUT(ath_h5_write(w->h, "keys", &array, w->keys));
    ATH_TRY_OUT(ath_h5_write(w->h, "digests", &array, w->digests));
    ATH_TRY_OUT(ath_h5_commit(&w->h));
out:
    ath_cache_discard(writer);
    return err;
}

void ath_cache_discard(ath_cache_writer **writer)
{
    ath_cache_writer *w = *writer;

    if (!w) return;
    ath_h5_close(&w->h);
    ath_mem_free(&w->folder);
    ath_mem_free(&w->kind);
    ath_mem_free(&w->keys);
    ath_mem_free(&w->digests);
    ath_mem_free(writer);
}
