#include "core/text/tokenizer.h"

#include "core/mem.h"
#include "core/text/blobs.h"
#include "core/text/bpe.h"
#include "core/text/clean.h"

#include <inttypes.h>
#include <string.h>

enum { N_SPECIAL = 2, N_VOCAB_MAX = 49408, TEXT_MAX_BYTES = 1 << 28 };

static const char *const special[N_SPECIAL] = {"<|startoftext|>", "<|endoftext|>"};

struct ath_tokenizer {
    int32_t n_vocab;
    ath_bpe *bpe;
};

ath_err ath_tokenizer_create(int32_t vocab, ath_tokenizer **out)
{
    const int32_t n_least = ATH_BPE_BYTES + N_SPECIAL;
    ath_tokenizer *t = NULL;
    ath_err err = ATH_OK;

    ATH_NEED(vocab >= n_least && vocab <= N_VOCAB_MAX, ATH_EINVAL,
             "a vocabulary of %" PRId32 " entries, wanted %" PRId32 " to %d", vocab, n_least,
             N_VOCAB_MAX);
    ATH_TRY_OUT(ATH_NEW(1, "tokenizer", &t));
    t->n_vocab = vocab;
    ATH_TRY_OUT(ath_bpe_create(ath_merges, (size_t)(ath_merges_end - ath_merges), vocab - n_least,
                               &t->bpe));
    *out = t;
    t = NULL;
out:
    ath_tokenizer_destroy(&t);
    return err;
}

void ath_tokenizer_destroy(ath_tokenizer **tokenizer)
{
    if (*tokenizer) ath_bpe_destroy(&(*tokenizer)->bpe);
    ath_mem_free(tokenizer);
}

int32_t ath_tokenizer_begin(const ath_tokenizer *tokenizer)
{
    return tokenizer->n_vocab - 2;
}

int32_t ath_tokenizer_end(const ath_tokenizer *tokenizer)
{
    return tokenizer->n_vocab - 1;
}

void ath_ids_release(ath_ids *ids)
{
    ath_mem_free(&ids->id);
    *ids = (ath_ids){0};
}

/* One call of ath_tokenize. */
typedef struct call {
    const ath_tokenizer *tokenizer;
    ath_ids *ids;
    ath_runes raw, clean;
    char *word;
    int64_t n_word, word_room;
    ath_bpe_work work;
} call;

static ath_err put_id(call *c, int32_t id)
{
    ATH_TRY(
        ath_mem_grow(&c->ids->id, c->ids->n, &c->ids->room, sizeof *c->ids->id, "ids of a text"));
    c->ids->id[c->ids->n++] = id;
    return ATH_OK;
}

/* As CLIP's expression sees it. It looks at cases too, and U+0345, a mark whose capital is a letter,
 * is then none of the four kinds: it is passed over like white space. */
static ath_rune_class class_of(int32_t c)
{
    return c == 0x345 ? ATH_RUNE_SPACE : ath_rune_class_of(c);
}

/* Whether `text` begins with `pattern`, in lower case. The long s is an s when case does not count. */
static bool begins_with(const int32_t *text, int64_t n, const char *pattern)
{
    for (; *pattern; pattern++, text++, n--)
        if (n == 0 || (*text != *pattern && !(*text == 0x17F && *pattern == 's'))) return false;
    return true;
}

/* The length of the piece at text[0], which is no white space, n > 0: what comes first in CLIP's list
 * of special string, contraction, letters, one number, others. */
static int64_t piece_length(const int32_t *text, int64_t n)
{
    static const char *const first[] = {
        "<|startoftext|>", "<|endoftext|>", "'s", "'t", "'re", "'ve", "'m", "'ll", "'d"};
    const ath_rune_class class = class_of(text[0]);
    int64_t at = 1;

    if (text[0] == '\'' || text[0] == '<')
        for (size_t i = 0; i < sizeof first / sizeof *first; i++)
            if (begins_with(text, n, first[i])) return (int64_t)strlen(first[i]);
    if (class == ATH_RUNE_NUMBER) return 1;
    while (at < n && class_of(text[at]) == class) at++;
    return at;
}

static ath_err put_piece(call *c, const int32_t *text, int64_t n)
{
    c->n_word = 0;
    for (int64_t i = 0; i < n; i++) {
        char bytes[ATH_RUNE_BYTES];
        const size_t n_bytes = ath_rune_encode(text[i], bytes);
        for (size_t k = 0; k < n_bytes; k++) {
            ATH_TRY(ath_mem_grow(&c->word, c->n_word, &c->word_room, 1, "a word"));
            c->word[c->n_word++] = bytes[k];
        }
    }
    for (int i = 0; i < N_SPECIAL; i++)
        if ((size_t)c->n_word == strlen(special[i]) &&
            memcmp(c->word, special[i], (size_t)c->n_word) == 0)
            return put_id(c, c->tokenizer->n_vocab - N_SPECIAL + i);
    return ath_bpe_encode(c->tokenizer->bpe, (const unsigned char *)c->word, (size_t)c->n_word,
                          &c->work, c->ids);
}

/* Text without special strings. */
static ath_err put_text(call *c, const char *text, size_t n)
{
    c->raw.n = c->clean.n = 0;
    ATH_TRY(ath_runes_decode(&c->raw, text, n));
    ATH_TRY(ath_text_clean(&c->raw, &c->clean));
    for (int64_t i = 0; i < c->clean.n;) {
        if (class_of(c->clean.c[i]) == ATH_RUNE_SPACE) {
            i++;
            continue;
        }
        const int64_t length = piece_length(c->clean.c + i, c->clean.n - i);
        ATH_TRY(put_piece(c, c->clean.c + i, length));
        i += length;
    }
    return ATH_OK;
}

/* Special strings are cut out of the text as it came; what lies between is cleaned by itself. */
static ath_err put_all(call *c, const char *text, size_t n)
{
    size_t begin = 0, at = 0;

    while (at < n) {
        const char *angle = memchr(text + at, '<', n - at);
        int which = 0;
        if (!angle) break;
        at = (size_t)(angle - text);
        while (which < N_SPECIAL && (n - at < strlen(special[which]) ||
                                     memcmp(angle, special[which], strlen(special[which])) != 0))
            which++;
        if (which == N_SPECIAL) {
            at++;
            continue;
        }
        ATH_TRY(put_text(c, text + begin, at - begin));
        ATH_TRY(put_id(c, c->tokenizer->n_vocab - N_SPECIAL + which));
        begin = at += strlen(special[which]);
    }
    return put_text(c, text + begin, n - begin);
}

ath_err ath_tokenize(const ath_tokenizer *tokenizer, const char *text, size_t n, ath_ids *ids)
{
    call c = {.tokenizer = tokenizer, .ids = ids};
    const int64_t n_before = ids->n;
    ath_err err = ATH_OK;

    ATH_NEED(n <= TEXT_MAX_BYTES, ATH_ELIMIT, "a text of %zu bytes, at most %d", n, TEXT_MAX_BYTES);
    ATH_TRY_OUT(put_all(&c, text, n));
out:
    if (err) ids->n = n_before;
    ath_runes_release(&c.raw);
    ath_runes_release(&c.clean);
    ath_mem_free(&c.word);
    ath_bpe_work_release(&c.work);
    return err;
}
