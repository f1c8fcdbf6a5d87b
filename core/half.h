/*
 * 16-bit floats as bits. To them: to nearest, ties to even, NaN stays NaN. Written without branches,
 * so that a loop over them becomes one over vectors.
 */
#ifndef ATH_CORE_HALF_H
#define ATH_CORE_HALF_H

#include <stdint.h>
#include <string.h>

static inline uint32_t ath_bits_of_f32(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float ath_f32_of_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline uint16_t ath_bf16_of_f32(float x)
{
    const uint32_t bits = ath_bits_of_f32(x);
    const uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
    return (uint16_t)((bits & 0x7fffffffu) > 0x7f800000u ? bits >> 16 | 0x40u : rounded);
}

static inline float ath_f32_of_bf16(uint16_t x)
{
    return ath_f32_of_bits((uint32_t)x << 16);
}

static inline uint16_t ath_f16_of_f32(float x)
{
    const uint32_t bits = ath_bits_of_f32(x), sign = bits >> 16 & 0x8000u, mag = bits & 0x7fffffffu;
    /* subnormal half: adding 0.5 puts the rounded significand in the low bits */
    const uint32_t tiny = ath_bits_of_f32(ath_f32_of_bits(mag) + 0.5f) - 0x3f000000u;
    const uint32_t usual = (mag + 0xfffu + (mag >> 13 & 1u) - 0x38000000u) >> 13;
    const uint32_t nan = 0x7e00u | (mag >> 13 & 0x3ffu);
    uint32_t half = mag < 0x38800000u ? tiny : usual;

    half = mag >= 0x477ff000u ? 0x7c00u : half; /* rounds to infinity */
    half = mag > 0x7f800000u ? nan : half;
    return (uint16_t)(sign | half);
}

static inline float ath_f32_of_f16(uint16_t x)
{
    const uint32_t sign = (uint32_t)(x & 0x8000u) << 16, mag = x & 0x7fffu;
    const uint32_t tiny = ath_bits_of_f32((float)(int32_t)mag * 0x1p-24f); /* subnormal */
    uint32_t bits = mag < 0x400u ? tiny : (mag << 13) + 0x38000000u;

    bits = mag >= 0x7c00u ? 0x7f800000u | (mag & 0x3ffu) << 13 : bits;
    return ath_f32_of_bits(sign | bits);
}

/* The float to round to 16 bits instead of `x`, so that rounding twice is rounding once: toward zero,
 * and odd where anything was cut off (Boldo and Melquiond 2008). */
static inline float ath_f32_odd_of_f64(double x)
{
    const float near = (float)x;
    const double back = (double)near, mag = x < 0 ? -x : x, mag_back = back < 0 ? -back : back;
    const uint32_t bits = ath_bits_of_f32(near);
    const uint32_t below = mag_back > mag ? (bits - 1) | 1u : bits | 1u;
    return back == x || x != x ? near : ath_f32_of_bits(below);
}

#endif
