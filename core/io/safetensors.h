/*
 * safetensors files: a JSON header of names, types, shapes and byte ranges, then the bytes.
 *
 * Reading maps the file and copies nothing. Everything the header says is checked before anything
 * is given out: tensors tile the body without hole or overlap and reach its end exactly, shapes fit
 * their bytes, no name occurs twice. What is refused is ATH_EFORMAT with file, key, found, wanted.
 * Any thread may read an open file; it must not be shortened or rewritten in place meanwhile.
 */
#ifndef ATH_CORE_IO_SAFETENSORS_H
#define ATH_CORE_IO_SAFETENSORS_H

#include "core/err.h"
#include <stdint.h>

/* The format's types with their bits, in the order in which writers sort, smallest first. */
#define ATH_ST_DTYPE_MAP(X) \
    X(BOOL, 8)              \
    X(F4, 4)                \
    X(F6_E2M3, 6)           \
    X(F6_E3M2, 6)           \
    X(U8, 8)                \
    X(I8, 8)                \
    X(F8_E5M2, 8)           \
    X(F8_E4M3, 8)           \
    X(F8_E8M0, 8)           \
    X(F8_E4M3FNUZ, 8)       \
    X(F8_E5M2FNUZ, 8)       \
    X(I16, 16)              \
    X(U16, 16)              \
    X(F16, 16)              \
    X(BF16, 16)             \
    X(I32, 32)              \
    X(U32, 32)              \
    X(F32, 32)              \
    X(C64, 64)              \
    X(F64, 64)              \
    X(I64, 64)              \
    X(U64, 64)

typedef enum ath_st_dtype {
#define ATH_ST_DTYPE_ENUM(name, bits) ATH_ST_##name,
    ATH_ST_DTYPE_MAP(ATH_ST_DTYPE_ENUM)
#undef ATH_ST_DTYPE_ENUM
        ATH_N_ST_DTYPES
} ath_st_dtype;

/* "BF16", as files spell it; never NULL. */
const char *ath_st_dtype_name(ath_st_dtype dtype);
/* Bits of one element: 4 to 64. */
int ath_st_dtype_bits(ath_st_dtype dtype);

enum { ATH_ST_HEADER_MAX = 100000000 }; /* bytes of a header */

/* Everything in it is borrowed from the file and valid until it is closed. */
typedef struct ath_st_tensor {
    const char *name; /* UTF-8, may be "" */
    ath_st_dtype dtype;
    int32_t n_dim;      /* 0: one element */
    const int64_t *dim; /* slowest first; a length may be 0 */
    const void *data;   /* little-endian, row-major, aligned to nothing */
    size_t bytes;
} ath_st_tensor;

typedef struct ath_st ath_st;

/* Maps and checks a file. ATH_EIO where it cannot be read, ATH_EFORMAT where it is malformed. */
ATH_MUST ath_err ath_st_open(const char *path, ath_st **out);

/* The same over `n` bytes of the caller's, borrowed until close; `name` stands for the path. */
ATH_MUST ath_err ath_st_open_bytes(const char *name, const void *bytes, size_t n, ath_st **out);

/* Accepts NULL, clears the caller's pointer, cannot fail. */
void ath_st_close(ath_st **st);

/* Tensors in the order of their bytes in the file. */
int64_t ath_st_count(const ath_st *st);
const ath_st_tensor *ath_st_get(const ath_st *st, int64_t i);

/* By name: `find` gives NULL, `need` ATH_EMISSING where there is none. */
const ath_st_tensor *ath_st_find(const ath_st *st, const char *name);
ATH_MUST ath_err ath_st_need(const ath_st *st, const char *name, const ath_st_tensor **out);

/* The entries of __metadata__ in the order of the header: `get` returns the key, `find` the value
 * or NULL where there is no such key. */
int64_t ath_st_meta_count(const ath_st *st);
const char *ath_st_meta_get(const ath_st *st, int64_t i, const char **value);
const char *ath_st_meta_find(const ath_st *st, const char *key);

#endif
