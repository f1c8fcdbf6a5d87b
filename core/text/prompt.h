/*
 * Prompts as the text encoder takes them: weighted pieces, cut in chunks of 75 tokens between begin
 * and end (spec/training-semantics 3.3 to 3.5, adapters-and-formats 1.2).
 */
#ifndef ATH_CORE_TEXT_PROMPT_H
#define ATH_CORE_TEXT_PROMPT_H

#include "core/text/tokenizer.h"

enum { ATH_CHUNK = 77, ATH_CHUNK_INNER = 75 };

/* Chunks of ATH_CHUNK ids: begin, up to 75 tokens, end, padding with end. */
typedef struct ath_chunks {
    int32_t n;
    int32_t *id;   /* [n, ATH_CHUNK] */
    float *weight; /* [n, ATH_CHUNK]: 1 for begin, end and padding */
} ath_chunks;
void ath_chunks_release(ath_chunks *chunks);

/* A caption: no syntax, every weight 1; exactly n_chunks chunks (1, 2, 3: 75, 150, 225 tokens), what
 * is too long is cut; *n_tokens (may be NULL) is how many there were. */
ATH_MUST ath_err ath_caption_chunks(const ath_tokenizer *tokenizer, const char *caption,
                                    int32_t n_chunks, ath_chunks *out, int64_t *n_tokens);

/* Brackets that may be open at once, and the largest weight that they may multiply up to. */
enum { ATH_PROMPT_DEPTH = 100 };
#define ATH_PROMPT_WEIGHT 1e6

/* A prompt for sampling: (x) times 1.1, [x] divided by 1.1, (x:w) times w, nesting multiplies,
 * backslash escapes. As many chunks as it needs, at least `n_min` (so that prompt and negative prompt
 * can be made equally long). A bracket left open acts to the end; one that closes nothing is text.
 * The first n chunks are what a weighted caption of n chunks becomes. */
ATH_MUST ath_err ath_prompt_chunks(const ath_tokenizer *tokenizer, const char *prompt,
                                   int32_t n_min, ath_chunks *out);

/* The first <lora:name:weight> (lyco, hypernet) of a prompt, of *n bytes: the WebUI takes it out and
 * loads that file. Nothing here does, so whoever takes prompts from people refuses it. NULL: none. */
const char *ath_prompt_find_network(const char *prompt, int *n);

#endif
