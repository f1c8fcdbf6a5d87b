/*
 * Byte pair encoding: the table of merges, and the ids of one word.
 *
 * Ids: 256 bytes, the same 256 as the end of a word, then one for each merge in the order of the list,
 * which is the order in which merges are applied.
 */
#ifndef ATH_CORE_TEXT_BPE_H
#define ATH_CORE_TEXT_BPE_H

#include "core/text/tokenizer.h"

enum { ATH_BPE_BYTES = 512 }; /* ids of bytes */

/* The character that is written for the byte of id 0 to 255: itself where it is printable, else one
 * of those from U+0100 on. */
int32_t ath_bpe_rune_of(int32_t id);

/* Immutable: any number of threads may share it. */
typedef struct ath_bpe ath_bpe;

/* From the first n_merges lines "left right" of `list`, n bytes. EFORMAT, with the line, where one is
 * not a pair of things made before, or makes what there is already. */
ATH_MUST ath_err ath_bpe_create(const char *list, size_t n, int32_t n_merges, ath_bpe **out);
void ath_bpe_destroy(ath_bpe **bpe);

/* Scratch of one thread, kept from word to word. {0} is empty. */
typedef struct ath_bpe_work {
    struct ath_bpe_part *part;
    uint64_t *heap;
    int64_t room, heap_room, n_heap;
} ath_bpe_work;
void ath_bpe_work_release(ath_bpe_work *work);

/* Appends the ids of one word of n bytes, n > 0. Takes n log n steps at most. */
ATH_MUST ath_err ath_bpe_encode(const ath_bpe *bpe, const unsigned char *word, size_t n,
                                ath_bpe_work *work, ath_ids *ids);

#endif
