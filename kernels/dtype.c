#include "kernels/dtype.h"

#include "core/err.h"
#include "core/floats.h"
#include "core/half.h"

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
        ((uint16_t *)p)[i] = ath_bf16_of_f32(ath_f32_odd_of_f64(x));
        return;
    case ATH_F16:
        ((uint16_t *)p)[i] = ath_f16_of_f32(ath_f32_odd_of_f64(x));
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

static ath_float float_of(ath_dtype dtype)
{
    switch (dtype) {
    case ATH_F32:
        return ATH_FLOAT_F32;
    case ATH_BF16:
        return ATH_FLOAT_BF16;
    case ATH_F16:
        return ATH_FLOAT_F16;
    case ATH_F64:
        return ATH_FLOAT_F64;
    case ATH_NONE:
    case ATH_I32:
    case ATH_N_DTYPES:
        break;
    }
    ATH_ASSERT(!"a dtype of floating-point numbers");
}

void ath_dtype_convert(void *to, ath_dtype to_dtype, const void *from, ath_dtype from_dtype,
                       int64_t n)
{
    ath_floats_convert(to, float_of(to_dtype), from, float_of(from_dtype), n);
}
