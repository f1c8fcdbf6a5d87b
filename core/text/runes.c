#include "core/text/runes.h"

#include "core/mem.h"

void ath_runes_release(ath_runes *runes)
{
    ath_mem_free(&runes->c);
    *runes = (ath_runes){0};
}

ath_err ath_runes_put(ath_runes *runes, int32_t c)
{
    ATH_TRY(ath_mem_grow(&runes->c, runes->n, &runes->room, sizeof *runes->c, "text"));
    runes->c[runes->n++] = c;
    return ATH_OK;
}

/* The bytes that may follow a first byte: how many, and the range of the first of them, which is what
 * keeps out overlong forms, surrogates and what lies beyond U+10FFFF. */
static int follow(unsigned char first, unsigned char *low, unsigned char *high)
{
    *low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    *high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    if (first >= 0xC2 && first <= 0xDF) return 1;
    if (first >= 0xE0 && first <= 0xEF) return 2;
    if (first >= 0xF0 && first <= 0xF4) return 3;
    return 0;
}

/* One character at `s`, n > 0 bytes; returns how many it took. */
static size_t decode_one(const unsigned char *s, size_t n, int32_t *out)
{
    unsigned char low, high;
    const int n_more = follow(s[0], &low, &high);
    int32_t c = n_more == 0 ? s[0] : s[0] & (0x3F >> n_more);
    size_t at = 1;

    for (; at <= (size_t)n_more; at++) {
        if (at == n || s[at] < low || s[at] > high) break;
        c = c << 6 | (s[at] & 0x3F);
        low = 0x80;
        high = 0xBF;
    }
    *out = at == (size_t)n_more + 1 && (n_more || s[0] < 0x80) ? c : 0xFFFD;
    return at;
}

ath_err ath_runes_decode(ath_runes *runes, const char *text, size_t n)
{
    const unsigned char *s = (const unsigned char *)text;

    for (size_t at = 0; at < n;) {
        int32_t c;
        at += decode_one(s + at, n - at, &c);
        ATH_TRY(ath_runes_put(runes, c));
    }
    return ATH_OK;
}

size_t ath_rune_encode(int32_t c, char out[ATH_RUNE_BYTES])
{
    const int n_more = c < 0x80 ? 0 : c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const int first[] = {0, 0xC0, 0xE0, 0xF0};

    for (int i = n_more; i > 0; i--, c >>= 6) out[i] = (char)(0x80 | (c & 0x3F));
    out[0] = (char)(first[n_more] | c);
    return (size_t)n_more + 1;
}
