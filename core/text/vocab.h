/*
 * The vocabulary as the two files from which transformers makes the same tokenizer: vocab.json, ids by
 * token, and merges.txt.
 */
#ifndef ATH_CORE_TEXT_VOCAB_H
#define ATH_CORE_TEXT_VOCAB_H

#include "core/str.h"
#include <stdint.h>

enum { ATH_VOCAB_MIN = 514, ATH_VOCAB_MAX = 49408 }; /* of ath_tokenizer_create */

/* `vocab` within the two. Append; failures latch in `to`. */
void ath_vocab_print(int32_t vocab, ath_str *to);
void ath_merges_print(int32_t vocab, ath_str *to);

#endif
