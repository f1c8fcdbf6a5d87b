/*
 * Any bytes through the tokenizer, the parser of prompts and that of prompt files: none fails in
 * another way than by an error of the list, ids stay within the vocabulary, and tokenizing a part cut
 * out at a special string gives the ids that it had in the whole.
 */
#include "core/mem.h"
#include "core/text/prompt.h"
#include "core/text/prompt_line.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static ath_tokenizer *tokenizer;

static void check(ath_err err, ath_err allowed, ath_err allowed_too)
{
    ATH_ASSERT(err == ATH_OK || err == allowed || err == allowed_too);
    ath_err_clear();
}

static void tokenize(const char *text, size_t n)
{
    static const char end[] = "<|endoftext|>";
    const char *cut = NULL;
    ath_ids whole = {0}, parts = {0};

    check(ath_tokenize(tokenizer, text, n, &whole), ATH_OK, ATH_OK);
    for (int64_t i = 0; i < whole.n; i++)
        ATH_ASSERT(whole.id[i] >= 0 && whole.id[i] <= ath_tokenizer_end(tokenizer));
    for (size_t i = 0; i + sizeof end - 1 <= n && !cut; i++)
        if (memcmp(text + i, end, sizeof end - 1) == 0) cut = text + i + sizeof end - 1;
    if (cut) {
        const size_t n_first = (size_t)(cut - text);
        check(ath_tokenize(tokenizer, text, n_first, &parts), ATH_OK, ATH_OK);
        check(ath_tokenize(tokenizer, cut, n - n_first, &parts), ATH_OK, ATH_OK);
        ATH_ASSERT(parts.n == whole.n &&
                   memcmp(parts.id, whole.id, (size_t)whole.n * sizeof *whole.id) == 0);
    }
    ath_ids_release(&whole);
    ath_ids_release(&parts);
}

static void parse(const char *text, size_t n)
{
    const ath_prompt_line initial = ath_prompt_line_initial();
    ath_prompt_lines lines = {0};
    ath_arena arena = {0};

    check(ath_prompt_lines_parse("fuzz", text, n, &initial, &arena, &lines), ATH_EFORMAT, ATH_OK);
    for (int64_t i = 0; i < lines.n; i++) {
        const ath_prompt_line *l = &lines.line[i];
        ATH_ASSERT(l->prompt && l->negative && l->width % 8 == 0 && l->height % 8 == 0);
        ATH_ASSERT(l->width >= 64 && l->height >= 64 && l->steps >= 1 && l->scale >= 0);
    }
    ath_arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    ath_chunks chunks = {0}, caption = {0};
    char *text = malloc(n + 1);

    ATH_ASSERT(text);
    if (n) memcpy(text, data, n);
    text[n] = 0;
    if (!tokenizer) check(ath_tokenizer_create(49408, &tokenizer), ATH_OK, ATH_OK);
    tokenize((const char *)data, n); /* as it came: a read past the end is found */
    parse((const char *)data, n);
    check(ath_prompt_chunks(tokenizer, text, 1, &chunks), ATH_EINVAL, ATH_ELIMIT);
    check(ath_caption_chunks(tokenizer, text, 2, &caption, NULL), ATH_OK, ATH_OK);
    ath_chunks_release(&chunks);
    ath_chunks_release(&caption);
    free(text);
    return 0;
}
