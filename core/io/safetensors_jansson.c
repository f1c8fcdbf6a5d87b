#include "core/io/safetensors.h"

#include "core/arena.h"
#include "core/io/map.h"
#include "core/io/safetensors_private.h"
#include "core/mem.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define META_KEY "__metadata__"
enum { LENGTH_BYTES = 8 };

typedef struct entry {
    ath_st_tensor tensor;
    int64_t begin, end; /* bytes of the body */
} entry;

typedef struct meta {
    const char *key, *value;
} meta;

struct ath_st {
    const char *name; /* of the file */
    const unsigned char *bytes;
    size_t n_bytes;
    ath_map map; /* empty: the bytes are the caller's */
    size_t n_header;
    json_t *header;  /* owns the names and the metadata */
    ath_arena lent;  /* what ath_st_create was given */
    ath_arena arena; /* all that follows */
    int64_t n_tensors, n_meta;
    entry *entry;          /* by offset */
    const entry **by_name; /* by name, bytewise */
    meta *meta;
};

static const struct {
    const char *name;
    int bits;
} dtypes[ATH_N_ST_DTYPES] = {
#define ROW(name, bits) {#name, bits},
    ATH_ST_DTYPE_MAP(ROW)
#undef ROW
};

const char *ath_st_dtype_name(ath_st_dtype dtype)
{
    return (unsigned)dtype < ATH_N_ST_DTYPES ? dtypes[dtype].name : "unknown";
}

int ath_st_dtype_bits(ath_st_dtype dtype)
{
    ATH_ASSERT((unsigned)dtype < ATH_N_ST_DTYPES);
    return dtypes[dtype].bits;
}

/* A sentence about one tensor. A name may be as long as a header: some of it is enough. */
#define NEED_OF(cond, st, key, fmt, ...) \
    ATH_NEED(cond, ATH_EFORMAT, "%s: \"%.120s\": " fmt, (st)->name, (key), __VA_ARGS__)

static ath_err read_dtype(const ath_st *st, const json_t *info, ath_st_tensor *t)
{
    const char *text = json_string_value(json_object_get(info, "dtype"));

    NEED_OF(text, st, t->name, "dtype is missing or %s", "not a string");
    for (int i = 0; i < ATH_N_ST_DTYPES; i++) {
        if (strcmp(text, dtypes[i].name) != 0) continue;
        t->dtype = (ath_st_dtype)i;
        return ATH_OK;
    }
    return ath_raise(ATH_EFORMAT, "%s: \"%.120s\": dtype is \"%.40s\", wanted one of BOOL to U64",
                     st->name, t->name, text);
}

/* Element i of an array: a whole number, 0 or more. */
static ath_err read_count(const ath_st *st, const char *key, const char *what, const json_t *array,
                          size_t i, int64_t *out)
{
    const json_t *value = json_array_get(array, i);

    NEED_OF(json_is_integer(value), st, key, "%s[%zu] is not a whole number", what, i);
    NEED_OF(json_integer_value(value) >= 0, st, key,
            "%s[%zu] is %" JSON_INTEGER_FORMAT ", wanted 0 or more", what, i,
            json_integer_value(value));
    *out = json_integer_value(value);
    return ATH_OK;
}

static ath_err read_entry(ath_st *st, const char *name, const json_t *info, entry *e)
{
    const json_t *shape = json_object_get(info, "shape");
    const json_t *offsets = json_object_get(info, "data_offsets");
    int64_t *dim;

    NEED_OF(json_is_object(info), st, name, "is not an %s", "object");
    NEED_OF(json_is_array(shape), st, name, "shape is missing or not an %s", "array");
    NEED_OF(json_is_array(offsets), st, name, "data_offsets is missing or not an %s", "array");
    NEED_OF(json_array_size(offsets) == 2, st, name, "data_offsets has %zu numbers, wanted 2",
            json_array_size(offsets));
    e->tensor.name = name;
    e->tensor.n_dim = (int32_t)json_array_size(shape);
    ATH_TRY(read_dtype(st, info, &e->tensor));
    ATH_TRY(ATH_ARENA_NEW(&st->arena, e->tensor.n_dim, &dim));
    for (int i = 0; i < e->tensor.n_dim; i++)
        ATH_TRY(read_count(st, name, "shape", shape, (size_t)i, &dim[i]));
    e->tensor.dim = dim;
    ATH_TRY(read_count(st, name, "data_offsets", offsets, 0, &e->begin));
    ATH_TRY(read_count(st, name, "data_offsets", offsets, 1, &e->end));
    return ATH_OK;
}

static ath_err read_meta(ath_st *st, json_t *object)
{
    const char *key;
    json_t *value;

    if (!object || json_is_null(object)) return ATH_OK;
    NEED_OF(json_is_object(object), st, META_KEY, "is not an %s", "object");
    ATH_TRY(ATH_ARENA_NEW(&st->arena, json_object_size(object), &st->meta));
    json_object_foreach(object, key, value)
    {
        NEED_OF(json_is_string(value), st, META_KEY, "\"%.120s\" is not a string", key);
        st->meta[st->n_meta++] = (meta){key, json_string_value(value)};
    }
    return ATH_OK;
}

static ath_err read_entries(ath_st *st)
{
    const char *key;
    json_t *value;

    ATH_TRY(read_meta(st, json_object_get(st->header, META_KEY)));
    ATH_TRY(ATH_ARENA_NEW(&st->arena, json_object_size(st->header), &st->entry));
    json_object_foreach(st->header, key, value) if (strcmp(key, META_KEY) != 0)
        ATH_TRY(read_entry(st, key, value, &st->entry[st->n_tensors++]));
    return ATH_OK;
}

/* By begin, then end; empty tensors share an offset, and then the name decides. */
static int compare_offsets(const void *pa, const void *pb)
{
    const entry *a = pa, *b = pb;

    if (a->begin != b->begin) return a->begin < b->begin ? -1 : 1;
    if (a->end != b->end) return a->end < b->end ? -1 : 1;
    return strcmp(a->tensor.name, b->tensor.name);
}

static ath_err check_size(const ath_st *st, const entry *e)
{
    const ath_st_tensor *t = &e->tensor;
    const int bits = dtypes[t->dtype].bits;
    int64_t count = 1;

    for (int i = 0; i < t->n_dim; i++) {
        NEED_OF(t->dim[i] == 0 || count <= INT64_MAX / t->dim[i], st, t->name,
                "shape overflows at axis %d", i);
        count *= t->dim[i];
    }
    NEED_OF(count <= INT64_MAX / bits, st, t->name,
            "%" PRId64 " elements of %s overflow a byte count", count, dtypes[t->dtype].name);
    NEED_OF(count * bits % 8 == 0, st, t->name,
            "%" PRId64 " elements of %s do not end on a whole byte", count, dtypes[t->dtype].name);
    NEED_OF(e->end - e->begin == count * bits / 8, st, t->name,
            "data_offsets span %" PRId64 " bytes, the shape wants %" PRId64, e->end - e->begin,
            count * bits / 8);
    return ATH_OK;
}

/* Every tensor begins where the one before ended, and the last one ends with the file. */
static ath_err check_layout(const ath_st *st)
{
    const unsigned char *body = st->bytes + LENGTH_BYTES + st->n_header;
    const size_t n_body = st->n_bytes - LENGTH_BYTES - st->n_header;
    int64_t at = 0;

    qsort(st->entry, (size_t)st->n_tensors, sizeof *st->entry, compare_offsets);
    for (int64_t i = 0; i < st->n_tensors; i++) {
        entry *e = &st->entry[i];
        NEED_OF(e->begin == at, st, e->tensor.name,
                "begins at byte %" PRId64 ", wanted %" PRId64 ": %s", e->begin, at,
                e->begin < at ? "it overlaps the tensor before" : "there is a hole before it");
        NEED_OF(e->end >= e->begin, st, e->tensor.name,
                "ends at byte %" PRId64 ", before its begin %" PRId64, e->end, e->begin);
        ATH_TRY(check_size(st, e));
        at = e->end;
    }
    ATH_NEED((size_t)at == n_body, ATH_EFORMAT,
             "%s: tensors end at byte %" PRId64 " of the body, which has %zu bytes", st->name, at,
             n_body);
    for (int64_t i = 0; i < st->n_tensors; i++) {
        entry *e = &st->entry[i];
        e->tensor.data = body + e->begin;
        e->tensor.bytes = (size_t)(e->end - e->begin);
    }
    return ATH_OK;
}

static int compare_names(const void *pa, const void *pb)
{
    const entry *const *a = pa, *const *b = pb;
    return strcmp((*a)->tensor.name, (*b)->tensor.name);
}

static ath_err index_names(ath_st *st)
{
    ATH_TRY(ATH_ARENA_NEW(&st->arena, st->n_tensors, &st->by_name));
    for (int64_t i = 0; i < st->n_tensors; i++) st->by_name[i] = &st->entry[i];
    qsort(st->by_name, (size_t)st->n_tensors, sizeof *st->by_name, compare_names);
    return ATH_OK;
}

static ath_err parse_header(ath_st *st)
{
    json_error_t error;
    uint64_t n = 0;

    ATH_NEED(st->n_bytes >= LENGTH_BYTES, ATH_EFORMAT,
             "%s: %zu bytes, too few for a safetensors file", st->name, st->n_bytes);
    for (int i = LENGTH_BYTES; i-- > 0;) n = n << 8 | st->bytes[i];
    ATH_NEED(n <= ATH_ST_HEADER_MAX, ATH_EFORMAT,
             "%s: the header's length is %" PRIu64 ", wanted at most %d", st->name, n,
             ATH_ST_HEADER_MAX);
    ATH_NEED(n <= st->n_bytes - LENGTH_BYTES, ATH_EFORMAT,
             "%s: the header's length is %" PRIu64 ", but the file has %zu bytes", st->name, n,
             st->n_bytes);
    const char *text = (const char *)st->bytes + LENGTH_BYTES;
    ATH_NEED(n > 0 && text[0] == '{', ATH_EFORMAT, "%s: the header does not begin with {",
             st->name);
    st->n_header = (size_t)n;
    /* jansson overlooks one behind a number */
    ATH_NEED(!memchr(text, 0, st->n_header), ATH_EFORMAT, "%s: a zero byte in the header",
             st->name);
    st->header = json_loadb(text, st->n_header, JSON_REJECT_DUPLICATES, &error);
    if (st->header) return ATH_OK;
    return ath_raise(json_error_code(&error) == json_error_out_of_memory ? ATH_ENOMEM : ATH_EFORMAT,
                     "%s: header: %s at byte %d", st->name, error.text, error.position);
}

ath_err ath_st_open_bytes(const char *name, const void *bytes, size_t n, ath_st **out)
{
    ath_err err = ATH_OK;
    ath_st *st = NULL;

    ATH_TRY_OUT(ATH_NEW(1, "safetensors file", &st));
    *st = (ath_st){.bytes = bytes, .n_bytes = n};
    ATH_TRY_OUT(ath_arena_print(&st->arena, &st->name, "%s", name));
    ATH_TRY_OUT(parse_header(st));
    ATH_TRY_OUT(read_entries(st));
    ATH_TRY_OUT(check_layout(st));
    ATH_TRY_OUT(index_names(st));
    *out = st;
    st = NULL;
out:
    ath_st_close(&st);
    return err;
}

ath_err ath_st_open(const char *path, ath_st **out)
{
    ath_err err = ATH_OK;
    ath_map map = {0};

    ATH_TRY(ath_map_open(path, &map));
    ATH_TRY_OUT(ath_st_open_bytes(path, map.bytes, map.n, out));
    (*out)->map = map;
    map = (ath_map){0};
out:
    ath_map_close(&map);
    return err;
}

ath_err ath_st_create(const char *name, int64_t n, const ath_st_tensor *tensors, ath_arena *arena,
                      ath_map *map, ath_st **out)
{
    ath_err err = ATH_OK;
    ath_st *st = NULL;

    ATH_TRY_OUT(ATH_NEW(1, "tensor file", &st));
    *st = (ath_st){.n_tensors = n};
    ATH_TRY_OUT(ath_arena_print(&st->arena, &st->name, "%s", name));
    ATH_TRY_OUT(ATH_ARENA_NEW(&st->arena, n, &st->entry));
    for (int64_t i = 0; i < n; i++) st->entry[i].tensor = tensors[i];
    ATH_TRY_OUT(index_names(st));
    for (int64_t i = 1; i < n; i++) {
        const char *key = st->by_name[i]->tensor.name;
        if (strcmp(st->by_name[i - 1]->tensor.name, key) != 0) continue;
        err = ath_raise(ATH_EFORMAT, "%s: \"%.120s\" occurs twice", name, key);
        goto out;
    }
    st->lent = *arena;
    st->map = *map;
    *arena = (ath_arena){0};
    *map = (ath_map){0};
    *out = st;
    st = NULL;
out:
    ath_st_close(&st);
    return err;
}

void ath_st_close(ath_st **st)
{
    ath_st *s = *st;

    if (!s) return;
    json_decref(s->header);
    ath_arena_release(&s->arena);
    ath_arena_release(&s->lent);
    ath_map_close(&s->map);
    ath_mem_free(st);
}

int64_t ath_st_count(const ath_st *st)
{
    return st->n_tensors;
}

const ath_st_tensor *ath_st_get(const ath_st *st, int64_t i)
{
    ATH_ASSERT(i >= 0 && i < st->n_tensors);
    return &st->entry[i].tensor;
}

const ath_st_tensor *ath_st_find(const ath_st *st, const char *name)
{
    const entry wanted = {.tensor.name = name}, *key = &wanted;
    const entry *const *found =
        bsearch(&key, st->by_name, (size_t)st->n_tensors, sizeof *st->by_name, compare_names);
    return found ? &(*found)->tensor : NULL;
}

ath_err ath_st_need(const ath_st *st, const char *name, const ath_st_tensor **out)
{
    const ath_st_tensor *t = ath_st_find(st, name);

    ATH_NEED(t, ATH_EMISSING, "%s: no tensor \"%s\"", st->name, name);
    *out = t;
    return ATH_OK;
}

int64_t ath_st_meta_count(const ath_st *st)
{
    return st->n_meta;
}

const char *ath_st_meta_get(const ath_st *st, int64_t i, const char **value)
{
    ATH_ASSERT(i >= 0 && i < st->n_meta);
    *value = st->meta[i].value;
    return st->meta[i].key;
}

const char *ath_st_meta_find(const ath_st *st, const char *key)
{
    for (int64_t i = 0; i < st->n_meta; i++)
        if (strcmp(st->meta[i].key, key) == 0) return st->meta[i].value;
    return NULL;
}
