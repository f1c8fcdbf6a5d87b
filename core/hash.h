/* Hashes. XXH3-128 for identity of plans, caches and tensors in memory (not against malice). */
#ifndef ATH_CORE_HASH_H
#define ATH_CORE_HASH_H

#include "core/err.h"
#include <stdint.h>

typedef struct ath_hash {
    uint64_t lo, hi;
} ath_hash;

/* A hash of pieces: equal to that of the pieces joined. */
typedef struct ath_hasher ath_hasher;
ATH_MUST ath_err ath_hasher_create(ath_hasher **out);
void ath_hasher_put(ath_hasher *h, const void *bytes, size_t n);
ath_hash ath_hasher_get(const ath_hasher *h);
void ath_hasher_destroy(ath_hasher **h);

/* One shot. */
ath_hash ath_hash_of(const void *bytes, size_t n);
bool ath_hash_is_equal(ath_hash a, ath_hash b);

enum { ATH_HASH_TEXT = 33 };
/* 32 lower-case hexadecimal digits and a terminator into `out`; returns `out`. */
char *ath_hash_print(ath_hash h, char out[ATH_HASH_TEXT]);
/* The other way round, from the first 32 characters; false where they are anything else. */
bool ath_hash_parse(const char *text, ath_hash *out);

#endif
