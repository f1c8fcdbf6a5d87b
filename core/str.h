/*
 * A growing text buffer. Appending latches: the first failure sticks, later calls do nothing, and
 * ath_str_check tells. The text is always terminated. {0} is a valid empty buffer. What is appended
 * must not lie in the buffer itself.
 */
#ifndef ATH_CORE_STR_H
#define ATH_CORE_STR_H

#include "core/err.h"

typedef struct ath_str {
    char *text; /* NULL while empty: use ath_str_text */
    size_t n;   /* bytes without the terminator */
    size_t room;
    ath_err err;
} ath_str;

void ath_str_print(ath_str *s, const char *fmt, ...) ATH_PRINTF(2, 3);
void ath_str_put(ath_str *s, const void *bytes, size_t n);

/* The text, "" while empty; valid until the next append. */
const char *ath_str_text(const ath_str *s);

/* The latched error, or ATH_OK. */
ATH_MUST ath_err ath_str_check(const ath_str *s);

void ath_str_release(ath_str *s);

#endif
