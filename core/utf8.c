#include "core/utf8.h"

int ath_utf8_next(const char *text, size_t n, uint32_t *out)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const uint8_t *p = (const uint8_t *)text;
    uint32_t c = p[0];
    int length = 1;

    if (c >= 0xf8 || (c & 0xc0) == 0x80) return 0;
    if (c >= 0xc0) length++;
    if (c >= 0xe0) length++;
    if (c >= 0xf0) length++;
    if ((size_t)length > n) return 0;
    if (length > 1) c &= 0x7fu >> length;
    for (int i = 1; i < length; i++) {
        if ((p[i] & 0xc0) != 0x80) return 0;
        c = c << 6 | (p[i] & 0x3fu);
    }
    if (c < least[length] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) return 0;
    *out = c;
    return length;
}

size_t ath_utf8_check(const char *text, size_t n)
{
    size_t at = 0;
    uint32_t c;

    while (at < n) {
        int length = ath_utf8_next(text + at, n - at, &c);
        if (!length) break;
        at += (size_t)length;
    }
    return at;
}
