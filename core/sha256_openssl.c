#include "core/sha256.h"

#include "core/io/file.h"
#include <openssl/evp.h>
#include <stdio.h>

/* An ath_sha256 is OpenSSL's state under another name. */

ath_err ath_sha256_create(ath_sha256 **out)
{
    EVP_MD_CTX *state = EVP_MD_CTX_new();

    if (!state || EVP_DigestInit_ex(state, EVP_sha256(), NULL) != 1) {
        EVP_MD_CTX_free(state);
        return ath_raise(ATH_ENOMEM, "SHA-256: OpenSSL failed to begin");
    }
    *out = (ath_sha256 *)state;
    return ATH_OK;
}

ath_err ath_sha256_put(ath_sha256 *s, const void *bytes, size_t n)
{
    ATH_NEED(EVP_DigestUpdate((EVP_MD_CTX *)s, bytes, n) == 1, ATH_ENOMEM,
             "SHA-256: OpenSSL failed");
    return ATH_OK;
}

ath_err ath_sha256_end(ath_sha256 *s, char out[ATH_SHA256_TEXT])
{
    unsigned char digest[EVP_MAX_MD_SIZE];

    ATH_NEED(EVP_DigestFinal_ex((EVP_MD_CTX *)s, digest, NULL) == 1, ATH_ENOMEM,
             "SHA-256: OpenSSL failed to end");
    for (size_t i = 0; i < (ATH_SHA256_TEXT - 1) / 2; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
    return ATH_OK;
}

void ath_sha256_destroy(ath_sha256 **s)
{
    EVP_MD_CTX_free((EVP_MD_CTX *)*s);
    *s = NULL;
}

static ath_err add(void *context, const void *bytes, size_t n)
{
    return ath_sha256_put(context, bytes, n);
}

ath_err ath_sha256_of_file(const char *path, char out[ATH_SHA256_TEXT])
{
    ath_sha256 *s = NULL;
    ath_err err = ATH_OK;

    ATH_TRY(ath_sha256_create(&s));
    ATH_TRY_OUT(ath_file_each(path, add, s));
    ATH_TRY_OUT(ath_sha256_end(s, out));
out:
    ath_sha256_destroy(&s);
    return err;
}
