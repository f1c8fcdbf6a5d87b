#include "core/text/bpe.h"

#include "core/hash.h"
#include "core/mem.h"
#include "core/text/runes.h"

#include <inttypes.h>
#include <string.h>

/* A word while it is merged: a list of parts, each at the place of its first byte. */
typedef struct ath_bpe_part {
    int32_t id; /* -1: became part of the one before it */
    int32_t before, after;
} part;

typedef struct merge {
    uint32_t pair; /* left << 16 | right */
    int32_t id;    /* 0: a free place */
} merge;

enum { N_PLACES = 1 << 17, N_IDS_MAX = 49408, WORD_END_BYTES = 4, SYMBOL_BYTES = 512 };
_Static_assert(N_PLACES > 2 * N_IDS_MAX && N_IDS_MAX <= 65536, "a table at most half full");

struct ath_bpe {
    int32_t id_of_byte[256];
    merge merge[N_PLACES];
};

/* What the list writes for a byte: the printable ones of Latin-1 stand for themselves, the others,
 * in their order, for U+0100 and on. Ids follow the order of the former, then of the latter. */
static bool is_printable(int byte)
{
    return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

int32_t ath_bpe_rune_of(int32_t id)
{
    int32_t n_seen = 0;

    for (int32_t byte = 0; byte < 256; byte++)
        if (is_printable(byte) && n_seen++ == id) return byte;
    return 0x100 + id - n_seen;
}

static uint32_t place_of(uint32_t pair)
{
    return (pair * 2654435769u) >> 15; /* 17 bits */
}

static int32_t find_merge(const ath_bpe *bpe, int32_t left, int32_t right)
{
    const uint32_t pair = (uint32_t)left << 16 | (uint32_t)right;

    for (uint32_t at = place_of(pair);; at = (at + 1) % N_PLACES)
        if (bpe->merge[at].id == 0 || bpe->merge[at].pair == pair) return bpe->merge[at].id;
}

static void put_merge(ath_bpe *bpe, int32_t left, int32_t right, int32_t id)
{
    const uint32_t pair = (uint32_t)left << 16 | (uint32_t)right;
    uint32_t at = place_of(pair);

    while (bpe->merge[at].id) at = (at + 1) % N_PLACES;
    bpe->merge[at] = (merge){pair, id};
}

/* While the list is read: ids by what is written for them. */
typedef struct symbol {
    ath_hash hash;
    int32_t id; /* -1: a free place */
} symbol;

static symbol *find_symbol(symbol *symbols, const char *text, size_t n)
{
    const ath_hash hash = ath_hash_of(text, n);
    uint64_t at = hash.lo % N_PLACES;

    while (symbols[at].id >= 0 && !ath_hash_is_equal(symbols[at].hash, hash))
        at = (at + 1) % N_PLACES;
    symbols[at].hash = hash;
    return &symbols[at];
}

static void put_bytes(ath_bpe *bpe, symbol *symbols)
{
    int32_t id = 0, other = 0x100;

    for (int pass = 0; pass < 2; pass++)
        for (int byte = 0; byte < 256; byte++) {
            char text[ATH_RUNE_BYTES + WORD_END_BYTES];
            if (is_printable(byte) != (pass == 0)) continue;
            const size_t n = ath_rune_encode(pass == 0 ? byte : other++, text);
            bpe->id_of_byte[byte] = id;
            find_symbol(symbols, text, n)->id = id;
            memcpy(text + n, "</w>", WORD_END_BYTES);
            find_symbol(symbols, text, n + WORD_END_BYTES)->id = 256 + id++;
        }
}

static ath_err put_line(ath_bpe *bpe, symbol *symbols, const char *line, size_t n, int32_t i)
{
    char joined[SYMBOL_BYTES];
    const char *space = memchr(line, ' ', n);

    ATH_NEED(space && n < SYMBOL_BYTES, ATH_EFORMAT,
             "merge list: line %" PRId32 " is \"%.*s\", wanted a pair with a space between", i + 1,
             (int)(n < 100 ? n : 100), line);
    const size_t n_left = (size_t)(space - line), n_right = n - n_left - 1;
    const symbol *left = find_symbol(symbols, line, n_left);
    const symbol *right = find_symbol(symbols, space + 1, n_right);
    ATH_NEED(left->id >= 0 && right->id >= 0, ATH_EFORMAT,
             "merge list: line %" PRId32 ", \"%.*s\": no line before makes its %s part", i + 1,
             (int)n, line, left->id < 0 ? "left" : "right");
    memcpy(joined, line, n_left);
    memcpy(joined + n_left, space + 1, n_right);
    symbol *both = find_symbol(symbols, joined, n - 1);
    ATH_NEED(both->id < 0, ATH_EFORMAT,
             "merge list: line %" PRId32 ", \"%.*s\": a line before makes the same", i + 1, (int)n,
             line);
    both->id = ATH_BPE_BYTES + i;
    put_merge(bpe, left->id, right->id, both->id);
    return ATH_OK;
}

ath_err ath_bpe_create(const char *list, size_t n, int32_t n_merges, ath_bpe **out)
{
    ath_bpe *bpe = NULL;
    symbol *symbols = NULL;
    const char *end = list + n;
    ath_err err = ATH_OK;

    ATH_NEED(n_merges >= 0 && n_merges <= N_IDS_MAX - ATH_BPE_BYTES, ATH_EINVAL,
             "%" PRId32 " merges, wanted 0 to %d", n_merges, N_IDS_MAX - ATH_BPE_BYTES);
    ATH_TRY_OUT(ATH_NEW(1, "merges of the tokenizer", &bpe));
    ATH_TRY_OUT(ATH_NEW(N_PLACES, "names of the merges", &symbols));
    for (int i = 0; i < N_PLACES; i++) symbols[i].id = -1;
    put_bytes(bpe, symbols);
    for (int32_t i = 0; i < n_merges; i++) {
        const char *newline = memchr(list, '\n', (size_t)(end - list));
        if (!newline) {
            err = ath_raise(ATH_EFORMAT, "merge list: %" PRId32 " lines, wanted %" PRId32, i,
                            n_merges);
            goto out;
        }
        ATH_TRY_OUT(put_line(bpe, symbols, list, (size_t)(newline - list), i));
        list = newline + 1;
    }
    *out = bpe;
    bpe = NULL;
out:
    ath_mem_free(&symbols);
    ath_bpe_destroy(&bpe);
    return err;
}

void ath_bpe_destroy(ath_bpe **bpe)
{
    ath_mem_free(bpe);
}

void ath_bpe_work_release(ath_bpe_work *work)
{
    ath_mem_free(&work->part);
    ath_mem_free(&work->heap);
    *work = (ath_bpe_work){0};
}

/*
 * The heap holds merges that may be possible, as id << 32 | place: the smallest is the one to do
 * first, and of equal ones the leftmost. No merge makes way for one of a lower id, because both parts
 * of a pair have lower ids than what it makes: so this is the order of the definition, which does all
 * merges of the lowest rank, left to right, again and again.
 */
static void push(ath_bpe_work *w, uint64_t value)
{
    int64_t at = w->n_heap++;

    for (int64_t up; at > 0 && w->heap[up = (at - 1) / 2] > value; at = up)
        w->heap[at] = w->heap[up];
    w->heap[at] = value;
}

static uint64_t pop(ath_bpe_work *w)
{
    const uint64_t first = w->heap[0], last = w->heap[--w->n_heap];
    int64_t at = 0;

    for (;;) {
        int64_t down = 2 * at + 1;
        if (down + 1 < w->n_heap && w->heap[down + 1] < w->heap[down]) down++;
        if (down >= w->n_heap || w->heap[down] >= last) break;
        w->heap[at] = w->heap[down];
        at = down;
    }
    w->heap[at] = last;
    return first;
}

static void consider(const ath_bpe *bpe, ath_bpe_work *w, int32_t at)
{
    const int32_t after = at < 0 ? -1 : w->part[at].after;

    if (after < 0) return;
    const int32_t id = find_merge(bpe, w->part[at].id, w->part[after].id);
    if (id) push(w, (uint64_t)id << 32 | (uint32_t)at);
}

static ath_err prepare(ath_bpe_work *w, size_t n)
{
    if ((int64_t)n <= w->room) return ATH_OK;
    const int64_t room = (int64_t)n > 2 * w->room ? (int64_t)n : 2 * w->room;

    w->room = 0;
    ath_mem_free(&w->part);
    ath_mem_free(&w->heap);
    ATH_TRY(ATH_NEW(room, "parts of a word", &w->part));
    /* n - 1 pairs at first, and each of at most n - 1 merges pops one and adds two at most. */
    ATH_TRY(ATH_NEW(2 * room, "merges of a word", &w->heap));
    w->room = room;
    return ATH_OK;
}

ath_err ath_bpe_encode(const ath_bpe *bpe, const unsigned char *word, size_t n, ath_bpe_work *work,
                       ath_ids *ids)
{
    ATH_NEED(n > 0 && n < INT32_MAX / 2, ATH_ELIMIT, "a word of %zu bytes, wanted 1 to %d", n,
             INT32_MAX / 2 - 1);
    ATH_TRY(prepare(work, n));
    part *p = work->part;
    work->n_heap = 0;
    for (int32_t i = 0; i < (int32_t)n; i++)
        p[i] = (part){bpe->id_of_byte[word[i]], i - 1, i + 1 < (int32_t)n ? i + 1 : -1};
    p[n - 1].id += 256;
    for (int32_t i = 0; i < (int32_t)n; i++) consider(bpe, work, i);

    while (work->n_heap) {
        const uint64_t next = pop(work);
        const int32_t at = (int32_t)(uint32_t)next, id = (int32_t)(next >> 32);
        const int32_t after = p[at].after;
        if (p[at].id < 0 || after < 0 || find_merge(bpe, p[at].id, p[after].id) != id) continue;
        p[at].id = id;
        p[at].after = p[after].after;
        p[after].id = -1;
        if (p[at].after >= 0) p[p[at].after].before = at;
        consider(bpe, work, p[at].before);
        consider(bpe, work, at);
    }
    for (int32_t i = 0; i >= 0; i = p[i].after) {
        ATH_TRY(ath_mem_grow(&ids->id, ids->n, &ids->room, sizeof *ids->id, "ids of a text"));
        ids->id[ids->n++] = p[i].id;
    }
    return ATH_OK;
}
