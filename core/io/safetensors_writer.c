#include "core/io/safetensors_writer.h"

#include "core/floats.h"
#include "core/mem.h"
#include "core/pulse.h"
#include "core/str.h"
#include "core/utf8.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Elements converted at once: what lies between stays in the cache. */
enum { CHUNK = ATH_TORTURE ? 23 : 16384 };

typedef struct item {
    const ath_st_out *t;
    int64_t count; /* elements */
} item;

typedef struct writer {
    const char *path;
    int64_t n;
    item *item;
    ath_str header;
    uint8_t *converted; /* [CHUNK] of at most 8 bytes */
    const ath_st_sink *sink;
} writer;

/* ATH_N_FLOATS: it is not one. */
static ath_float float_of(ath_st_dtype dtype)
{
    if (dtype == ATH_ST_F16) return ATH_FLOAT_F16;
    if (dtype == ATH_ST_BF16) return ATH_FLOAT_BF16;
    if (dtype == ATH_ST_F32) return ATH_FLOAT_F32;
    return dtype == ATH_ST_F64 ? ATH_FLOAT_F64 : ATH_N_FLOATS;
}

static bool is_float(ath_st_dtype dtype)
{
    return float_of(dtype) != ATH_N_FLOATS;
}

static size_t bytes_of(ath_st_dtype dtype, int64_t count)
{
    return (size_t)count * (size_t)ath_st_dtype_bits(dtype) / 8;
}

/* Checks. */

static int compare_names(const void *pa, const void *pb)
{
    const item *a = pa, *b = pb;
    return strcmp(a->t->name, b->t->name);
}

/* Types descending, then names ascending, bytewise. */
static int compare_places(const void *pa, const void *pb)
{
    const item *a = pa, *b = pb;

    if (a->t->dtype != b->t->dtype) return a->t->dtype > b->t->dtype ? -1 : 1;
    return compare_names(pa, pb);
}

#define NEED_OF(cond, w, key, fmt, ...) \
    ATH_NEED(cond, ATH_EINVAL, "%s: \"%.120s\": " fmt, (w)->path, (key), __VA_ARGS__)

static ath_err count_elements(const writer *w, item *it)
{
    const ath_st_out *t = it->t;
    int64_t most = INT64_MAX; /* in the end so that bits, too, can be counted */

    NEED_OF((unsigned)t->dtype < ATH_N_ST_DTYPES && (unsigned)t->from < ATH_N_ST_DTYPES, w, t->name,
            "type %d from type %d: no such type", (int)t->dtype, (int)t->from);
    NEED_OF(t->dtype == t->from || (is_float(t->dtype) && is_float(t->from)), w, t->name,
            "%s cannot be written as %s; only F32, F16, BF16 and F64 are converted",
            ath_st_dtype_name(t->from), ath_st_dtype_name(t->dtype));
    NEED_OF(t->n_dim >= 0, w, t->name, "%d axes", t->n_dim);
    it->count = 1;
    for (int i = 0; i < t->n_dim; i++) {
        NEED_OF(t->dim[i] >= 0, w, t->name, "length %" PRId64 " of axis %d, wanted 0 or more",
                t->dim[i], i);
        NEED_OF(t->dim[i] == 0 || it->count <= most / t->dim[i], w, t->name,
                "shape overflows at axis %d", i);
        it->count *= t->dim[i];
    }
    most = INT64_MAX / 64;
    NEED_OF(it->count <= most, w, t->name, "%" PRId64 " elements, more than can be", it->count);
    NEED_OF(it->count * ath_st_dtype_bits(t->dtype) % 8 == 0, w, t->name,
            "%" PRId64 " elements of %s do not end on a whole byte", it->count,
            ath_st_dtype_name(t->dtype));
    NEED_OF(t->data || it->count == 0, w, t->name, "%" PRId64 " elements but no data", it->count);
    return ATH_OK;
}

static ath_err need_utf8(const writer *w, const char *text)
{
    const size_t n = strlen(text), n_good = ath_utf8_check(text, n);

    NEED_OF(n_good == n, w, text, "is not UTF-8 at byte %zu", n_good);
    return ATH_OK;
}

static ath_err sort_items(writer *w)
{
    for (int64_t i = 0; i < w->n; i++) {
        ATH_TRY(need_utf8(w, w->item[i].t->name));
        NEED_OF(strcmp(w->item[i].t->name, "__metadata__") != 0, w, "__metadata__",
                "is no name for a %s", "tensor");
        ATH_TRY(count_elements(w, &w->item[i]));
    }
    qsort(w->item, (size_t)w->n, sizeof *w->item, compare_names);
    for (int64_t i = 1; i < w->n; i++)
        NEED_OF(compare_names(&w->item[i - 1], &w->item[i]) != 0, w, w->item[i].t->name,
                "occurs %s", "twice");
    qsort(w->item, (size_t)w->n, sizeof *w->item, compare_places);
    return ATH_OK;
}

/* The header. */

/* As the reference library escapes: quotes, backslashes and control characters, nothing else. */
static void put_string(ath_str *s, const char *text)
{
    static const char plain[] = "\b\t\n\f\r\"\\", letter[] = "btnfr\"\\";

    ath_str_put(s, "\"", 1);
    for (const char *p = text; *p; p++) {
        const char *found = strchr(plain, *p);
        if (found)
            ath_str_print(s, "\\%c", letter[found - plain]);
        else if ((unsigned char)*p < 0x20)
            ath_str_print(s, "\\u%04x", (unsigned)*p);
        else
            ath_str_put(s, p, 1);
    }
    ath_str_put(s, "\"", 1);
}

static ath_err put_meta(writer *w, int64_t n_meta, const ath_st_meta *meta)
{
    if (n_meta) ath_str_print(&w->header, "\"__metadata__\":{");
    for (int64_t i = 0; i < n_meta; i++) {
        ATH_TRY(need_utf8(w, meta[i].key));
        ATH_TRY(need_utf8(w, meta[i].value));
        for (int64_t k = 0; k < i; k++)
            NEED_OF(strcmp(meta[k].key, meta[i].key) != 0, w, meta[i].key,
                    "%s twice in the metadata", "occurs");
        if (i) ath_str_put(&w->header, ",", 1);
        put_string(&w->header, meta[i].key);
        ath_str_put(&w->header, ":", 1);
        put_string(&w->header, meta[i].value);
    }
    if (n_meta) ath_str_put(&w->header, w->n ? "}," : "}", w->n ? 2 : 1);
    return ATH_OK;
}

static ath_err put_items(writer *w)
{
    uint64_t at = 0;

    for (int64_t i = 0; i < w->n; i++) {
        const ath_st_out *t = w->item[i].t;
        const uint64_t end = at + bytes_of(t->dtype, w->item[i].count);
        NEED_OF(end <= INT64_MAX, w, t->name, "ends behind 2^63 bytes%s", "");
        if (i) ath_str_put(&w->header, ",", 1);
        put_string(&w->header, t->name);
        ath_str_print(&w->header, ":{\"dtype\":\"%s\",\"shape\":[", ath_st_dtype_name(t->dtype));
        for (int k = 0; k < t->n_dim; k++)
            ath_str_print(&w->header, "%s%" PRId64, k ? "," : "", t->dim[k]);
        ath_str_print(&w->header, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", at, end);
        at = end;
    }
    return ATH_OK;
}

static ath_err put(const writer *w, const void *bytes, size_t n)
{
    ath_pulse();
    return w->sink->take(w->sink->context, bytes, n);
}

/* The length and the header, padded so that the body begins at a multiple of 8. */
static ath_err put_header(writer *w, int64_t n_meta, const ath_st_meta *meta)
{
    uint8_t length[8];

    ath_str_put(&w->header, "{", 1);
    ATH_TRY(put_meta(w, n_meta, meta));
    ATH_TRY(put_items(w));
    ath_str_put(&w->header, "}", 1);
    while (w->header.n % 8 && !w->header.err) ath_str_put(&w->header, " ", 1);
    ATH_TRY(ath_str_check(&w->header));
    ATH_NEED(w->header.n <= ATH_ST_HEADER_MAX, ATH_ELIMIT,
             "%s: the header has %zu bytes, at most %d can be read again", w->path, w->header.n,
             ATH_ST_HEADER_MAX);
    for (int i = 0; i < 8; i++) length[i] = (uint8_t)((uint64_t)w->header.n >> 8 * i);
    ATH_TRY(put(w, length, sizeof length));
    return put(w, w->header.text, w->header.n);
}

/* The body. */

static ath_err put_tensor(writer *w, const item *it)
{
    const ath_st_out *t = it->t;

    if (t->from == t->dtype) return put(w, t->data, bytes_of(t->dtype, it->count));
    for (int64_t at = 0; at < it->count; at += CHUNK) {
        const int64_t left = it->count - at, n = left < CHUNK ? left : CHUNK;
        ath_floats_convert(w->converted, float_of(t->dtype),
                           (const char *)t->data + bytes_of(t->from, at), float_of(t->from), n);
        ATH_TRY(put(w, w->converted, bytes_of(t->dtype, n)));
    }
    return ATH_OK;
}

ath_err ath_st_emit(const char *path, int64_t n, const ath_st_out *tensors, int64_t n_meta,
                    const ath_st_meta *meta, const ath_st_sink *sink)
{
    writer w = {.path = path, .n = n, .sink = sink};
    ath_err err = ATH_OK;

    ATH_TRY_OUT(ATH_NEW(n, path, &w.item));
    ATH_TRY_OUT(ATH_NEW(8 * (size_t)CHUNK, path, &w.converted));
    for (int64_t i = 0; i < n; i++) w.item[i].t = &tensors[i];
    ATH_TRY_OUT(sort_items(&w));
    ATH_TRY_OUT(put_header(&w, n_meta, meta));
    for (int64_t i = 0; i < n; i++) ATH_TRY_OUT(put_tensor(&w, &w.item[i]));
out:
    ath_str_release(&w.header);
    ath_mem_free(&w.converted);
    ath_mem_free(&w.item);
    return err;
}

static ath_err publish(void *context, const void *bytes, size_t n)
{
    return ath_publish_put(context, bytes, n);
}

ath_err ath_st_write(const char *path, int64_t n, const ath_st_out *tensors, int64_t n_meta,
                     const ath_st_meta *meta)
{
    ath_publish file = {.fd = -1};
    const ath_st_sink sink = {publish, &file};
    ath_err err = ATH_OK;

    ATH_TRY_OUT(ath_publish_begin(&file, path));
    ATH_TRY_OUT(ath_st_emit(path, n, tensors, n_meta, meta, &sink));
    ATH_TRY_OUT(ath_publish_commit(&file));
out:
    ath_publish_discard(&file);
    return err;
}
