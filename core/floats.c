#include "core/floats.h"

#include "core/half.h"
#include <stddef.h>

enum { BLOCK = ATH_TORTURE ? 23 : 1024 }; /* by way of F32 in pieces that stay in the inner cache */

static const size_t bytes_of[ATH_N_FLOATS] = {
    [ATH_FLOAT_F16] = 2, [ATH_FLOAT_BF16] = 2, [ATH_FLOAT_F32] = 4, [ATH_FLOAT_F64] = 8};

#define LOOP(from_type, to_type, expression)                     \
    for (size_t i = 0; i < n; i++) {                             \
        from_type x;                                             \
        memcpy(&x, (const char *)from + i * sizeof x, sizeof x); \
        const to_type y = (expression);                          \
        memcpy((char *)to + i * sizeof y, &y, sizeof y);         \
    }

static void f16_to_f32(const void *restrict from, size_t n, void *restrict to)
{
    LOOP(uint16_t, float, ath_f32_of_f16(x))
}

static void bf16_to_f32(const void *restrict from, size_t n, void *restrict to)
{
    LOOP(uint16_t, float, ath_f32_of_bf16(x))
}

static void f32_to_f16(const void *restrict from, size_t n, void *restrict to)
{
    LOOP(float, uint16_t, ath_f16_of_f32(x))
}

static void f32_to_bf16(const void *restrict from, size_t n, void *restrict to)
{
    LOOP(float, uint16_t, ath_bf16_of_f32(x))
}

static void f32_to_f64(const void *restrict from, size_t n, void *restrict to)
{
    LOOP(float, double, (double)x)
}

static void f64_to_f32(const void *restrict from, size_t n, void *restrict to)
{
    LOOP(double, float, (float)x)
}

static void f64_to_odd(const void *restrict from, size_t n, void *restrict to)
{
    LOOP(double, float, ath_f32_odd_of_f64(x))
}

/* At most BLOCK numbers of two types that differ. */
static void convert_block(void *to, ath_float to_type, const void *from, ath_float from_type,
                          size_t n)
{
    float wide[BLOCK];
    void *middle = to_type == ATH_FLOAT_F32 ? to : wide;
    const void *source = from_type == ATH_FLOAT_F32 ? from : middle;

    if (from_type == ATH_FLOAT_F16) f16_to_f32(from, n, middle);
    if (from_type == ATH_FLOAT_BF16) bf16_to_f32(from, n, middle);
    if (from_type == ATH_FLOAT_F64 && to_type == ATH_FLOAT_F32) f64_to_f32(from, n, middle);
    if (from_type == ATH_FLOAT_F64 && to_type != ATH_FLOAT_F32) f64_to_odd(from, n, middle);
    if (to_type == ATH_FLOAT_F16) f32_to_f16(source, n, to);
    if (to_type == ATH_FLOAT_BF16) f32_to_bf16(source, n, to);
    if (to_type == ATH_FLOAT_F64) f32_to_f64(source, n, to);
}

void ath_floats_convert(void *to, ath_float to_type, const void *from, ath_float from_type,
                        int64_t n)
{
    const size_t in = bytes_of[from_type], out = bytes_of[to_type], count = (size_t)n;

    if (to_type == from_type) {
        if (n) memcpy(to, from, count * in);
        return;
    }
    for (size_t at = 0; at < count; at += BLOCK)
        convert_block((char *)to + at * out, to_type, (const char *)from + at * in, from_type,
                      count - at < BLOCK ? count - at : BLOCK);
}
