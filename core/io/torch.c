#include "core/io/torch.h"

#include "core/io/safetensors_private.h"
#include "core/io/torch_private.h"
#include "core/mem.h"
#include "core/utf8.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A pickle is small, but what it describes may be as large as it likes: these bound it. */
enum { DEPTH_MAX = 32, NAME_MAX_BYTES = 1024, VISITS_MAX = 1 << 20, AXES_MAX = 64 };
enum { COPY_FREE = 1 << 24 }; /* bytes of copies that any file may ask for */

typedef struct level {
    int32_t cell;  /* of the next key; -1: done */
    size_t n_name; /* of the prefix that the keys get */
} level;

typedef struct reader {
    const char *file;
    ath_arena arena; /* what the tensors live in */
    ath_pickle pickle;
    size_t n_copied, copy_max;
    ath_st_tensor *tensor;
    int64_t n_tensors, room_tensors, n_visits;
    int n_levels;
    level level[DEPTH_MAX];
    char name[NAME_MAX_BYTES];
} reader;

#define NEED_OF(cond, r, fmt, ...) \
    ATH_NEED(cond, ATH_EFORMAT, "%s: \"%.120s\": " fmt, (r)->file, (r)->name, __VA_ARGS__)

/* One tensor: a view of a storage. */

typedef struct view {
    const uint8_t *bytes; /* of the storage */
    int64_t n;            /* elements of the storage */
    int64_t offset, count, stride[AXES_MAX];
    size_t element; /* bytes */
    bool is_dense;
} view;

static const ath_pickle_value *value_of(const reader *r, int32_t i)
{
    return &r->pickle.value[i];
}

static ath_err read_numbers(const reader *r, int32_t tuple, const char *what, int64_t *out)
{
    int32_t cell = value_of(r, tuple)->as.items.first;

    for (int i = 0; cell >= 0; i++, cell = r->pickle.cell[cell].next) {
        const ath_pickle_value *v = value_of(r, r->pickle.cell[cell].value);
        NEED_OF(v->kind == ATH_PICKLE_INT && v->as.number >= 0, r,
                "%s[%d] is not a whole number of 0 or more", what, i);
        out[i] = v->as.number;
    }
    return ATH_OK;
}

/* The last element that the view touches lies in its storage. */
static ath_err check_view(const reader *r, const ath_st_tensor *t, view *v)
{
    int64_t last = v->offset, wanted = 1;

    v->count = 1;
    v->is_dense = true;
    for (int i = t->n_dim; i-- > 0;) {
        if (t->dim[i] != 1 && v->stride[i] != wanted) v->is_dense = false;
        NEED_OF(t->dim[i] == 0 || v->count <= INT64_MAX / 64 / t->dim[i], r,
                "shape overflows at axis %d", i);
        v->count *= t->dim[i];
        wanted = v->count;
    }
    if (v->count == 0) {
        v->is_dense = true;
        v->offset = 0;
        return ATH_OK;
    }
    for (int i = 0; i < t->n_dim; i++) {
        const int64_t steps = t->dim[i] - 1;
        NEED_OF(steps == 0 || v->stride[i] <= (INT64_MAX - last) / steps, r,
                "stride %" PRId64 " of axis %d overflows", v->stride[i], i);
        last += steps * v->stride[i];
    }
    NEED_OF(last < v->n, r, "reaches to element %" PRId64 " of a storage of %" PRId64, last, v->n);
    return ATH_OK;
}

/* Row-major, by counting through the indices. */
static void copy_elements(const ath_st_tensor *t, const view *v, uint8_t *to)
{
    int64_t index[AXES_MAX] = {0}, at = v->offset;

    for (int64_t k = 0; k < v->count; k++, to += v->element) {
        memcpy(to, v->bytes + (size_t)at * v->element, v->element);
        for (int i = t->n_dim; i-- > 0;) {
            at += v->stride[i];
            if (++index[i] < t->dim[i]) break;
            at -= index[i] * v->stride[i];
            index[i] = 0;
        }
    }
}

static ath_err copy_view(reader *r, ath_st_tensor *t, const view *v)
{
    uint8_t *copy = NULL;

    NEED_OF(t->bytes <= r->copy_max - r->n_copied, r,
            "%zu bytes are to be copied, and %zu have been: more than twice what the file holds",
            t->bytes, r->n_copied);
    r->n_copied += t->bytes;
    ATH_TRY(ATH_ARENA_NEW(&r->arena, t->bytes, &copy));
    copy_elements(t, v, copy);
    t->data = copy;
    return ATH_OK;
}

static ath_err read_tensor(reader *r, const ath_pickle_value *from, ath_st_tensor *t)
{
    const ath_pickle_value *storage = value_of(r, from->as.tensor.storage);
    const ath_pickle_value *offset = value_of(r, from->as.tensor.offset);
    const int32_t n_dim = value_of(r, from->as.tensor.size)->as.items.n;
    const int32_t n_strides = value_of(r, from->as.tensor.stride)->as.items.n;
    view v = {.bytes = storage->as.storage.bytes, .offset = offset->as.number};
    int64_t *dim = NULL;

    t->dtype = (ath_st_dtype)from->what;
    t->n_dim = n_dim;
    v.element = (size_t)ath_st_dtype_bits(t->dtype) / 8;
    v.n = storage->as.storage.n / (int64_t)v.element;
    NEED_OF(n_dim <= AXES_MAX && n_dim == n_strides, r, "%d axes and %d strides, wanted up to %d",
            n_dim, n_strides, AXES_MAX);
    NEED_OF(v.offset >= 0, r, "begins at element %" PRId64, v.offset);
    ATH_TRY(ATH_ARENA_NEW(&r->arena, n_dim, &dim));
    ATH_TRY(read_numbers(r, from->as.tensor.size, "size", dim));
    ATH_TRY(read_numbers(r, from->as.tensor.stride, "stride", v.stride));
    t->dim = dim;
    ATH_TRY(check_view(r, t, &v));
    t->bytes = (size_t)v.count * v.element;
    t->data = v.bytes + (size_t)v.offset * v.element;
    return v.is_dense ? ATH_OK : copy_view(r, t, &v);
}

/* The dicts. */

/* Puts a key behind the first n_name bytes of the name. */
static ath_err set_name(reader *r, size_t n_name, int32_t key, size_t *n_out)
{
    const ath_pickle_value *k = value_of(r, key);
    char number[32];
    const char *text = number;
    size_t n = 0;

    if (k->kind == ATH_PICKLE_TEXT) {
        text = k->as.text.text;
        n = (size_t)k->as.text.n;
    } else {
        n = (size_t)snprintf(number, sizeof number, "%" PRId64, k->as.number);
    }
    r->name[n_name] = 0;
    NEED_OF(n < sizeof r->name - n_name - 1, r,
            "a key of %zu bytes below makes its name longer than %d", n, NAME_MAX_BYTES);
    NEED_OF(!memchr(text, 0, n) && ath_utf8_check(text, n) == n, r, "a key below it is not %s",
            "UTF-8");
    memcpy(r->name + n_name, text, n);
    r->name[n_name + n] = 0;
    *n_out = n_name + n;
    return ATH_OK;
}

static ath_err enter(reader *r, int32_t dict, size_t n_name)
{
    NEED_OF(r->n_levels < DEPTH_MAX, r, "dicts in dicts, more than %d deep", DEPTH_MAX);
    r->level[r->n_levels++] = (level){.cell = value_of(r, dict)->as.items.first, .n_name = n_name};
    return ATH_OK;
}

static ath_err keep_tensor(reader *r, const ath_pickle_value *value)
{
    ath_st_tensor *t;

    ATH_TRY(ath_mem_grow(&r->tensor, r->n_tensors, &r->room_tensors, sizeof *r->tensor, r->file));
    t = &r->tensor[r->n_tensors];
    *t = (ath_st_tensor){0};
    ATH_TRY(ath_arena_print(&r->arena, &t->name, "%s", r->name));
    ATH_TRY(read_tensor(r, value, t));
    r->n_tensors++;
    return ATH_OK;
}

/* The next entry of the innermost dict. */
static ath_err visit(reader *r)
{
    level *l = &r->level[r->n_levels - 1];
    const ath_pickle_cell *cell = r->pickle.cell, *key = &cell[l->cell], *value = &cell[key->next];
    const ath_pickle_value *k = value_of(r, key->value), *v = value_of(r, value->value);
    const bool is_tensor = v->kind == ATH_PICKLE_TENSOR, is_dict = v->kind == ATH_PICKLE_DICT;
    size_t n_name = 0;

    l->cell = value->next;
    NEED_OF(r->n_visits++ < VISITS_MAX, r, "more than %d entries", VISITS_MAX);
    if (!is_tensor && !is_dict) return ATH_OK;
    if (k->kind != ATH_PICKLE_TEXT && k->kind != ATH_PICKLE_INT) {
        NEED_OF(!is_tensor, r, "a tensor below it has %s for a key", ath_pickle_kind_name(k->kind));
        return ATH_OK;
    }
    ATH_TRY(set_name(r, l->n_name, key->value, &n_name));
    if (is_tensor) return keep_tensor(r, v);
    if (r->n_levels == 1 && strcmp(r->name, "state_dict") == 0) return enter(r, value->value, 0);
    NEED_OF(n_name + 2 < sizeof r->name, r, "its name is longer than %d bytes", NAME_MAX_BYTES);
    r->name[n_name++] = '.';
    r->name[n_name] = 0;
    return enter(r, value->value, n_name);
}

static ath_err walk(reader *r)
{
    const ath_pickle_value *top = value_of(r, r->pickle.top);

    ATH_NEED(top->kind == ATH_PICKLE_DICT, ATH_EFORMAT,
             "%s: it holds %s, wanted a dict of tensors: save model.state_dict()", r->file,
             ath_pickle_kind_name(top->kind));
    ATH_TRY(enter(r, r->pickle.top, 0));
    while (r->n_levels) {
        if (r->level[r->n_levels - 1].cell < 0)
            r->n_levels--;
        else
            ATH_TRY(visit(r));
    }
    return ATH_OK;
}

/* The archive. */

/* The one member of the name "<root>/data.pkl". */
static ath_err find_pickle(const ath_zip *zip, const ath_zip_member **out, size_t *n_root)
{
    static const char tail[] = "/data.pkl";
    const size_t n_tail = sizeof tail - 1;

    *out = NULL;
    for (int64_t i = 0; i < zip->n; i++) {
        const ath_zip_member *m = &zip->member[i];
        if (m->n_name <= n_tail || memcmp(m->name + m->n_name - n_tail, tail, n_tail) != 0)
            continue;
        if (memchr(m->name, '/', m->n_name - n_tail)) continue;
        ATH_NEED(!*out, ATH_EFORMAT, "%s: more than one data.pkl", zip->file);
        *out = m;
        *n_root = m->n_name - n_tail + 1;
    }
    ATH_NEED(*out, ATH_EFORMAT, "%s: a zip archive without data.pkl: not one of torch.save",
             zip->file);
    ATH_TRY(ath_zip_check_crc(zip, *out));
    return ATH_OK;
}

static ath_err check_order(const ath_zip *zip, const char *root, size_t n_root)
{
    char name[300];

    ATH_NEED(n_root < 256, ATH_EFORMAT, "%s: a folder of %zu bytes in the archive", zip->file,
             n_root);
    const int n = snprintf(name, sizeof name, "%.*sbyteorder", (int)n_root, root);
    const ath_zip_member *m = ath_zip_find(zip, name, (size_t)n);
    ATH_NEED(!m || (m->n == 6 && memcmp(m->bytes, "little", 6) == 0), ATH_EFORMAT,
             "%s: its bytes are not in little-endian order: save it again on a usual machine",
             zip->file);
    return ATH_OK;
}

static ath_err read_archive(reader *r, const uint8_t *bytes, size_t n)
{
    const ath_zip_member *pickle = NULL;
    ath_zip zip = {0};
    size_t n_root = 0;

    ATH_TRY(ath_zip_read(r->file, bytes, n, &r->arena, &zip));
    ATH_TRY(find_pickle(&zip, &pickle, &n_root));
    ATH_ASSERT(pickle);
    ATH_TRY(check_order(&zip, pickle->name, n_root));
    ATH_TRY(ath_pickle_read(&zip, pickle, pickle->name, n_root, &r->pickle));
    return walk(r);
}

/* `map` goes over to *out on success. */
static ath_err open_bytes(const char *name, const uint8_t *bytes, size_t n, ath_map *map,
                          ath_st **out)
{
    ath_err err = ATH_OK;
    reader *r = NULL;

    ATH_NEED(
        n < 2 || bytes[0] != 0x80 || bytes[1] != 2, ATH_EFORMAT,
        "%s: saved by torch before 1.6: load it with torch and save it again, or convert it to "
        "safetensors",
        name);
    ATH_TRY_OUT(ATH_NEW(1, "torch file", &r));
    r->file = name;
    r->copy_max = n <= SIZE_MAX / 4 ? 2 * n + COPY_FREE : SIZE_MAX;
    ATH_TRY_OUT(read_archive(r, bytes, n));
    ATH_TRY_OUT(ath_st_create(name, r->n_tensors, r->tensor, &r->arena, map, out));
out:
    if (r) {
        ath_pickle_release(&r->pickle);
        ath_mem_free(&r->tensor);
        ath_arena_release(&r->arena);
    }
    ath_mem_free(&r);
    return err;
}

ath_err ath_torch_open_bytes(const char *name, const void *bytes, size_t n, ath_st **out)
{
    ath_map none = {0};
    return open_bytes(name, bytes, n, &none, out);
}

ath_err ath_torch_open(const char *path, ath_st **out)
{
    ath_map map = {0};

    ATH_TRY(ath_map_open(path, &map));
    ath_err err = open_bytes(path, map.bytes, map.n, &map, out);
    ath_map_close(&map);
    return err;
}

ath_err ath_tensors_open(const char *path, ath_st **out)
{
    ath_map map = {0};

    ATH_TRY(ath_map_open(path, &map));
    const bool is_torch =
        map.n >= 2 && (memcmp(map.bytes, "PK", 2) == 0 || memcmp(map.bytes, "\x80\2", 2) == 0);
    ath_map_close(&map);
    return is_torch ? ath_torch_open(path, out) : ath_st_open(path, out);
}
