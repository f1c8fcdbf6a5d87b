#include "core/text/entity.h"

#include "core/text/blobs.h"
#include <string.h>

enum { NAME_MAX_CHARS = 24 };

int32_t ath_windows_1252(int32_t c)
{
    static const int32_t table[32] = {
        0x20AC, 0x81,   0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
        0x2039, 0x0152, 0x8D,   0x017D, 0x8F,   0x90,   0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
        0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x9D,   0x017E, 0x0178};

    ATH_ASSERT(c >= 0x80 && c <= 0x9F);
    return table[c - 0x80];
}

static int digit_value(int c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'z') return c - 'a' + 10;
    if (c >= 'A' && c <= 'Z') return c - 'A' + 10;
    return 99;
}

/* Compares a name with the one that the line at `line` begins with. */
static int compare(const char *name, size_t n, const char *line)
{
    const char *space = memchr(line, ' ', (size_t)(ath_entities_end - line));
    const size_t n_line = (size_t)(space - line);
    const int order = memcmp(name, line, n < n_line ? n : n_line);

    return order ? order : (n > n_line) - (n < n_line);
}

/* The line of a name, or NULL: halves the bytes, and goes back to where the line in the middle begins. */
static const char *find_line(const char *name, size_t n)
{
    const char *low = ath_entities, *high = ath_entities_end; /* both at beginnings of lines */

    while (low < high) {
        const char *line = low + (high - low) / 2;
        while (line > low && line[-1] != '\n') line--;
        const int order = compare(name, n, line);
        if (order == 0) return line;
        if (order < 0)
            high = line;
        else
            low = (const char *)memchr(line, '\n', (size_t)(ath_entities_end - line)) + 1;
    }
    return NULL;
}

static bool read_name(const char *name, size_t n, int32_t out[ATH_ENTITY_PARTS], int *n_out)
{
    const char *at = find_line(name, n);

    *n_out = 0;
    if (!at) return false;
    for (at += n; *at == ' ';) {
        ATH_ASSERT(*n_out < ATH_ENTITY_PARTS);
        int32_t c = 0;
        for (at++; *at != ' ' && *at != '\n'; at++) c = c * 16 + digit_value(*at);
        out[(*n_out)++] = c;
    }
    return true;
}

/* Of a number all digits count, or it is none. Some stand for nothing, as a browser would have it. */
static bool read_number(const char *digits, size_t n, int32_t out[ATH_ENTITY_PARTS], int *n_out)
{
    enum { BEYOND = 0x110000 };
    const int base = n && (digits[0] == 'x' || digits[0] == 'X') ? 16 : 10;
    int32_t c = 0;
    size_t i = base == 16;

    if (i == n) return false;
    for (; i < n; i++) {
        if (digit_value(digits[i]) >= base) return false;
        if (c < BEYOND) c = c * base + digit_value(digits[i]);
    }
    if (c == ';') return false; /* would look like the end of an entity: ftfy leaves it alone */
    *n_out = 1;
    if (c == 0 || (c >= 0xD800 && c <= 0xDFFF) || c >= BEYOND)
        c = 0xFFFD;
    else if (c >= 0x80 && c <= 0x9F)
        c = ath_windows_1252(c);
    else if (c < 9 || c == 0xB || (c >= 0xE && c < 0x20) || c == 0x7F ||
             (c >= 0xFDD0 && c <= 0xFDEF) || (c & 0xFFFE) == 0xFFFE)
        *n_out = 0;
    out[0] = c;
    return true;
}

int64_t ath_entity_read(const int32_t *c, int64_t n, int32_t out[ATH_ENTITY_PARTS], int *n_out)
{
    char name[NAME_MAX_CHARS];
    const int64_t begin = n > 1 && c[1] == '#' ? 2 : 1;
    int64_t end = begin;

    for (; end < n && end - begin < NAME_MAX_CHARS && c[end] < 0x80; end++) {
        if (digit_value(c[end]) > 35) break;
        name[end - begin] = (char)c[end];
    }
    if (end == begin || end == n || c[end] != ';') return 0;
    const size_t length = (size_t)(end - begin);
    const bool is_known =
        begin == 2 ? read_number(name, length, out, n_out) : read_name(name, length, out, n_out);
    return is_known ? end + 1 : 0;
}
