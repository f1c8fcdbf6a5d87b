/* SHA-256: what other programs call the hash of a model. */
#ifndef ATH_CORE_SHA256_H
#define ATH_CORE_SHA256_H

#include "core/err.h"

enum { ATH_SHA256_TEXT = 65 };

/* Of pieces: that of the pieces joined. */
typedef struct ath_sha256 ath_sha256;
ATH_MUST ath_err ath_sha256_create(ath_sha256 **out);
ATH_MUST ath_err ath_sha256_put(ath_sha256 *s, const void *bytes, size_t n);
/* 64 lower-case hexadecimal digits and a terminator. Nothing may be put afterwards. */
ATH_MUST ath_err ath_sha256_end(ath_sha256 *s, char out[ATH_SHA256_TEXT]);
void ath_sha256_destroy(ath_sha256 **s);

/* Reads the whole file: seconds for a model. */
ATH_MUST ath_err ath_sha256_of_file(const char *path, char out[ATH_SHA256_TEXT]);

#endif
