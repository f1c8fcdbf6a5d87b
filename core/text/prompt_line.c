#include "core/text/prompt_line.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE_MIN = 64, SIDE_MAX = 8192, SIDE_STEP = 8, STEPS_MAX = 1000, SCALE_MAX = 1000 };

/* A stretch of the file. */
typedef struct span {
    const char *at;
    size_t n;
} span;

/* Where a line stands, and where its texts go. */
typedef struct place {
    const char *name;
    int32_t i_line;
    ath_arena *arena;
} place;

/* A check with a sentence about one line; it has something to print, as ISO C wants of a macro. */
#define NEED_AT(cond, p, fmt, ...) \
    ATH_NEED(cond, ATH_EFORMAT, "%s, line %" PRId32 ": " fmt, (p)->name, (p)->i_line, __VA_ARGS__)

static int shown(span s)
{
    return (int)(s.n < 60 ? s.n : 60);
}

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static span strip(span s)
{
    while (s.n && is_blank(s.at[0])) s.at++, s.n--;
    while (s.n && is_blank(s.at[s.n - 1])) s.n--;
    return s;
}

/* The next " --" of a line, or its end. */
static size_t find_option(span s)
{
    for (size_t i = 0; i + 3 <= s.n; i++)
        if (memcmp(s.at + i, " --", 3) == 0) return i;
    return s.n;
}

static ath_err copy_text(const place *p, span s, const char **out)
{
    char *text = NULL;

    ATH_TRY(ATH_ARENA_NEW(p->arena, s.n + 1, &text));
    if (s.n) memcpy(text, s.at, s.n);
    *out = text;
    return ATH_OK;
}

/* A whole number of digits alone. */
static ath_err read_whole(const place *p, const char *option, span value, uint64_t least,
                          uint64_t most, uint64_t *out)
{
    uint64_t n = 0;
    bool fits = value.n > 0;

    for (size_t i = 0; i < value.n && fits; i++) {
        const uint64_t digit = (uint64_t)(value.at[i] - '0');
        fits = digit <= 9 && digit <= most && n <= (most - digit) / 10;
        n = n * 10 + digit;
    }
    NEED_AT(fits && n >= least, p,
            "--%s is \"%.*s\", wanted a whole number, %" PRIu64 " to %" PRIu64, option,
            shown(value), value.at, least, most);
    *out = n;
    return ATH_OK;
}

static ath_err read_scale(const place *p, span value, double *out)
{
    enum { NUMBER_BYTES = 64 };
    char text[NUMBER_BYTES] = "";
    char *end = text;

    if (value.n < NUMBER_BYTES) memcpy(text, value.at, value.n);
    text[value.n < NUMBER_BYTES ? value.n : 0] = 0;
    const bool has_form = text[0] && strspn(text, ".0123456789") == value.n;
    const double scale = has_form ? strtod(text, &end) : 0;
    NEED_AT(has_form && !*end && scale <= SCALE_MAX, p,
            "--l is \"%.*s\", wanted a number, 0 to %d, such as 7.5", shown(value), value.at,
            SCALE_MAX);
    *out = scale;
    return ATH_OK;
}

static ath_err read_side(const place *p, const char *option, span value, int32_t *out)
{
    uint64_t side = 0;

    ATH_TRY(read_whole(p, option, value, SIDE_MIN, SIDE_MAX, &side));
    *out = (int32_t)(side / SIDE_STEP * SIDE_STEP);
    return ATH_OK;
}

static bool is_word(span word, const char *lower)
{
    for (size_t i = 0; i < word.n; i++) {
        const char c = word.at[i];
        if ((c >= 'A' && c <= 'Z' ? c + 32 : c) != lower[i]) return false; /* its zero byte too */
    }
    return !lower[word.n];
}

/* "w 512", what stands behind two dashes. */
static ath_err read_option(const place *p, span s, ath_prompt_line *line)
{
    static const char *const other[] = {"g", "cn", "ctr", "rcfg", "fs"};
    span word = s;
    uint64_t n = 0;

    for (word.n = 0; word.n < s.n && !is_blank(s.at[word.n]);) word.n++;
    const span value = strip((span){s.at + word.n, s.n - word.n});
    if (is_word(word, "n")) return copy_text(p, value, &line->negative);
    if (is_word(word, "w")) return read_side(p, "w", value, &line->width);
    if (is_word(word, "h")) return read_side(p, "h", value, &line->height);
    if (is_word(word, "l")) return read_scale(p, value, &line->scale);
    if (is_word(word, "s")) {
        ATH_TRY(read_whole(p, "s", value, 1, STEPS_MAX, &n));
        line->steps = (int32_t)n;
        return ATH_OK;
    }
    if (is_word(word, "d")) {
        ATH_TRY(read_whole(p, "d", value, 0, UINT64_MAX, &line->seed));
        line->has_seed = true;
        return ATH_OK;
    }
    if (is_word(word, "ss")) {
        NEED_AT(value.n, p, "--ss has no value, wanted %s", "the name of a sampler");
        return copy_text(p, value, &line->sampler);
    }
    for (size_t i = 0; i < sizeof other / sizeof *other; i++)
        NEED_AT(!is_word(word, other[i]), p, "--%s is for models of another kind", other[i]);
    return ath_raise(ATH_EFORMAT,
                     "%s, line %" PRId32
                     ": no option --%.*s; there are --n --w --h --d --s --l --ss",
                     p->name, p->i_line, shown(word), word.at);
}

static ath_err read_line(const place *p, span s, ath_prompt_line *line)
{
    size_t n = find_option(s);

    NEED_AT(!memchr(s.at, 0, s.n), p, "there is a zero byte in it: %s", "the file is no text");
    NEED_AT(s.n < 2 || memcmp(s.at, "--", 2) != 0, p, "\"%.*s\": options stand behind a prompt",
            shown(s), s.at);
    line->i_line = p->i_line;
    ATH_TRY(copy_text(p, strip((span){s.at, n}), &line->prompt));
    while (n < s.n) {
        s = (span){s.at + n + 3, s.n - n - 3};
        n = find_option(s);
        ATH_TRY(read_option(p, (span){s.at, n}, line));
    }
    return ATH_OK;
}

ath_prompt_line ath_prompt_line_initial(void)
{
    return (ath_prompt_line){
        .prompt = "", .negative = "", .width = 512, .height = 512, .steps = 30, .scale = 7.5};
}

ath_err ath_prompt_lines_parse(const char *name, const char *text, size_t n,
                               const ath_prompt_line *initial, ath_arena *arena,
                               ath_prompt_lines *out)
{
    place p = {.name = name, .arena = arena};
    const char *const end = n ? text + n : text;
    ath_prompt_lines made = {0};
    int64_t n_lines = 1;

    if (n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) text += 3; /* a byte order mark */
    for (const char *at = text; at < end; at++) n_lines += *at == '\n';
    ATH_NEED(n_lines < INT32_MAX, ATH_ELIMIT, "%s: %" PRId64 " lines", name, n_lines);
    ATH_TRY(ATH_ARENA_NEW(arena, n_lines, &made.line));
    for (size_t length; text < end; text += length) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        length = newline ? (size_t)(newline - text) + 1 : (size_t)(end - text);
        const span line = strip((span){text, length});
        p.i_line++;
        if (line.n == 0 || text[0] == '#') continue;
        made.line[made.n] = *initial;
        ATH_TRY(read_line(&p, line, &made.line[made.n]));
        made.n++;
    }
    *out = made;
    return ATH_OK;
}
