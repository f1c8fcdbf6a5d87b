/* SHA-256 of files: what other programs call the hash of a model. */
#ifndef ATH_CORE_SHA256_H
#define ATH_CORE_SHA256_H

#include "core/err.h"

enum { ATH_SHA256_TEXT = 65 };

/* 64 lower-case hexadecimal digits and a terminator. Reads the whole file: seconds for a model. */
ATH_MUST ath_err ath_sha256_of_file(const char *path, char out[ATH_SHA256_TEXT]);

#endif
