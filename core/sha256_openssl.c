#include "core/sha256.h"

#include "core/io/file.h"
#include <openssl/evp.h>
#include <stdio.h>

static ath_err add(void *context, const void *bytes, size_t n)
{
    ATH_NEED(EVP_DigestUpdate(context, bytes, n) == 1, ATH_ENOMEM, "SHA-256: OpenSSL failed");
    return ATH_OK;
}

ath_err ath_sha256_of_file(const char *path, char out[ATH_SHA256_TEXT])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *state = EVP_MD_CTX_new();
    ath_err err = ATH_OK;

    if (!state || EVP_DigestInit_ex(state, EVP_sha256(), NULL) != 1) {
        err = ath_raise(ATH_ENOMEM, "SHA-256: OpenSSL failed to begin");
        goto out;
    }
    ATH_TRY_OUT(ath_file_each(path, add, state));
    if (EVP_DigestFinal_ex(state, digest, NULL) != 1) {
        err = ath_raise(ATH_ENOMEM, "SHA-256: OpenSSL failed to end");
        goto out;
    }
    for (size_t i = 0; i < (ATH_SHA256_TEXT - 1) / 2; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
out:
    EVP_MD_CTX_free(state);
    return err;
}
