/*
 * Data types: sizes, names, conversion of single values. Also seen by .cu files.
 * Conversions round to nearest even; NaN stays NaN.
 */
#ifndef ATH_KERNELS_DTYPE_H
#define ATH_KERNELS_DTYPE_H

#include <stddef.h>
#include <stdint.h>

/* name, text, bytes. NONE marks an absent optional operand. */
#define ATH_DTYPE_MAP(X) \
    X(NONE, "none", 0)   \
    X(F32, "f32", 4)     \
    X(BF16, "bf16", 2)   \
    X(F16, "f16", 2)     \
    X(F64, "f64", 8)     \
    X(I32, "i32", 4)

typedef enum ath_dtype {
#define ATH_DTYPE_ENUM(name, text, bytes) ATH_##name,
    ATH_DTYPE_MAP(ATH_DTYPE_ENUM)
#undef ATH_DTYPE_ENUM
        ATH_N_DTYPES
} ath_dtype;

const char *ath_dtype_name(ath_dtype dtype);
size_t ath_dtype_bytes(ath_dtype dtype);

uint16_t ath_bf16_from_f32(float x);
float ath_f32_from_bf16(uint16_t x);
uint16_t ath_f16_from_f32(float x);
float ath_f32_from_f16(uint16_t x);

/* Element i of an array of `dtype` (F32, BF16, F16, F64, I32). For references and tests: slow. */
double ath_dtype_get(const void *p, ath_dtype dtype, int64_t i);
void ath_dtype_put(void *p, ath_dtype dtype, int64_t i, double x);

/* n elements from one type to another (F32, BF16, F16, F64), rounded once; both aligned to nothing,
 * and apart. */
void ath_dtype_convert(void *to, ath_dtype to_dtype, const void *from, ath_dtype from_dtype,
                       int64_t n);

#endif
