/*
 * HDF5 files: written once, whole, by one process; read by anybody with the usual tools. Groups are
 * made by the slashes of a name. Everything of a file is little-endian and lies in one piece
 * (contiguous), so that others may map it.
 *
 * Any thread, each file by one at a time. The library is asked by one thread at a time, in turns as
 * short as one call of these: who writes a small file does not wait for a large one.
 */
#ifndef ATH_CORE_IO_H5_H
#define ATH_CORE_IO_H5_H

#include "core/err.h"

typedef struct ath_h5 ath_h5;

/* A new file beside `path` (file.h, publishing). */
ATH_MUST ath_err ath_h5_create(const char *path, ath_h5 **out);
/* Closes and publishes it; the handle is gone whatever happens. */
ATH_MUST ath_err ath_h5_commit(ath_h5 **h5);
/* Closes; undoes what was not committed. Also ends reading. Accepts NULL. */
void ath_h5_close(ath_h5 **h5);

/* For reading. EMISSING, EFORMAT. */
ATH_MUST ath_err ath_h5_open(const char *path, ath_h5 **out);

/* name, bytes, text */
#define ATH_H5_TYPE_MAP(X) \
    X(F32, 4, "f32")       \
    X(F64, 8, "f64")       \
    X(I32, 4, "i32")       \
    X(I64, 8, "i64")       \
    X(U8, 1, "u8")         \
    X(U16, 2, "u16")       \
    X(U32, 4, "u32")       \
    X(U64, 8, "u64")

typedef enum ath_h5_type {
#define ATH_H5_ENUM(name, bytes, text) ATH_H5_##name,
    ATH_H5_TYPE_MAP(ATH_H5_ENUM)
#undef ATH_H5_ENUM
        ATH_N_H5_TYPES
} ath_h5_type;

enum { ATH_H5_DIMS_MAX = 8 };

typedef struct ath_h5_array {
    ath_h5_type type;
    int32_t n_dim;
    int64_t dim[ATH_H5_DIMS_MAX];
} ath_h5_array;

/* A dataset "group/name" of numbers; n_dim 0: one number. */
ATH_MUST ath_err ath_h5_write(ath_h5 *h5, const char *name, const ath_h5_array *array,
                              const void *data);
/* A dataset of texts, UTF-8, as other tools show it. */
ATH_MUST ath_err ath_h5_write_texts(ath_h5 *h5, const char *name, int64_t n,
                                    const char *const *texts);
/* An attribute of a group or dataset; "" is the file itself. */
ATH_MUST ath_err ath_h5_note_text(ath_h5 *h5, const char *name, const char *key, const char *value);
ATH_MUST ath_err ath_h5_note_int(ath_h5 *h5, const char *name, const char *key, int64_t value);
ATH_MUST ath_err ath_h5_note_real(ath_h5 *h5, const char *name, const char *key, double value);

/* What a dataset is; EMISSING names file and dataset. */
ATH_MUST ath_err ath_h5_shape(ath_h5 *h5, const char *name, ath_h5_array *out);
/* All of it, as `type` (converted by the library), `bytes` in all. */
ATH_MUST ath_err ath_h5_read(ath_h5 *h5, const char *name, ath_h5_type type, void *out,
                             size_t bytes);
/* Where its bytes lie in the file, checked to be inside; EFORMAT where they are not in one piece. */
ATH_MUST ath_err ath_h5_place(ath_h5 *h5, const char *name, int64_t *offset, int64_t *bytes);
/* Texts go to `*out`, freed with ath_mem_free; numbers of other types are EFORMAT. */
ATH_MUST ath_err ath_h5_get_text(ath_h5 *h5, const char *name, const char *key, char **out);
ATH_MUST ath_err ath_h5_get_int(ath_h5 *h5, const char *name, const char *key, int64_t *out);
ATH_MUST ath_err ath_h5_get_real(ath_h5 *h5, const char *name, const char *key, double *out);

/* The names directly below a group, in the order of their bytes; an error of `each` ends it. */
typedef ath_err ath_h5_each_fn(void *context, const char *name);
ATH_MUST ath_err ath_h5_each(ath_h5 *h5, const char *group, ath_h5_each_fn *each, void *context);

#endif
