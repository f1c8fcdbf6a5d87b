#include "tests/zip_maker.h"

#include <string.h>

enum { MEMBERS_MAX = 1 << 10 };

static uint32_t crc_of(const void *bytes, size_t n)
{
    const uint8_t *p = bytes;
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        for (int k = 0; k < 8; k++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

static void put(ath_str *out, uint64_t x, int n_bytes)
{
    for (int i = 0; i < n_bytes; i++, x >>= 8) ath_str_put(out, &(uint8_t){(uint8_t)x}, 1);
}

/* What the local and the central record have in common. */
static void put_facts(ath_str *out, const zip_member *m, zip_how how)
{
    const size_t n_extra = how.is_64 ? 28 : 0;

    put(out, how.flags, 2);
    put(out, how.method, 2);
    put(out, 0, 4);
    put(out, crc_of(m->bytes, m->n), 4);
    put(out, how.is_64 ? UINT32_MAX : m->n, 4);
    put(out, how.is_64 ? UINT32_MAX : m->n, 4);
    put(out, strlen(m->name), 2);
    put(out, n_extra, 2);
}

static void put_extra(ath_str *out, const zip_member *m, uint64_t at, zip_how how)
{
    if (!how.is_64) return;
    put(out, 1, 2);
    put(out, 24, 2);
    put(out, m->n, 8);
    put(out, m->n, 8);
    put(out, at, 8);
}

static void put_end(ath_str *out, int n, uint64_t at, uint64_t bytes, zip_how how)
{
    const uint64_t end64 = at + bytes;

    if (how.is_64) {
        ath_str_put(out, "PK\6\6", 4);
        put(out, 44, 8);
        put(out, 0, 12);
        put(out, (uint64_t)n, 8);
        put(out, (uint64_t)n, 8);
        put(out, bytes, 8);
        put(out, at, 8);
        ath_str_put(out, "PK\6\7", 4);
        put(out, 0, 4);
        put(out, end64, 8);
        put(out, 1, 4);
    }
    ath_str_put(out, "PK\5\6", 4);
    put(out, 0, 4);
    put(out, how.is_64 ? UINT16_MAX : (uint64_t)n, 2);
    put(out, how.is_64 ? UINT16_MAX : (uint64_t)n, 2);
    put(out, how.is_64 ? UINT32_MAX : bytes, 4);
    put(out, how.is_64 ? UINT32_MAX : at, 4);
    put(out, how.comment ? strlen(how.comment) : 0, 2);
    if (how.comment) ath_str_put(out, how.comment, strlen(how.comment));
}

void zip_make(ath_str *out, const zip_member *members, int n, zip_how how)
{
    const size_t begin = out->n;
    uint64_t at[MEMBERS_MAX];

    ATH_ASSERT(n <= MEMBERS_MAX);
    for (int i = 0; i < n; i++) {
        const zip_member *m = &members[i];
        at[i] = out->n - begin;
        ath_str_put(out, "PK\3\4\0\0", 6);
        put_facts(out, m, how);
        ath_str_put(out, m->name, strlen(m->name));
        put_extra(out, m, at[i], how);
        ath_str_put(out, m->bytes, m->n);
    }
    const uint64_t directory = out->n - begin;
    for (int i = 0; i < n; i++) {
        const zip_member *m = &members[i];
        ath_str_put(out, "PK\1\2\0\0\0\0", 8);
        put_facts(out, m, how);
        put(out, 0, 10);
        put(out, how.is_64 ? UINT32_MAX : at[i], 4);
        ath_str_put(out, m->name, strlen(m->name));
        put_extra(out, m, at[i], how);
    }
    put_end(out, n, directory, out->n - begin - directory, how);
}
