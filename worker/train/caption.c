#include "worker/train/caption.h"

#include "core/mem.h"
#include "core/text/runes.h"
#include "core/utf8.h"

#include <math.h>
#include <string.h>

/* A piece of `from`, and which tag it was before shuffling. */
typedef struct ath_caption_tag {
    const char *text;
    size_t n;
    uint32_t index;
} tag;

typedef struct piece {
    const char *text;
    size_t n;
} piece;

static bool is_given(const char *text)
{
    return text && *text;
}

ath_err ath_caption_check(const ath_caption_opts *o)
{
    ATH_NEED(is_given(o->separator), ATH_EJOB,
             "captions: the separator of tags is empty; \",\" is usual");
    ATH_NEED(o->keep_tokens >= 0, ATH_EJOB, "captions: keep_tokens is %d, wanted 0 or more",
             o->keep_tokens);
    ATH_NEED(o->dropout >= 0 && o->dropout <= 1, ATH_EJOB,
             "captions: caption_dropout is %g, wanted a chance from 0 to 1", o->dropout);
    ATH_NEED(o->tag_dropout >= 0 && o->tag_dropout <= 1, ATH_EJOB,
             "captions: tag_dropout is %g, wanted a chance from 0 to 1", o->tag_dropout);
    ATH_NEED(o->dropout_every_epochs >= 0, ATH_EJOB,
             "captions: dropped every %d epochs, wanted 0 (never) or more",
             o->dropout_every_epochs);
    ATH_NEED(o->warmup_min >= 0 && o->warmup_steps >= 0, ATH_EJOB,
             "captions: token warm-up from %d tags in %lld steps, wanted 0 or more of each",
             o->warmup_min, (long long)o->warmup_steps);
    return ATH_OK;
}

void ath_caption_release(ath_caption_work *work)
{
    ath_str_release(&work->from);
    ath_str_release(&work->to);
    ath_mem_free(&work->tags);
    work->room = 0;
}

/* Empties a buffer and keeps its memory. */
static void clear(ath_str *s)
{
    s->n = 0;
    s->err = ATH_OK;
    if (s->text) s->text[0] = 0;
}

static void swap(ath_caption_work *work)
{
    const ath_str from = work->from;
    work->from = work->to;
    work->to = from;
    clear(&work->to);
}

static piece strip(piece p)
{
    size_t first = p.n, end = p.n, at = 0;

    while (at < p.n) {
        uint32_t c = 0;
        const int n = ath_utf8_next(p.text + at, p.n - at, &c);
        const size_t step = n > 0 ? (size_t)n : 1;
        if (n == 0 || ath_rune_class_of((int32_t)c) != ATH_RUNE_SPACE) {
            if (first == p.n) first = at;
            end = at + step;
        }
        at += step;
    }
    return (piece){p.text + first, end > first ? end - first : 0};
}

/* Where `what` first stands in p; p.n where it does not. */
static size_t find(piece p, const char *what)
{
    const size_t n = strlen(what);

    for (size_t at = 0; at + n <= p.n; at++)
        if (memcmp(p.text + at, what, n) == 0) return at;
    return p.n;
}

/* ---- wildcards ---- */

static void put_plain(ath_str *to, piece p)
{
    for (size_t at = 0; at < p.n; at++) {
        ath_str_put(to, p.text + at, 1);
        const char c = p.text[at];
        if ((c == '{' || c == '}') && at + 1 < p.n && p.text[at + 1] == c) at++;
    }
}

/* Bytes up to the lone } that closes what stands here; p.n where none does. */
static size_t find_close(piece p)
{
    for (size_t at = 0; at < p.n; at++) {
        const bool is_double = at + 1 < p.n && p.text[at + 1] == p.text[at];
        if (p.text[at] == '}' && !is_double) return at;
        if ((p.text[at] == '}' || p.text[at] == '{') && is_double) at++;
    }
    return p.n;
}

/* One of the parts between |. */
static piece choose(const ath_draw *draw, uint32_t place, piece p)
{
    uint32_t n = 1;

    for (size_t at = 0; at < p.n; at++) n += p.text[at] == '|';
    for (uint32_t skip = ath_draw_below(draw, ATH_DRAW_WILDCARD, place, n); skip > 0; skip--) {
        const size_t at = find(p, "|") + 1;
        p = (piece){p.text + at, p.n - at};
    }
    p.n = find(p, "|");
    return p;
}

static void put_choices(ath_str *to, const ath_draw *draw, piece p)
{
    uint32_t place = 1; /* 0 chose the line */

    while (p.n > 0) {
        size_t used = 1;
        const bool is_double = p.n > 1 && p.text[1] == p.text[0];
        if ((p.text[0] == '{' || p.text[0] == '}') && is_double) used = 2;
        const piece rest = {p.text + 1, p.n - 1};
        const size_t close = p.text[0] == '{' && used == 1 ? find_close(rest) : 0;
        if (close > 0 && close < rest.n) {
            put_plain(to, choose(draw, place++, (piece){rest.text, close}));
            used = close + 2;
        } else {
            ath_str_put(to, p.text, 1);
        }
        p = (piece){p.text + used, p.n - used};
    }
}

static uint32_t count_lines(piece p)
{
    uint32_t n = 1;

    for (size_t at = 0; at < p.n; at++) n += p.text[at] == '\n';
    return n;
}

/* From `from` to `to`: one line, its choices made. */
static void take_line(const ath_caption_opts *o, const ath_draw *draw, ath_caption_work *work)
{
    piece p = {ath_str_text(&work->from), work->from.n};
    const uint32_t n = count_lines(p);
    uint32_t skip = o->wildcards && n > 1 ? ath_draw_below(draw, ATH_DRAW_WILDCARD, 0, n) : 0;

    for (; skip > 0; skip--) {
        const size_t at = find(p, "\n") + 1;
        p = (piece){p.text + at, p.n - at};
    }
    p.n = find(p, "\n");
    if (o->wildcards)
        put_choices(&work->to, draw, p);
    else
        ath_str_put(&work->to, p.text, p.n);
}

/* ---- tags ---- */

/* Appends the tags of p; empty ones only where `keep_empty`. */
static ath_err split(piece p, const char *separator, bool keep_empty, ath_caption_work *work,
                     int64_t *n)
{
    for (bool is_last = false; !is_last;) {
        const size_t at = find(p, separator);
        is_last = at == p.n;
        const piece one = strip((piece){p.text, at});
        if (one.n > 0 || keep_empty) {
            ATH_TRY(ath_mem_grow(&work->tags, *n, &work->room, sizeof *work->tags, "tags"));
            work->tags[*n] = (tag){one.text, one.n, (uint32_t)*n};
            (*n)++;
        }
        if (!is_last) {
            const size_t used = at + strlen(separator);
            p = (piece){p.text + used, p.n - used};
        }
    }
    return ATH_OK;
}

/* Where the tags that may change lie among all. */
typedef struct layout {
    int64_t first, end, n;
} layout;

static ath_err split_all(const ath_caption_opts *o, ath_caption_work *work, layout *l)
{
    piece p = {ath_str_text(&work->from), work->from.n};
    const size_t keep = is_given(o->keep_separator) ? find(p, o->keep_separator) : p.n;

    *l = (layout){0};
    if (keep == p.n) {
        ATH_TRY(split(strip(p), o->separator, true, work, &l->n));
        l->first = o->keep_tokens < l->n ? o->keep_tokens : l->n;
        l->end = l->n;
        return ATH_OK;
    }
    const size_t step = strlen(o->keep_separator);
    ATH_TRY(split((piece){p.text, keep}, o->separator, false, work, &l->n));
    l->first = l->n;
    p = (piece){p.text + keep + step, p.n - keep - step};
    const size_t second = find(p, o->keep_separator);
    ATH_TRY(split((piece){p.text, second}, o->separator, false, work, &l->n));
    l->end = l->n;
    if (second == p.n) return ATH_OK;
    p = (piece){p.text + second + step, p.n - second - step};
    return split(p, o->separator, false, work, &l->n);
}

/* How many of n tags a use sees. */
static int64_t warm_up(const ath_caption_opts *o, int64_t step, int64_t n)
{
    if (o->warmup_steps == 0 || step >= o->warmup_steps) return n;
    const double slope = (double)(n - o->warmup_min) / (double)o->warmup_steps;
    const int64_t seen = (int64_t)floor((double)step * slope) + o->warmup_min;
    return seen < n ? seen : n;
}

static void shuffle(const ath_draw *draw, tag *tags, int64_t n)
{
    for (int64_t i = n - 1; i > 0; i--) {
        const uint32_t k =
            ath_draw_below(draw, ATH_DRAW_CAPTION_SHUFFLE, (uint32_t)i, (uint32_t)i + 1);
        const tag kept = tags[i];
        tags[i] = tags[k];
        tags[k] = kept;
    }
}

/* From `from` to `to`: kept, changed and last tags. */
static ath_err change_tags(const ath_caption_opts *o, const ath_caption_use *use,
                           ath_caption_work *work)
{
    layout l;
    bool is_first = true;

    ATH_TRY(split_all(o, work, &l));
    const int64_t seen = l.first + warm_up(o, use->step, l.end - l.first);
    if (o->shuffle) shuffle(&use->draw, work->tags + l.first, seen - l.first);
    for (int64_t i = 0; i < l.n; i++) {
        const tag *t = &work->tags[i];
        const bool is_flexible = l.first <= i && i < l.end;
        if (is_flexible && i >= seen) continue;
        if (is_flexible && o->tag_dropout > 0 &&
            ath_draw_uniform(&use->draw, ATH_DRAW_TAG_DROP, t->index) < o->tag_dropout)
            continue;
        if (!is_first) ath_str_put(&work->to, ", ", 2);
        ath_str_put(&work->to, t->text, t->n);
        is_first = false;
    }
    return ATH_OK;
}

static void replace(const char *what, const char *by, ath_caption_work *work)
{
    piece p = {ath_str_text(&work->from), work->from.n};

    while (p.n > 0) {
        const size_t at = find(p, what), used = at < p.n ? at + strlen(what) : at;
        ath_str_put(&work->to, p.text, at);
        if (at < p.n) ath_str_put(&work->to, by, strlen(by));
        p = (piece){p.text + used, p.n - used};
    }
}

static bool is_dropped(const ath_caption_opts *o, const ath_draw *draw)
{
    if (o->dropout > 0 && ath_draw_uniform(draw, ATH_DRAW_CAPTION_DROP, 0) < o->dropout)
        return true;
    return o->dropout_every_epochs > 0 &&
           (draw->epoch + 1) % (uint32_t)o->dropout_every_epochs == 0;
}

/* Each step reads `from`, writes `to`, and swaps them. A buffer that could not grow latches. */
static ath_err pass(ath_caption_work *work)
{
    ATH_TRY(ath_str_check(&work->to));
    swap(work);
    return ATH_OK;
}

ath_err ath_caption_make(const ath_caption_opts *o, const ath_caption_use *use, const char *caption,
                         ath_caption_work *work, const char **out)
{
    const size_t n = strlen(caption), valid = ath_utf8_check(caption, n);

    ATH_NEED(valid == n, ATH_EFORMAT,
             "caption \"%.40s\": byte %zu is not UTF-8; save the file as UTF-8", caption, valid);
    clear(&work->from);
    clear(&work->to);
    if (is_dropped(o, &use->draw)) {
        *out = "";
        return ATH_OK;
    }
    if (is_given(o->prefix)) ath_str_print(&work->to, "%s ", o->prefix);
    ath_str_put(&work->to, caption, n);
    if (is_given(o->suffix)) ath_str_print(&work->to, " %s", o->suffix);
    ATH_TRY(pass(work));
    take_line(o, &use->draw, work);
    ATH_TRY(pass(work));
    const piece text = {ath_str_text(&work->from), work->from.n};
    if (o->shuffle || o->warmup_steps > 0 || o->tag_dropout > 0 ||
        (is_given(o->keep_separator) && find(text, o->keep_separator) < text.n)) {
        ATH_TRY(change_tags(o, use, work));
        ATH_TRY(pass(work));
    }
    if (is_given(o->secondary_separator)) {
        replace(o->secondary_separator, o->separator, work);
        ATH_TRY(pass(work));
    }
    *out = ath_str_text(&work->from);
    return ATH_OK;
}
