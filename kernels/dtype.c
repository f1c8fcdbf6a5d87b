#include "kernels/dtype.h"

#include "core/err.h"
#include <string.h>

static const struct {
    const char *name;
    size_t bytes;
} dtypes[ATH_N_DTYPES] = {
#define ATH_DTYPE_ROW(name, text, bytes) {text, bytes},
    ATH_DTYPE_MAP(ATH_DTYPE_ROW)
#undef ATH_DTYPE_ROW
};

static uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

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
    uint32_t bits = bits_of(x);
    if (x != x) return (uint16_t)(bits >> 16 | 0x40u);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

float ath_f32_from_bf16(uint16_t x)
{
    return float_of((uint32_t)x << 16);
}

uint16_t ath_f16_from_f32(float x)
{
    uint32_t bits = bits_of(x), sign = bits >> 16 & 0x8000u, mag = bits & 0x7fffffffu;
    if (mag > 0x7f800000u) return (uint16_t)(sign | 0x7e00u | (mag >> 13 & 0x3ffu)); /* NaN */
    if (mag >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u); /* rounds to infinity */
    if (mag < 0x38800000u) {
        /* subnormal half: adding 0.5 puts the rounded significand in the low bits */
        return (uint16_t)(sign | (bits_of(float_of(mag) + 0.5f) - bits_of(0.5f)));
    }
    uint32_t rounded = mag + 0xfffu + (mag >> 13 & 1u);
    return (uint16_t)(sign | ((rounded - 0x38000000u) >> 13));
}

float ath_f32_from_f16(uint16_t x)
{
    uint32_t sign = (uint32_t)(x & 0x8000u) << 16, mag = x & 0x7fffu;
    if (mag >= 0x7c00u) return float_of(sign | 0x7f800000u | (mag & 0x3ffu) << 13);
    if (mag < 0x400u) { /* subnormal: mag x 2^-24 */
        float value = (float)mag * 5.9604644775390625e-8f;
        return sign ? -value : value;
    }
    return float_of(sign | ((mag << 13) + 0x38000000u));
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
