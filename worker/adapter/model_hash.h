/* The hashes by which other programs know a file of tensors. */
#ifndef ATH_ADAPTER_MODEL_HASH_H
#define ATH_ADAPTER_MODEL_HASH_H

#include "core/io/safetensors_writer.h"
#include "core/sha256.h"

typedef struct ath_model_hash {
    char sha256[ATH_SHA256_TEXT];
    char window[9]; /* the WebUI's old one: SHA-256 of 64 KiB from 1 MiB on, its first 8 digits */
} ath_model_hash;

/* Of a whole file; reads all of it. */
ATH_MUST ath_err ath_model_hash_of_file(const char *path, ath_model_hash *out);

/* Of a file that is not written yet (kohya's sshs_*): SHA-256 of what follows the header, the window of
 * all. */
ATH_MUST ath_err ath_model_hash_of_tensors(const char *path, int64_t n, const ath_st_out *tensors,
                                           int64_t n_meta, const ath_st_meta *meta,
                                           ath_model_hash *out);

#endif
