/*
 * CLIP's byte pair encoding (Radford et al. 2021; spec/training-semantics 3.2), equal to the slow
 * CLIPTokenizer of transformers with ftfy (docs/tokenizer.md). The merge list is part of the program.
 */
#ifndef ATH_CORE_TEXT_TOKENIZER_H
#define ATH_CORE_TEXT_TOKENIZER_H

#include "core/err.h"

typedef struct ath_tokenizer ath_tokenizer;

/* For a vocabulary of `vocab` entries: 512 bytes, vocab - 514 merges, begin, end. 49408 is CLIP's.
 * ATH_EINVAL outside 514..49408. Immutable: any number of threads may share it. */
ATH_MUST ath_err ath_tokenizer_create(int32_t vocab, ath_tokenizer **out);
void ath_tokenizer_destroy(ath_tokenizer **tokenizer);

int32_t ath_tokenizer_begin(const ath_tokenizer *tokenizer); /* <|startoftext|> */
int32_t ath_tokenizer_end(const ath_tokenizer *tokenizer);   /* <|endoftext|>, also the padding */

/* Ids in memory of their own, grown as needed. {0} is empty. */
typedef struct ath_ids {
    int32_t *id;
    int64_t n, room;
} ath_ids;
void ath_ids_release(ath_ids *ids);

/* Appends the ids of `text` (n bytes, invalid UTF-8 read as U+FFFD), without begin and end; nothing
 * where it fails. Takes n log n steps, and memory while it works. */
ATH_MUST ath_err ath_tokenize(const ath_tokenizer *tokenizer, const char *text, size_t n,
                              ath_ids *ids);

#endif
