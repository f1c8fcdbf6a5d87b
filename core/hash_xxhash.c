#include "core/hash.h"

#include "core/mem.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#define XXH_STATIC_LINKING_ONLY
#if defined(__x86_64__)
#include <xxh_x86dispatch.h> /* xxhash.h with the widest vectors that the processor has */
#else
#include <xxhash.h>
#endif

struct ath_hasher {
    XXH3_state_t state;
};

static ath_hash from_xxh(XXH128_hash_t h)
{
    return (ath_hash){h.low64, h.high64};
}

ath_err ath_hasher_create(ath_hasher **out)
{
    ATH_TRY(ATH_NEW(1, "hasher", out));
    XXH3_128bits_reset(&(*out)->state);
    return ATH_OK;
}

void ath_hasher_put(ath_hasher *h, const void *bytes, size_t n)
{
    XXH3_128bits_update(&h->state, bytes, n);
}

ath_hash ath_hasher_get(const ath_hasher *h)
{
    return from_xxh(XXH3_128bits_digest(&h->state));
}

void ath_hasher_destroy(ath_hasher **h)
{
    ath_mem_free(h);
}

ath_hash ath_hash_of(const void *bytes, size_t n)
{
    return from_xxh(XXH3_128bits(bytes, n));
}

bool ath_hash_is_equal(ath_hash a, ath_hash b)
{
    return a.lo == b.lo && a.hi == b.hi;
}

char *ath_hash_print(ath_hash h, char out[ATH_HASH_TEXT])
{
    snprintf(out, ATH_HASH_TEXT, "%016" PRIx64 "%016" PRIx64, h.hi, h.lo);
    return out;
}

bool ath_hash_parse(const char *text, ath_hash *out)
{
    uint64_t word[2] = {0};

    for (int i = 0; i < ATH_HASH_TEXT - 1; i++) {
        const char *digits = "0123456789abcdef", *at = text[i] ? strchr(digits, text[i]) : NULL;
        if (!at) return false;
        word[i / 16] = word[i / 16] << 4 | (uint64_t)(at - digits);
    }
    *out = (ath_hash){.hi = word[0], .lo = word[1]};
    return true;
}
