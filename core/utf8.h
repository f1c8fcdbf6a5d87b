/* UTF-8 (RFC 3629): no surrogates, no overlong forms, nothing above U+10FFFF. */
#ifndef ATH_CORE_UTF8_H
#define ATH_CORE_UTF8_H

#include "core/err.h"

/* The code point at `text`, which has n > 0 bytes; returns its length, 0 where the bytes are none. */
int ath_utf8_next(const char *text, size_t n, uint32_t *out);

/* Bytes of `text` before the first that is not UTF-8; n where all are. */
size_t ath_utf8_check(const char *text, size_t n);

#endif
