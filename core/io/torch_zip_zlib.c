#include "core/io/torch_private.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

/* Lengths of the fixed parts of records (APPNOTE 4.3). */
enum { LOCAL = 30, CENTRAL = 46, END = 22, END64 = 56, LOCATOR = 20, COMMENT_MAX = 65535 };

typedef struct reader {
    const char *file;
    const uint8_t *bytes;
    size_t n;
    uint64_t n_members, at, end; /* of the directory */
} reader;

static uint64_t number(const uint8_t *p, int n)
{
    uint64_t x = 0;
    for (int i = n; i-- > 0;) x = x << 8 | p[i];
    return x;
}

/* The record of `n` bytes at `at`, or NULL where none of this kind ("PK" and two bytes) lies there. */
static const uint8_t *record(const reader *r, uint64_t at, size_t n, const char *kind)
{
    if (at > r->n || n > r->n - at || memcmp(r->bytes + at, "PK", 2) != 0) return NULL;
    return memcmp(r->bytes + at + 2, kind, 2) == 0 ? r->bytes + at : NULL;
}

/* The last record is found from the end of the file: behind it lies only a comment. */
static const uint8_t *find_end(const reader *r)
{
    for (size_t back = END; back <= r->n && back <= END + COMMENT_MAX; back++) {
        const uint8_t *end = record(r, r->n - back, END, "\5\6");
        if (end && END + number(end + 20, 2) == back) return end;
    }
    return NULL;
}

static ath_err find_directory(reader *r)
{
    const uint8_t *end = find_end(r), *end64, *locator;

    ATH_NEED(end, ATH_EFORMAT, "%s: no end of a zip archive: the file is cut or no archive",
             r->file);
    const size_t end_at = (size_t)(end - r->bytes);
    locator = end_at < LOCATOR ? NULL : record(r, end_at - LOCATOR, LOCATOR, "\6\7");
    r->n_members = number(end + 10, 2);
    uint64_t bytes = number(end + 12, 4);
    r->at = number(end + 16, 4);
    if (locator) {
        end64 = record(r, number(locator + 8, 8), END64, "\6\6");
        ATH_NEED(end64, ATH_EFORMAT, "%s: the zip64 record is not where it should be", r->file);
        r->n_members = number(end64 + 32, 8);
        bytes = number(end64 + 40, 8);
        r->at = number(end64 + 48, 8);
    }
    ATH_NEED(r->at <= end_at && bytes <= end_at - r->at && r->n_members <= bytes / CENTRAL,
             ATH_EFORMAT,
             "%s: a directory of %" PRIu64 " members in %" PRIu64 " bytes at %" PRIu64
             " does not fit into %zu bytes",
             r->file, r->n_members, bytes, r->at, r->n);
    r->end = r->at + bytes;
    return ATH_OK;
}

#define NEED_OF(cond, r, m, fmt, ...)                                   \
    ATH_NEED(cond, ATH_EFORMAT, "%s: member \"%.*s\": " fmt, (r)->file, \
             (int)((m)->n_name < 120 ? (m)->n_name : 120), (m)->name, __VA_ARGS__)

/* Numbers that do not fit into 32 bits stand in an extra field, in this order. */
static ath_err read_wide(const reader *r, const ath_zip_member *m, const uint8_t *extra, size_t n,
                         uint64_t *wide[3])
{
    while (n >= 4) {
        const size_t length = (size_t)number(extra + 2, 2);
        NEED_OF(length <= n - 4, r, m, "an extra field of %zu bytes in %zu", length, n - 4);
        const uint8_t *p = extra + 4, *end = p + length;
        for (int i = 0; number(extra, 2) == 1 && i < 3; i++) {
            if (*wide[i] != UINT32_MAX) continue;
            NEED_OF(end - p >= 8, r, m, "the zip64 field has only %zu bytes", length);
            *wide[i] = number(p, 8);
            p += 8;
        }
        extra = end;
        n -= 4 + length;
    }
    return ATH_OK;
}

static ath_err find_bytes(const reader *r, ath_zip_member *m, uint64_t at, uint64_t n)
{
    const uint8_t *local = record(r, at, LOCAL, "\3\4");

    NEED_OF(local, r, m, "does not begin at byte %" PRIu64, at);
    const uint64_t n_name = number(local + 26, 2), n_extra = number(local + 28, 2);
    const uint64_t room = r->n - at - LOCAL;
    NEED_OF(n_name + n_extra <= room && n <= room - n_name - n_extra, r, m,
            "%" PRIu64 " bytes at %" PRIu64 " reach over the end of the file", n, at);
    NEED_OF(n_name == m->n_name && memcmp(local + LOCAL, m->name, m->n_name) == 0, r, m,
            "has another name at byte %" PRIu64, at);
    m->bytes = local + LOCAL + n_name + n_extra;
    m->n = (size_t)n;
    return ATH_OK;
}

static ath_err read_member(reader *r, ath_zip_member *m)
{
    const uint8_t *p = record(r, r->at, CENTRAL, "\1\2");

    ATH_NEED(p && r->end - r->at >= CENTRAL, ATH_EFORMAT,
             "%s: no member in the directory at byte %" PRIu64, r->file, r->at);
    const uint64_t flags = number(p + 8, 2), method = number(p + 10, 2);
    uint64_t packed = number(p + 20, 4), plain = number(p + 24, 4), at = number(p + 42, 4);
    const size_t n_extra = (size_t)number(p + 30, 2), n_comment = (size_t)number(p + 32, 2);
    *m = (ath_zip_member){.name = (const char *)p + CENTRAL,
                          .n_name = (size_t)number(p + 28, 2),
                          .crc = (uint32_t)number(p + 16, 4)};
    const uint64_t next = CENTRAL + m->n_name + n_extra + n_comment;
    ATH_NEED(next <= r->end - r->at, ATH_EFORMAT,
             "%s: a member reaches over the end of the directory at byte %" PRIu64, r->file, r->at);
    ATH_TRY(
        read_wide(r, m, p + CENTRAL + m->n_name, n_extra, (uint64_t *[]){&plain, &packed, &at}));
    NEED_OF(!(flags & 1), r, m, "is encrypted (flags %" PRIu64 ")", flags);
    NEED_OF(method == 0, r, m,
            "is compressed (method %" PRIu64 "); torch stores members as they are: load the file "
            "with torch and save it again",
            method);
    NEED_OF(packed == plain, r, m, "%" PRIu64 " bytes stored in %" PRIu64, plain, packed);
    r->at += next;
    return find_bytes(r, m, at, plain);
}

static int compare(const char *a, size_t n_a, const char *b, size_t n_b)
{
    const int order = memcmp(a, b, n_a < n_b ? n_a : n_b);

    if (order) return order;
    if (n_a == n_b) return 0;
    return n_a < n_b ? -1 : 1;
}

static int compare_members(const void *pa, const void *pb)
{
    const ath_zip_member *a = pa, *b = pb;
    return compare(a->name, a->n_name, b->name, b->n_name);
}

ath_err ath_zip_read(const char *file, const uint8_t *bytes, size_t n, ath_arena *arena,
                     ath_zip *out)
{
    reader r = {.file = file, .bytes = bytes, .n = n};
    ath_zip_member *member = NULL;

    ATH_TRY(find_directory(&r));
    ATH_TRY(ATH_ARENA_NEW(arena, r.n_members, &member));
    for (uint64_t i = 0; i < r.n_members; i++) ATH_TRY(read_member(&r, &member[i]));
    qsort(member, (size_t)r.n_members, sizeof *member, compare_members);
    for (uint64_t i = 1; i < r.n_members; i++)
        NEED_OF(compare_members(&member[i - 1], &member[i]) != 0, &r, &member[i], "occurs %s",
                "twice");
    *out = (ath_zip){.file = file, .n = (int64_t)r.n_members, .member = member};
    return ATH_OK;
}

const ath_zip_member *ath_zip_find(const ath_zip *zip, const char *name, size_t n_name)
{
    int64_t low = 0, high = zip->n;

    while (low < high) {
        const int64_t i = low + (high - low) / 2;
        const ath_zip_member *m = &zip->member[i];
        const int order = compare(name, n_name, m->name, m->n_name);
        if (order == 0) return m;
        if (order < 0)
            high = i;
        else
            low = i + 1;
    }
    return NULL;
}

ath_err ath_zip_check_crc(const ath_zip *zip, const ath_zip_member *m)
{
    const uint32_t crc = (uint32_t)crc32_z(crc32_z(0, NULL, 0), m->bytes, m->n);

    ATH_NEED(crc == m->crc, ATH_EFORMAT,
             "%s: member \"%.*s\": its checksum is %08" PRIx32 ", the directory says %08" PRIx32
             ": the file is damaged",
             zip->file, (int)m->n_name, m->name, crc, m->crc);
    return ATH_OK;
}
