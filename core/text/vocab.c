#include "core/text/vocab.h"

#include "core/text/blobs.h"
#include "core/text/bpe.h"
#include "core/text/runes.h"
#include <inttypes.h>
#include <string.h>

/* The end of the first n_merges lines of the list. */
static const char *end_of_merges(int32_t n_merges)
{
    const char *at = ath_merges;

    while (n_merges-- > 0 && at < ath_merges_end) {
        const char *end = memchr(at, '\n', (size_t)(ath_merges_end - at));
        at = end ? end + 1 : ath_merges_end;
    }
    return at;
}

/* One entry: what is written for a token, a space within left out, quoted. */
static void put_token(ath_str *to, const char *text, size_t n, int32_t id)
{
    ath_str_put(to, id ? ", \"" : "{\"", id ? 3 : 2);
    for (size_t i = 0; i < n; i++) {
        if (text[i] == ' ') continue;
        if (text[i] == '"' || text[i] == '\\') ath_str_put(to, "\\", 1);
        ath_str_put(to, text + i, 1);
    }
    ath_str_print(to, "\": %" PRId32, id);
}

void ath_vocab_print(int32_t vocab, ath_str *to)
{
    static const char begin[] = "<|startoftext|>", end[] = "<|endoftext|>";
    char text[ATH_RUNE_BYTES + 4];
    int32_t id = 0;

    ATH_ASSERT(vocab >= ATH_VOCAB_MIN && vocab <= ATH_VOCAB_MAX);
    for (; id < ATH_BPE_BYTES; id++) {
        size_t n = ath_rune_encode(ath_bpe_rune_of(id % 256), text);
        memcpy(text + n, "</w>", 4);
        put_token(to, text, id < 256 ? n : n + 4, id);
    }
    const char *stop = end_of_merges(vocab - ATH_VOCAB_MIN);
    for (const char *at = ath_merges; at < stop; id++) {
        const char *line_end = memchr(at, '\n', (size_t)(stop - at));
        put_token(to, at, (size_t)((line_end ? line_end : stop) - at), id);
        at = line_end ? line_end + 1 : stop;
    }
    put_token(to, begin, sizeof begin - 1, id);
    put_token(to, end, sizeof end - 1, id + 1);
    ath_str_put(to, "}\n", 2);
}

void ath_merges_print(int32_t vocab, ath_str *to)
{
    ATH_ASSERT(vocab >= ATH_VOCAB_MIN && vocab <= ATH_VOCAB_MAX);
    ath_str_print(to, "#version: 0.2\n");
    ath_str_put(to, ath_merges, (size_t)(end_of_merges(vocab - ATH_VOCAB_MIN) - ath_merges));
}
