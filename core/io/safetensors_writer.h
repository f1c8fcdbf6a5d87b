/*
 * Writing safetensors: byte for byte what the reference library writes for the same tensors (types
 * descending, then names ascending; spec/adapters-and-formats 3.1.4).
 */
#ifndef ATH_CORE_IO_SAFETENSORS_WRITER_H
#define ATH_CORE_IO_SAFETENSORS_WRITER_H

#include "core/io/file.h"
#include "core/io/safetensors.h"

/* A tensor to write as `dtype`; converted from `from` on the way where they differ (F32, F16, BF16,
 * F64 among each other, rounded to nearest even; others only to themselves). */
typedef struct ath_st_out {
    const char *name;
    ath_st_dtype dtype, from;
    int32_t n_dim;
    const int64_t *dim;
    const void *data; /* of type `from`, aligned to nothing */
} ath_st_out;

typedef struct ath_st_meta {
    const char *key, *value; /* UTF-8 */
} ath_st_meta;

/* Publishes the file whole (file.h). Metadata keys are written in the order given; n_meta 0: none. */
ATH_MUST ath_err ath_st_write(const char *path, int64_t n, const ath_st_out *tensors,
                              int64_t n_meta, const ath_st_meta *meta);

typedef struct ath_st_sink {
    ath_take_fn *take;
    void *context;
} ath_st_sink;

/* The bytes that write would publish under `path`, in order; the first piece is the header's length,
 * the second the header. For hashes of what is not written yet. */
ATH_MUST ath_err ath_st_emit(const char *path, int64_t n, const ath_st_out *tensors, int64_t n_meta,
                             const ath_st_meta *meta, const ath_st_sink *sink);

#endif
