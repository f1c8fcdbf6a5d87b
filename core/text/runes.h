/*
 * Text as code points: reading and writing UTF-8, and what Unicode says about characters.
 *
 * The answers are those of the installed utf8proc (Debian 12: Unicode 15); docs/tokenizer.md tells
 * what that means beside Python.
 */
#ifndef ATH_CORE_TEXT_RUNES_H
#define ATH_CORE_TEXT_RUNES_H

#include "core/err.h"

/* Code points in memory of their own, grown as needed. {0} is empty. */
typedef struct ath_runes {
    int32_t *c;
    int64_t n, room;
} ath_runes;

void ath_runes_release(ath_runes *runes);
ATH_MUST ath_err ath_runes_put(ath_runes *runes, int32_t c);

/* Appends n bytes of UTF-8. What is invalid becomes U+FFFD, one for each longest beginning of a valid
 * sequence and one for each other byte, as Unicode recommends and Python does. */
ATH_MUST ath_err ath_runes_decode(ath_runes *runes, const char *text, size_t n);

enum { ATH_RUNE_BYTES = 4 };
/* UTF-8 of a valid code point into `out`; returns the number of bytes. */
size_t ath_rune_encode(int32_t c, char out[ATH_RUNE_BYTES]);

/* What CLIP tells apart: white space, letters (L), numbers (N), the rest (marks too). */
typedef enum ath_rune_class {
    ATH_RUNE_SPACE,
    ATH_RUNE_LETTER,
    ATH_RUNE_NUMBER,
    ATH_RUNE_OTHER,
    ATH_N_RUNE_CLASSES
} ath_rune_class;
ath_rune_class ath_rune_class_of(int32_t c);

/* A decimal digit of any script (Nd). */
bool ath_rune_is_digit(int32_t c);

/* Compatibility decomposition of one character into `out`; returns how many. */
enum { ATH_RUNE_PARTS = 32 };
int64_t ath_rune_decompose(int32_t c, int32_t out[ATH_RUNE_PARTS]);

/* Into normal form C, in place and in linear time. */
ATH_MUST ath_err ath_runes_compose(ath_runes *runes);

/* Appends `from` in lower case: full case mapping, with the final sigma. */
ATH_MUST ath_err ath_runes_lower(const ath_runes *from, ath_runes *to);

#endif
