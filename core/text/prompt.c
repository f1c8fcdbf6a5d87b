#include "core/text/prompt.h"

#include "core/mem.h"
#include "core/str.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N_CHUNKS_MAX = 1 << 20 };

void ath_chunks_release(ath_chunks *chunks)
{
    ath_mem_free(&chunks->id);
    ath_mem_free(&chunks->weight);
    *chunks = (ath_chunks){0};
}

/* Cuts ids and their weights (NULL: all 1) in n chunks; what is too long is cut off. */
static ath_err cut(const ath_tokenizer *tokenizer, const ath_ids *ids, const float *weight,
                   int32_t n, ath_chunks *out)
{
    ath_chunks made = {.n = n};
    ath_err err = ATH_OK;

    ATH_TRY_OUT(ATH_NEW((int64_t)n * ATH_CHUNK, "ids of a prompt", &made.id));
    ATH_TRY_OUT(ATH_NEW((int64_t)n * ATH_CHUNK, "weights of a prompt", &made.weight));
    for (int64_t i = 0; i < (int64_t)n * ATH_CHUNK; i++) {
        made.id[i] = ath_tokenizer_end(tokenizer);
        made.weight[i] = 1;
    }
    for (int32_t k = 0; k < n; k++)
        made.id[(int64_t)k * ATH_CHUNK] = ath_tokenizer_begin(tokenizer);
    for (int64_t i = 0; i < ids->n && i < (int64_t)n * ATH_CHUNK_INNER; i++) {
        const int64_t at = i / ATH_CHUNK_INNER * ATH_CHUNK + 1 + i % ATH_CHUNK_INNER;
        made.id[at] = ids->id[i];
        if (weight) made.weight[at] = weight[i];
    }
    *out = made;
    made = (ath_chunks){0};
out:
    ath_chunks_release(&made);
    return err;
}

ath_err ath_caption_chunks(const ath_tokenizer *tokenizer, const char *caption, int32_t n_chunks,
                           ath_chunks *out, int64_t *n_tokens)
{
    ath_ids ids = {0};
    ath_err err = ATH_OK;

    ATH_NEED(n_chunks >= 1 && n_chunks <= 3, ATH_EINVAL,
             "a caption in %" PRId32 " chunks, wanted 1 to 3 (75, 150 or 225 tokens)", n_chunks);
    ATH_TRY_OUT(ath_tokenize(tokenizer, caption, strlen(caption), &ids));
    ATH_TRY_OUT(cut(tokenizer, &ids, NULL, n_chunks, out));
    if (n_tokens) *n_tokens = ids.n;
out:
    ath_ids_release(&ids);
    return err;
}

/* A stretch of the text of one weight. */
typedef struct piece {
    size_t at, n; /* in the text without syntax */
    double weight;
} piece;

/* A bracket that is open, and the first piece behind it. */
typedef struct bracket {
    char kind;
    int64_t i_piece;
} bracket;

typedef struct parser {
    ath_str text; /* without syntax */
    piece *piece;
    int64_t n, room;
    bracket open[ATH_PROMPT_DEPTH];
    int n_open;
} parser;

static ath_err put_literal(parser *p, const char *text, size_t n)
{
    ATH_TRY(ath_mem_grow(&p->piece, p->n, &p->room, sizeof *p->piece, "pieces of a prompt"));
    p->piece[p->n++] = (piece){p->text.n, n, 1};
    ath_str_put(&p->text, text, n);
    return ath_str_check(&p->text);
}

static ath_err open_bracket(parser *p, char kind)
{
    ATH_NEED(p->n_open < ATH_PROMPT_DEPTH, ATH_ELIMIT,
             "prompt: more than %d brackets open at once; close some, or write \\( and \\[ for "
             "brackets that are meant as text",
             ATH_PROMPT_DEPTH);
    p->open[p->n_open++] = (bracket){kind, p->n};
    return ATH_OK;
}

static void multiply(parser *p, int64_t from, double weight)
{
    for (int64_t i = from; i < p->n; i++) p->piece[i].weight *= weight;
}

/* Closes the innermost bracket of its kind; false where none is open. */
static bool close_bracket(parser *p, char kind, double weight)
{
    int i = p->n_open - 1;

    while (i >= 0 && p->open[i].kind != kind) i--;
    if (i < 0) return false;
    multiply(p, p->open[i].i_piece, weight);
    memmove(&p->open[i], &p->open[i + 1], (size_t)(p->n_open - i - 1) * sizeof *p->open);
    p->n_open--;
    return true;
}

/* The length of ":1.2)" at s with its number, or 0. What only looks like a number is text. */
static size_t read_weight(const char *s, double *out)
{
    enum { NUMBER_BYTES = 64 };
    char number[NUMBER_BYTES];
    const size_t sign = s[1] == '+' || s[1] == '-';
    const size_t n = sign + strspn(s + 1 + sign, ".0123456789");
    char *end = NULL;

    if (s[0] != ':' || n == sign || n >= NUMBER_BYTES || s[1 + n] != ')') return 0;
    memcpy(number, s + 1, n);
    number[n] = 0;
    *out = strtod(number, &end);
    return *end == 0 ? n + 2 : 0;
}

/* What begins at s: one token of the syntax, or text up to the next; returns its length. */
static ath_err read_token(parser *p, const char *s, size_t *n)
{
    double weight = 1;

    *n = 1;
    if (s[0] == '\\') {
        const bool escapes = s[1] && strchr("()[]\\", s[1]);
        *n = escapes ? 2 : 1; /* before anything else a backslash means nothing */
        return put_literal(p, s + 1, escapes);
    }
    if (s[0] == '(' || s[0] == '[') return open_bracket(p, s[0]);
    if (s[0] == ')' && close_bracket(p, '(', 1.1)) return ATH_OK;
    if (s[0] == ']' && close_bracket(p, '[', 1 / 1.1)) return ATH_OK;
    const size_t n_weight = read_weight(s, &weight);
    if (n_weight) {
        *n = n_weight;
        return close_bracket(p, '(', weight) ? ATH_OK : put_literal(p, s, n_weight);
    }
    const size_t n_plain = strcspn(s, "\\()[]:");
    *n = n_plain ? n_plain : 1;
    return put_literal(p, s, *n);
}

/* What is open at the end counts as closed there, round brackets first. Neighbours of one weight
 * become one piece, so that a word with an escape in it stays a word. */
static void finish(parser *p)
{
    int64_t n = 0;

    for (int i = 0; i < p->n_open; i++)
        if (p->open[i].kind == '(') multiply(p, p->open[i].i_piece, 1.1);
    for (int i = 0; i < p->n_open; i++)
        if (p->open[i].kind == '[') multiply(p, p->open[i].i_piece, 1 / 1.1);
    for (int64_t i = 0; i < p->n; i++) {
        const bool joins = n > 0 && p->piece[n - 1].weight == p->piece[i].weight;
        if (joins)
            p->piece[n - 1].n += p->piece[i].n;
        else
            p->piece[n++] = p->piece[i];
    }
    p->n = n;
}

static ath_err tokenize_pieces(const ath_tokenizer *tokenizer, const parser *p, ath_ids *ids,
                               float **weight)
{
    int64_t room = 0;

    for (int64_t i = 0; i < p->n; i++) {
        const piece *one = &p->piece[i];
        const int64_t from = ids->n;
        ATH_NEED(fabs(one->weight) <= ATH_PROMPT_WEIGHT, ATH_EINVAL,
                 "prompt: the weight of \"%.*s\" is %g, wanted %g at most",
                 (int)(one->n < 40 ? one->n : 40), ath_str_text(&p->text) + one->at, one->weight,
                 ATH_PROMPT_WEIGHT);
        ATH_TRY(ath_tokenize(tokenizer, ath_str_text(&p->text) + one->at, one->n, ids));
        for (int64_t k = from; k < ids->n; k++) {
            ATH_TRY(ath_mem_grow(weight, k, &room, sizeof **weight, "weights of a prompt"));
            (*weight)[k] = (float)one->weight;
        }
    }
    return ATH_OK;
}

ath_err ath_prompt_chunks(const ath_tokenizer *tokenizer, const char *prompt, int32_t n_min,
                          ath_chunks *out)
{
    parser p = {0};
    ath_ids ids = {0};
    float *weight = NULL;
    ath_err err = ATH_OK;

    ATH_NEED(n_min >= 0 && n_min <= N_CHUNKS_MAX, ATH_EINVAL,
             "a prompt of at least %" PRId32 " chunks, wanted 0 to %d", n_min, N_CHUNKS_MAX);
    for (size_t n = 0; *prompt; prompt += n) ATH_TRY_OUT(read_token(&p, prompt, &n));
    finish(&p);
    ATH_TRY_OUT(tokenize_pieces(tokenizer, &p, &ids, &weight));
    const int64_t n_needed = (ids.n + ATH_CHUNK_INNER - 1) / ATH_CHUNK_INNER;
    if (n_needed > N_CHUNKS_MAX) {
        err = ath_raise(ATH_ELIMIT, "prompt: %" PRId64 " tokens, at most %d", ids.n,
                        N_CHUNKS_MAX * ATH_CHUNK_INNER);
        goto out;
    }
    const int32_t n_least = n_min > 1 ? n_min : 1;
    ATH_TRY_OUT(
        cut(tokenizer, &ids, weight, n_needed > n_least ? (int32_t)n_needed : n_least, out));
out:
    ath_str_release(&p.text);
    ath_mem_free(&p.piece);
    ath_ids_release(&ids);
    ath_mem_free(&weight);
    return err;
}

const char *ath_prompt_find_network(const char *prompt, int *n)
{
    static const char *const kinds[] = {"<lora:", "<lyco:", "<hypernet:"};
    const char *at = NULL;

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const char *found = strstr(prompt, kinds[i]);
        if (found && (!at || found < at)) at = found;
    }
    if (!at) return NULL;
    *n = (int)strcspn(at, ">");
    *n += at[*n] == '>';
    return at;
}
