#include "core/text/clean.h"

#include "core/text/entity.h"

#include <string.h>

/* Longer lines are cut: so does ftfy. */
enum { LINE_MAX_RUNES = 1000000 };

/* Letters in one character that stand for two or three, from the code point in the first place. */
static const struct {
    int32_t from;
    int32_t to[3];
} ligatures[] = {
    {0x132, {'I', 'J'}},       {0x133, {'i', 'j'}},       {0x149, {0x2BC, 'n'}},
    {0x1C4, {'D', 0x17D}},     {0x1C5, {'D', 0x17E}},     {0x1C6, {'d', 0x17E}},
    {0x1C7, {'L', 'J'}},       {0x1C8, {'L', 'j'}},       {0x1C9, {'l', 'j'}},
    {0x1CA, {'N', 'J'}},       {0x1CB, {'N', 'j'}},       {0x1CC, {'n', 'j'}},
    {0x1F1, {'D', 'Z'}},       {0x1F2, {'D', 'z'}},       {0x1F3, {'d', 'z'}},
    {0xFB00, {'f', 'f'}},      {0xFB01, {'f', 'i'}},      {0xFB02, {'f', 'l'}},
    {0xFB03, {'f', 'f', 'i'}}, {0xFB04, {'f', 'f', 'l'}}, {0xFB05, {0x17F, 't'}},
    {0xFB06, {'s', 't'}},
};

static int32_t uncurl(int32_t c)
{
    if (c == 0x2BC || (c >= 0x2018 && c <= 0x201B)) return '\'';
    return c >= 0x201C && c <= 0x201F ? '"' : c;
}

static ath_err put_parts(ath_runes *to, const int32_t *c, int64_t n)
{
    for (int64_t i = 0; i < n && c[i]; i++) ATH_TRY(ath_runes_put(to, uncurl(c[i])));
    return ATH_OK;
}

/* One character: of a C1 control what Windows-1252 has there, of a ligature its letters, of a half-
 * or full-width form the usual one, of a quote the straight one. */
static ath_err put_plain(ath_runes *to, int32_t c)
{
    if (c < 0x80) return ath_runes_put(to, c);
    if (c <= 0x9F) return ath_runes_put(to, uncurl(ath_windows_1252(c)));
    if (c == 0x3000) return ath_runes_put(to, ' ');
    if (c > 0xFF00 && c < 0xFFF0) {
        int32_t part[ATH_RUNE_PARTS];
        return put_parts(to, part, ath_rune_decompose(c, part));
    }
    if ((c >= 0x132 && c <= 0x1F3) || (c >= 0xFB00 && c <= 0xFB06))
        for (size_t i = 0; i < sizeof ligatures / sizeof *ligatures; i++)
            if (ligatures[i].from == c) return put_parts(to, ligatures[i].to, 3);
    return ath_runes_put(to, uncurl(c));
}

static ath_err put_all_plain(const ath_runes *from, bool unescape, ath_runes *to)
{
    for (int64_t i = 0; i < from->n;) {
        int32_t part[ATH_ENTITY_PARTS];
        int n_parts = 0;
        const int64_t n = unescape && from->c[i] == '&'
                              ? ath_entity_read(from->c + i, from->n - i, part, &n_parts)
                              : 0;
        for (int k = 0; k < n_parts; k++) ATH_TRY(put_plain(to, part[k]));
        if (n == 0) ATH_TRY(put_plain(to, from->c[i]));
        i += n ? n : 1;
    }
    return ATH_OK;
}

/* The length of a terminal's colour code at c[0], or 0. */
static int64_t terminal_code(const int32_t *c, int64_t n)
{
    int64_t at = 2;

    if (n < 3 || c[0] != 0x1B || c[1] != '[') return 0;
    while (at < n && (c[at] == ';' || ath_rune_is_digit(c[at]))) at++;
    return at < n && c[at] < 0x80 && ath_rune_class_of(c[at]) == ATH_RUNE_LETTER ? at + 1 : 0;
}

static bool is_control(int32_t c)
{
    return c < 9 || c == 0xB || (c >= 0xE && c < 0x20) || c == 0x7F ||
           (c >= 0x206A && c <= 0x206F) || c == 0xFEFF || (c >= 0xFFF9 && c <= 0xFFFC);
}

static void remove_controls(ath_runes *r)
{
    int64_t n = 0;

    for (int64_t i = 0; i < r->n;) {
        const int64_t skip = terminal_code(r->c + i, r->n - i);
        if (skip == 0 && !is_control(r->c[i])) r->c[n++] = r->c[i];
        i += skip ? skip : 1;
    }
    r->n = n;
}

static bool is_plain(const ath_runes *r)
{
    for (int64_t i = 0; i < r->n; i++)
        if (r->c[i] >= 0x7F || r->c[i] == '&' || is_control(r->c[i])) return false;
    return true;
}

/* Until nothing changes: what one round has made may be an entity in the next. */
static ath_err clean_line(ath_runes *line, bool unescape, ath_runes *scratch)
{
    if (is_plain(line)) return ATH_OK;
    for (int round = 0; round < ATH_CLEAN_ROUNDS; round++) {
        scratch->n = 0;
        ATH_TRY(put_all_plain(line, unescape, scratch));
        remove_controls(scratch);
        ATH_TRY(ath_runes_compose(scratch));
        const bool same =
            line->n == scratch->n &&
            (!line->n || !memcmp(line->c, scratch->c, (size_t)line->n * sizeof *line->c));
        const ath_runes swap = *line;
        *line = *scratch;
        *scratch = swap;
        if (same) break;
    }
    return ATH_OK;
}

ath_err ath_text_clean(const ath_runes *text, ath_runes *out)
{
    ath_runes line = {0}, scratch = {0}, all = {0};
    bool unescape = true;
    ath_err err = ATH_OK;

    for (int64_t i = 0; i < text->n;) {
        line.n = 0;
        while (i < text->n && line.n < LINE_MAX_RUNES) {
            ATH_TRY_OUT(ath_runes_put(&line, text->c[i]));
            /* Where there are tags, entities belong to them: from that line on they stay. */
            if (text->c[i] == '<') unescape = false;
            if (text->c[i++] == '\n') break;
        }
        ATH_TRY_OUT(clean_line(&line, unescape, &scratch));
        for (int64_t k = 0; k < line.n; k++) ATH_TRY_OUT(ath_runes_put(&all, line.c[k]));
    }
    ATH_TRY_OUT(ath_runes_lower(&all, out));
out:
    ath_runes_release(&line);
    ath_runes_release(&scratch);
    ath_runes_release(&all);
    return err;
}
