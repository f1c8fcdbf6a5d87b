#include "worker/run/manifest.h"

#include "core/io/file.h"
#include "core/io/map.h"
#include "core/mem.h"
#include "core/str.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { LIMIT = 1 << 26 };
static const char kind[] = "athanor checkpoint ", head[] = "athanor checkpoint 1\n",
                  last[] = "end ";
#define GO_ON "; an earlier checkpoint is used"

ath_err ath_manifest_check_version(const char *path, int64_t version)
{
    ATH_NEED(version <= ATH_CHECKPOINT_VERSION, ATH_ENOTSUP,
             "%s: a checkpoint of version %" PRId64 ", but this program knows up to %d; go on with "
             "the program that wrote it, or a later one",
             path, version, ATH_CHECKPOINT_VERSION);
    return ATH_OK;
}

ath_err ath_manifest_create(ath_manifest **out)
{
    return ATH_NEW(1, "manifest", out);
}

void ath_manifest_destroy(ath_manifest **manifest)
{
    ath_manifest *m = *manifest;

    if (!m) return;
    ath_mem_free(&m->tensor);
    ath_arena_release(&m->arena);
    ath_mem_free(manifest);
}

ath_err ath_manifest_add(ath_manifest *m, const char *name, ath_manifest_tensor **out)
{
    ATH_TRY(ath_mem_grow(&m->tensor, m->n_tensors, &m->room, sizeof *m->tensor, "manifest"));
    *out = &m->tensor[m->n_tensors];
    **out = (ath_manifest_tensor){0};
    ATH_TRY(ath_arena_print(&m->arena, &(*out)->name, "%s", name));
    m->n_tensors++;
    return ATH_OK;
}

const ath_manifest_tensor *ath_manifest_find(const ath_manifest *m, const char *name)
{
    for (int64_t i = 0; i < m->n_tensors; i++)
        if (strcmp(m->tensor[i].name, name) == 0) return &m->tensor[i];
    return NULL;
}

/* ---- the whole file ---- */

typedef struct measure {
    ath_hasher *hasher;
    int64_t bytes;
} measure;

static ath_err take(void *context, const void *bytes, size_t n)
{
    measure *m = context;

    ath_hasher_put(m->hasher, bytes, n);
    m->bytes += (int64_t)n;
    return ATH_OK;
}

ath_err ath_manifest_measure(ath_manifest *m, const char *path)
{
    measure now = {0};

    ATH_TRY(ath_hasher_create(&now.hasher));
    const ath_err err = ath_file_each(path, take, &now);
    m->digest = ath_hasher_get(now.hasher);
    m->bytes = now.bytes;
    ath_hasher_destroy(&now.hasher);
    return err;
}

ath_err ath_manifest_check_tensors(const ath_manifest *m, const char *path)
{
    ath_map map = {0};
    ath_err err = ATH_OK;

    ATH_TRY(ath_map_open(path, &map));
    for (int64_t i = 0; i < m->n_tensors && !err; i++) {
        const ath_manifest_tensor *t = &m->tensor[i];
        const bool is_inside = t->offset >= 0 && t->bytes >= 0 && t->offset <= (int64_t)map.n &&
                               t->bytes <= (int64_t)map.n - t->offset;
        if (!is_inside ||
            !ath_hash_is_equal(ath_hash_of(map.bytes + t->offset, (size_t)t->bytes), t->digest))
            err = ath_raise(ATH_EFORMAT, "%s: tensor %s is damaged%s", path, t->name, GO_ON);
    }
    ath_map_close(&map);
    return err;
}

ath_err ath_manifest_check(const ath_manifest *m, const char *path)
{
    ath_manifest now = {0};
    ath_err err = ath_manifest_measure(&now, path);

    if (err == ATH_EMISSING)
        return ath_raise(ATH_EFORMAT, "%s: the file is missing%s", path, GO_ON);
    ATH_TRY(err);
    ATH_NEED(now.bytes == m->bytes, ATH_EFORMAT,
             "%s: the file has %" PRId64 " bytes, wanted %" PRId64 "%s", path, now.bytes, m->bytes,
             GO_ON);
    if (ath_hash_is_equal(now.digest, m->digest)) return ATH_OK;
    ATH_TRY(ath_manifest_check_tensors(m, path));
    return ath_raise(ATH_EFORMAT, "%s: the file is damaged between its tensors%s", path, GO_ON);
}

/* ---- as text ---- */

ath_err ath_manifest_publish(const ath_manifest *m, const char *path)
{
    char hash[ATH_HASH_TEXT];
    ath_str s = {0};

    ath_str_print(&s, "%spinned %" PRId64 "\n%s %" PRId64 " %s\n", head, m->is_pinned,
                  m->is_other ? "other" : "file", m->bytes, ath_hash_print(m->digest, hash));
    for (int64_t i = 0; i < m->n_tensors; i++) {
        const ath_manifest_tensor *t = &m->tensor[i];
        ath_str_print(&s, "tensor %" PRId64 " %" PRId64 " %s %s\n", t->offset, t->bytes,
                      ath_hash_print(t->digest, hash), t->name);
    }
    ath_err err = ath_str_check(&s);
    if (!err) {
        const ath_hash all = ath_hash_of(ath_str_text(&s), s.n);
        ath_str_print(&s, "%s%s\n", last, ath_hash_print(all, hash));
        err = ath_str_check(&s);
    }
    if (!err) err = ath_file_publish(path, ath_str_text(&s), s.n);
    ath_str_release(&s);
    return err;
}

/* Takes a word or number off the front of what is left of a line. */
static bool take_text(char **at, const char *text)
{
    const size_t n = strlen(text);

    if (strncmp(*at, text, n) != 0) return false;
    *at += n;
    return true;
}

static bool take_number(char **at, char ends_with, int64_t *out)
{
    char *end = NULL;

    *out = strtoll(*at, &end, 10);
    const bool is_number = end != *at && *end == ends_with;
    *at = is_number ? end + 1 : *at;
    return is_number;
}

static bool take_hash(char **at, char ends_with, ath_hash *out)
{
    if (!ath_hash_parse(*at, out) || (*at)[ATH_HASH_TEXT - 1] != ends_with) return false;
    *at += ATH_HASH_TEXT;
    return true;
}

static bool take_tensor(char **at, ath_manifest *m)
{
    ath_manifest_tensor t = {0}, *to = NULL;

    if (!take_text(at, "tensor ") || !take_number(at, ' ', &t.offset) ||
        !take_number(at, ' ', &t.bytes) || !take_hash(at, ' ', &t.digest))
        return false;
    char *end = strchr(*at, '\n');
    if (!end) return false;
    *end = 0;
    if (ath_manifest_add(m, *at, &to)) return false;
    t.name = to->name;
    *to = t;
    *at = end + 1;
    return true;
}

/* The digest is right, so this is what was written; still nothing is believed. */
static bool parse(char *text, const char *end, ath_manifest *m)
{
    char *at = text;

    if (!take_text(&at, head) || !take_text(&at, "pinned ") ||
        !take_number(&at, '\n', &m->is_pinned))
        return false;
    m->is_other = take_text(&at, "other ");
    if ((!m->is_other && !take_text(&at, "file ")) || !take_number(&at, ' ', &m->bytes) ||
        !take_hash(&at, '\n', &m->digest))
        return false;
    while (at < end)
        if (!take_tensor(&at, m)) return false;
    return at == end;
}

/* Where the last line begins, if it is whole and right. */
static char *find_end(char *text, size_t n)
{
    const size_t n_last = sizeof last - 1 + ATH_HASH_TEXT; /* with its end of line */
    ath_hash said = {0};

    if (n < n_last || memchr(text, 0, n)) return NULL;
    char *end = text + (n - n_last);
    if (strncmp(end, last, sizeof last - 1) != 0 || text[n - 1] != '\n' ||
        !ath_hash_parse(end + sizeof last - 1, &said))
        return NULL;
    return ath_hash_is_equal(said, ath_hash_of(text, n - n_last)) ? end : NULL;
}

/* The digest is right; first and last line are the same in all versions. */
static ath_err check_version(const char *path, char *text)
{
    char *at = text;
    int64_t version = 0;

    if (!take_text(&at, kind) || !take_number(&at, '\n', &version)) return ATH_OK;
    return ath_manifest_check_version(path, version);
}

ath_err ath_manifest_read(const char *path, ath_manifest **out)
{
    ath_manifest *m = NULL;
    char *text = NULL;
    size_t n = 0;
    ath_err err = ATH_OK;

    ATH_TRY_OUT(ath_file_read(path, LIMIT, &text, &n));
    ATH_TRY_OUT(ath_manifest_create(&m));
    char *end = find_end(text, n);
    if (end) ATH_TRY_OUT(check_version(path, text));
    if (!end || !parse(text, end, m)) {
        err = ath_raise(ATH_EFORMAT, "%s: the manifest is damaged%s", path, GO_ON);
        goto out;
    }
    *out = m;
    m = NULL;
out:
    ath_mem_free(&text);
    ath_manifest_destroy(&m);
    return err;
}
