#include "kernels/dtype.h"

#include "core/err.h"
#include "core/half.h"
#include <stdbool.h>
#include <string.h>

static const struct {
    const char *name;
    size_t bytes;
} dtypes[ATH_N_DTYPES] = {
#define ATH_DTYPE_ROW(name, text, bytes) {text, bytes},
    ATH_DTYPE_MAP(ATH_DTYPE_ROW)
#undef ATH_DTYPE_ROW
};

const char *ath_dtype_name(ath_dtype dtype)
{
    return (unsigned)dtype < ATH_N_DTYPES ? dtypes[dtype].name : "unknown";
}

size_t ath_dtype_bytes(ath_dtype dtype)
{
    return (unsigned)dtype < ATH_N_DTYPES ? dtypes[dtype].bytes : 0;
}

uint16_t ath_bf16_from_f32(float x)
{
    return ath_bf16_of_f32(x);
}

float ath_f32_from_bf16(uint16_t x)
{
    return ath_f32_of_bf16(x);
}

uint16_t ath_f16_from_f32(float x)
{
    return ath_f16_of_f32(x);
}

float ath_f32_from_f16(uint16_t x)
{
    return ath_f32_of_f16(x);
}

double ath_dtype_get(const void *p, ath_dtype dtype, int64_t i)
{
    switch (dtype) {
    case ATH_F32:
        return (double)((const float *)p)[i];
    case ATH_BF16:
        return (double)ath_f32_from_bf16(((const uint16_t *)p)[i]);
    case ATH_F16:
        return (double)ath_f32_from_f16(((const uint16_t *)p)[i]);
    case ATH_F64:
        return ((const double *)p)[i];
    case ATH_I32:
        return (double)((const int32_t *)p)[i];
    case ATH_NONE:
    case ATH_N_DTYPES:
        break;
    }
    ATH_ASSERT(!"a dtype with values");
}

void ath_dtype_put(void *p, ath_dtype dtype, int64_t i, double x)
{
    switch (dtype) {
    case ATH_F32:
        ((float *)p)[i] = (float)x;
        return;
    case ATH_BF16:
        ((uint16_t *)p)[i] = ath_bf16_from_f32((float)x);
        return;
    case ATH_F16:
        ((uint16_t *)p)[i] = ath_f16_from_f32((float)x);
        return;
    case ATH_F64:
        ((double *)p)[i] = x;
        return;
    case ATH_I32:
        ((int32_t *)p)[i] = (int32_t)x;
        return;
    case ATH_NONE:
    case ATH_N_DTYPES:
        break;
    }
    ATH_ASSERT(!"a dtype with values");
}

enum { BLOCK = 256 }; /* elements converted at a time, by way of floats */

static void load(float *x, const char *from, ath_dtype dtype, int64_t n)
{
    uint16_t half[BLOCK];

    if (dtype == ATH_F32) {
        memcpy(x, from, (size_t)n * sizeof *x);
        return;
    }
    memcpy(half, from, (size_t)n * sizeof *half);
    if (dtype == ATH_BF16)
        for (int64_t i = 0; i < n; i++) x[i] = ath_f32_of_bf16(half[i]);
    else
        for (int64_t i = 0; i < n; i++) x[i] = ath_f32_of_f16(half[i]);
}

static void store(char *to, ath_dtype dtype, const float *x, int64_t n)
{
    uint16_t half[BLOCK];

    if (dtype == ATH_F32) {
        memcpy(to, x, (size_t)n * sizeof *x);
        return;
    }
    if (dtype == ATH_BF16)
        for (int64_t i = 0; i < n; i++) half[i] = ath_bf16_of_f32(x[i]);
    else
        for (int64_t i = 0; i < n; i++) half[i] = ath_f16_of_f32(x[i]);
    memcpy(to, half, (size_t)n * sizeof *half);
}

typedef union element {
    double f64;
    float f32;
    uint16_t half;
} element;

/* One element that is a double on either side. */
static void convert_one(char *to, ath_dtype to_dtype, const char *from, ath_dtype from_dtype)
{
    element in = {0}, out = {0};

    memcpy(&in, from, ath_dtype_bytes(from_dtype));
    ath_dtype_put(&out, to_dtype, 0, ath_dtype_get(&in, from_dtype, 0));
    memcpy(to, &out, ath_dtype_bytes(to_dtype));
}

void ath_dtype_convert(void *to, ath_dtype to_dtype, const void *from, ath_dtype from_dtype,
                       int64_t n)
{
    const size_t in = ath_dtype_bytes(from_dtype), out = ath_dtype_bytes(to_dtype);
    const bool is_wide = to_dtype == ATH_F64 || from_dtype == ATH_F64;
    const char *a = from;
    char *b = to;
    float x[BLOCK];

    ATH_ASSERT(to_dtype != ATH_I32 && from_dtype != ATH_I32 && in && out);
    if (is_wide) {
        for (; n > 0; n--, a += in, b += out) convert_one(b, to_dtype, a, from_dtype);
        return;
    }
    while (n > 0) {
        const int64_t k = n < BLOCK ? n : BLOCK;
        load(x, a, from_dtype, k);
        store(b, to_dtype, x, k);
        a += (size_t)k * in;
        b += (size_t)k * out;
        n -= k;
    }
}
