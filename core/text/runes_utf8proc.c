#include "core/mem.h"
#include "core/text/runes.h"

#include <string.h>
#include <utf8proc.h>

ath_rune_class ath_rune_class_of(int32_t c)
{
    /* The property White_Space: utf8proc knows only Zs, Zl and Zp. */
    if (c == ' ' || (c >= '\t' && c <= '\r') || c == 0x85) return ATH_RUNE_SPACE;
    if (c < 0x80) {
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return ATH_RUNE_LETTER;
        return c >= '0' && c <= '9' ? ATH_RUNE_NUMBER : ATH_RUNE_OTHER;
    }
    const utf8proc_category_t category = utf8proc_category(c);
    if (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO)
        return ATH_RUNE_LETTER;
    if (category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO)
        return ATH_RUNE_NUMBER;
    if (category >= UTF8PROC_CATEGORY_ZS && category <= UTF8PROC_CATEGORY_ZP) return ATH_RUNE_SPACE;
    return ATH_RUNE_OTHER;
}

bool ath_rune_is_digit(int32_t c)
{
    return utf8proc_category(c) == UTF8PROC_CATEGORY_ND;
}

static int64_t decompose(int32_t c, int options, int32_t out[ATH_RUNE_PARTS])
{
    int boundary = 0;
    const utf8proc_ssize_t n =
        utf8proc_decompose_char(c, out, ATH_RUNE_PARTS, (utf8proc_option_t)options, &boundary);

    ATH_ASSERT(n > 0 && n <= ATH_RUNE_PARTS); /* at most 18 in Unicode */
    return n;
}

int64_t ath_rune_decompose(int32_t c, int32_t out[ATH_RUNE_PARTS])
{
    return decompose(c, UTF8PROC_STABLE | UTF8PROC_COMPAT | UTF8PROC_DECOMPOSE, out);
}

static int rank_of(int32_t c)
{
    return utf8proc_get_property(c)->combining_class;
}

/* Marks in the order of their combining classes, equal ones as they stand. utf8proc's own sort takes
 * quadratic time for a long run of marks. */
static void sort_marks(int32_t *c, int64_t n, int32_t *scratch)
{
    enum { FEW = 16, N_RANKS = 256 };
    int64_t start[N_RANKS + 1] = {0};

    if (n <= FEW) {
        for (int64_t i = 1; i < n; i++) {
            const int32_t mark = c[i];
            int64_t at = i;
            for (; at > 0 && rank_of(c[at - 1]) > rank_of(mark); at--) c[at] = c[at - 1];
            c[at] = mark;
        }
        return;
    }
    for (int64_t i = 0; i < n; i++) start[rank_of(c[i]) + 1]++;
    for (int i = 0; i < N_RANKS; i++) start[i + 1] += start[i];
    for (int64_t i = 0; i < n; i++) scratch[start[rank_of(c[i])]++] = c[i];
    memcpy(c, scratch, (size_t)n * sizeof *c);
}

ath_err ath_runes_compose(ath_runes *runes)
{
    ath_runes parts = {0};
    int32_t *scratch = NULL;
    int64_t i = 0;
    ath_err err = ATH_OK;

    while (i < runes->n && runes->c[i] < 0x300) i++;
    if (i == runes->n) return ATH_OK; /* all of these are in normal form */
    for (i = 0; i < runes->n; i++) {
        int32_t part[ATH_RUNE_PARTS];
        const int64_t n = decompose(runes->c[i], UTF8PROC_STABLE | UTF8PROC_DECOMPOSE, part);
        for (int64_t j = 0; j < n; j++) ATH_TRY_OUT(ath_runes_put(&parts, part[j]));
    }
    ATH_TRY_OUT(ATH_NEW(parts.n, "marks of a text", &scratch));
    for (i = 0; i < parts.n;) {
        int64_t end = i;
        while (end < parts.n && rank_of(parts.c[end])) end++;
        sort_marks(parts.c + i, end - i, scratch);
        i = end + 1;
    }
    parts.n = utf8proc_normalize_utf32(parts.c, parts.n,
                                       (utf8proc_option_t)(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
    ATH_ASSERT(parts.n >= 0);
    ath_runes_release(runes);
    *runes = parts;
    parts = (ath_runes){0};
out:
    ath_mem_free(&scratch);
    ath_runes_release(&parts);
    return err;
}

/* The properties that decide about the final sigma, as far as it can meet them. */
static bool is_case_ignorable(int32_t c)
{
    static const int32_t in_words[] = {'\'',   '.',    ':',    0xB7,   0x387,  0x55F,
                                       0x5F4,  0x2018, 0x2019, 0x2024, 0x2027, 0xFE13,
                                       0xFE52, 0xFE55, 0xFF07, 0xFF0E, 0xFF1A};
    const utf8proc_category_t category = utf8proc_category(c);

    if (category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_ME ||
        category == UTF8PROC_CATEGORY_CF || category == UTF8PROC_CATEGORY_LM ||
        category == UTF8PROC_CATEGORY_SK)
        return true;
    for (size_t i = 0; i < sizeof in_words / sizeof *in_words; i++)
        if (c == in_words[i]) return true;
    return false;
}

static bool is_cased(int32_t c)
{
    /* Letters in all but category. */
    static const int32_t others[][2] = {{0xAA, 0xAA},      {0xBA, 0xBA},       {0x2160, 0x217F},
                                        {0x24B6, 0x24E9},  {0x1F130, 0x1F149}, {0x1F150, 0x1F169},
                                        {0x1F170, 0x1F189}};
    const utf8proc_category_t category = utf8proc_category(c);

    if (category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LL ||
        category == UTF8PROC_CATEGORY_LT)
        return true;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (c >= others[i][0] && c <= others[i][1]) return true;
    return false;
}

/* A capital sigma after a cased character and not before one, with ignorable ones between. A sigma is
 * cased itself, so that all looks together take linear time. */
static bool is_final(const ath_runes *r, int64_t at)
{
    int64_t before = at - 1, after = at + 1;

    while (before >= 0 && is_case_ignorable(r->c[before])) before--;
    if (before < 0 || !is_cased(r->c[before])) return false;
    while (after < r->n && is_case_ignorable(r->c[after])) after++;
    return after == r->n || !is_cased(r->c[after]);
}

ath_err ath_runes_lower(const ath_runes *from, ath_runes *to)
{
    enum { SIGMA = 0x3A3, FINAL_SIGMA = 0x3C2, I_WITH_DOT = 0x130, DOT_ABOVE = 0x307 };

    for (int64_t i = 0; i < from->n; i++) {
        const int32_t c = from->c[i];
        if (c == I_WITH_DOT) { /* the one character whose lower case is two */
            ATH_TRY(ath_runes_put(to, 'i'));
            ATH_TRY(ath_runes_put(to, DOT_ABOVE));
        } else if (c == SIGMA && is_final(from, i)) {
            ATH_TRY(ath_runes_put(to, FINAL_SIGMA));
        } else {
            ATH_TRY(ath_runes_put(to, utf8proc_tolower(c)));
        }
    }
    return ATH_OK;
}
