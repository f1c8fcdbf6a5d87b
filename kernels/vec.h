/*
 * Short vectors for x_cpu.c files: VL lanes of f32, as wide as the ISA level. The one place in the
 * tree that uses compiler vector types and intrinsics. Contraction is off: a fused multiply-add
 * happens where vfma is written and nowhere else.
 */
#ifndef ATH_KERNELS_VEC_H
#define ATH_KERNELS_VEC_H

#include "kernels/dtype.h"
#include <math.h>
#include <stdint.h>
#include <string.h>
#if defined(__SSE2__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
enum { VL = 16 };
#elif defined(__AVX2__)
enum { VL = 8 };
#else
enum { VL = 4 };
#endif

/* Vectors that a function of many takes at most. */
enum { VEC_TOGETHER = 4 };

/* For functions that must become part of their caller, so that its constants reach their loops. */
#define VEC_INLINE static inline __attribute__((always_inline))

typedef float vf __attribute__((vector_size(4 * VL)));
typedef int32_t vi __attribute__((vector_size(4 * VL)));
typedef uint32_t vu __attribute__((vector_size(4 * VL)));
typedef uint16_t vh __attribute__((vector_size(2 * VL)));

static inline vf vset(float x)
{
    return x - (vf){0};
}

static inline vf vload(const float *p)
{
    vf x;
    memcpy(&x, p, sizeof x);
    return x;
}

static inline void vstore(float *p, vf x)
{
    memcpy(p, &x, sizeof x);
}

/* Stored past the caches: `p` is aligned as the vector is, and vstreamed() comes before anybody else
 * may look. A line that is written whole need not be read first. */
static inline void vstream(float *p, vf x)
{
#if defined(__AVX512F__)
    _mm512_stream_ps(p, (__m512)x);
#elif defined(__AVX2__)
    _mm256_stream_ps(p, (__m256)x);
#elif defined(__SSE2__)
    _mm_stream_ps(p, (__m128)x);
#else
    vstore(p, x);
#endif
}

static inline void vstreamed(void)
{
#if defined(__SSE2__)
    _mm_sfence();
#endif
}

/* a * b + c with one rounding where the level has it (v3, v4), two on the baseline. */
static inline vf vfma(vf a, vf b, vf c)
{
#if defined(__AVX512F__)
    return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__FMA__)
    return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
    return a * b + c;
#endif
}

static inline vf vselect(vi mask, vf yes, vf no)
{
    return (vf)(((vi)yes & mask) | ((vi)no & ~mask));
}

/* The larger; b where either is NaN. */
static inline vf vmax(vf a, vf b)
{
#if defined(__AVX512F__)
    return (vf)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__)
    return (vf)_mm256_max_ps((__m256)a, (__m256)b);
#else
    return vselect(a > b, a, b);
#endif
}

/* The smaller; b where either is NaN. */
static inline vf vmin(vf a, vf b)
{
#if defined(__AVX512F__)
    return (vf)_mm512_min_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__)
    return (vf)_mm256_min_ps((__m256)a, (__m256)b);
#else
    return vselect(a < b, a, b);
#endif
}

/* The compilers' own conversions of vectors of 16 bits are roundabout on v4. */
static inline vf vwiden_bf16(vh half)
{
#if defined(__AVX512F__)
    return (vf)_mm512_slli_epi32(_mm512_cvtepu16_epi32((__m256i)half), 16);
#else
    return (vf)(__builtin_convertvector(half, vu) << 16);
#endif
}

/* Rounds to nearest even; NaN stays NaN. On v4 in as few steps as can be: loops wait for them. */
static inline vh vnarrow_bf16(vf x)
{
#if defined(__AVX512F__)
    const __m512i bits = (__m512i)x, quiet = _mm512_set1_epi32(0x400000);
    const __m512i high = _mm512_set_epi16(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 31, 29,
                                          27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
    const __mmask16 odd = _mm512_test_epi32_mask(bits, _mm512_set1_epi32(0x10000));
    const __mmask16 nan = _mm512_cmp_ps_mask((__m512)x, (__m512)x, _CMP_UNORD_Q);
    __m512i rounded = _mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff));
    rounded = _mm512_mask_add_epi32(rounded, odd, bits, _mm512_set1_epi32(0x8000));
    rounded = _mm512_mask_or_epi32(rounded, nan, bits, quiet);
    return (vh)_mm512_castsi512_si256(_mm512_permutexvar_epi16(high, rounded));
#else
    vu bits = (vu)x, rounded = bits + 0x7fffu + ((bits >> 16) & 1u);
    rounded = (vu)vselect(x == x, (vf)rounded, (vf)(bits | 0x400000u));
    return __builtin_convertvector(rounded >> 16, vh);
#endif
}

static inline vf vload_bf16(const uint16_t *p)
{
    vh half;
    memcpy(&half, p, sizeof half);
    return vwiden_bf16(half);
}

static inline void vstore_bf16(uint16_t *p, vf x)
{
    vh half = vnarrow_bf16(x);
    memcpy(p, &half, sizeof half);
}

static inline void vstream_bf16(uint16_t *p, vf x)
{
    vh half = vnarrow_bf16(x);
#if defined(__AVX512F__)
    _mm256_stream_si256((__m256i *)(void *)p, (__m256i)half);
#elif defined(__AVX2__)
    _mm_stream_si128((__m128i *)(void *)p, (__m128i)half);
#else
    memcpy(p, &half, sizeof half);
#endif
}

/* Halves (f16); rounds to nearest even; NaN stays NaN. */
static inline vf vload_f16(const uint16_t *p)
{
#if defined(__AVX512F__)
    return (vf)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
#elif defined(__F16C__)
    return (vf)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
#else
    vf x;
    for (int i = 0; i < VL; i++) x[i] = ath_f32_from_f16(p[i]);
    return x;
#endif
}

static inline void vstore_f16(uint16_t *p, vf x)
{
#if defined(__AVX512F__)
    _mm256_storeu_si256((__m256i *)(void *)p,
                        _mm512_cvtps_ph((__m512)x, _MM_FROUND_TO_NEAREST_INT));
#elif defined(__F16C__)
    _mm_storeu_si128((__m128i *)(void *)p, _mm256_cvtps_ph((__m256)x, _MM_FROUND_TO_NEAREST_INT));
#else
    for (int i = 0; i < VL; i++) p[i] = ath_f16_from_f32(x[i]);
#endif
}

/* 0, 1, 2... */
static inline vf viota(void)
{
    float lane[VL];
    for (int i = 0; i < VL; i++) lane[i] = (float)i;
    return vload(lane);
}

/* The first n lanes (0 < n <= VL); the others are `rest` when read and untouched when written. */
static inline vf vload_n(const float *p, int n, float rest)
{
#if defined(__AVX512F__)
    return (vf)_mm512_mask_loadu_ps((__m512)vset(rest), (__mmask16)((1u << n) - 1), p);
#elif defined(__AVX2__)
    vi first = viota() < vset((float)n);
    return vselect(first, (vf)_mm256_maskload_ps(p, (__m256i)first), vset(rest));
#else
    vf x = vset(rest);
    memcpy(&x, p, (size_t)n * sizeof(float));
    return x;
#endif
}

static inline void vstore_n(float *p, vf x, int n)
{
#if defined(__AVX512F__)
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)x);
#elif defined(__AVX2__)
    _mm256_maskstore_ps(p, (__m256i)(viota() < vset((float)n)), (__m256)x);
#else
    memcpy(p, &x, (size_t)n * sizeof(float));
#endif
}

static inline vf vload_bf16_n(const uint16_t *p, int n)
{
    vh half = {0};
#if defined(__AVX512F__)
    half = (vh)_mm256_maskz_loadu_epi16((__mmask16)((1u << n) - 1), p);
#else
    memcpy(&half, p, (size_t)n * sizeof(uint16_t));
#endif
    return vwiden_bf16(half);
}

static inline void vstore_bf16_n(uint16_t *p, vf x, int n)
{
    vh half = vnarrow_bf16(x);
#if defined(__AVX512F__)
    _mm256_mask_storeu_epi16(p, (__mmask16)((1u << n) - 1), (__m256i)half);
#else
    memcpy(p, &half, (size_t)n * sizeof(uint16_t));
#endif
}

/* The first n lanes (0 <= n <= VL), 0 in the others. */
static inline vf vkeep(vf x, int n)
{
    return vselect(viota() < vset((float)n), x, vset(0.0f));
}

/* The lanes summed in a fixed tree: halves onto halves. */
static inline float vsum(vf x)
{
    float lane[VL];
    vstore(lane, x);
#if defined(__AVX512F__)
    for (int i = 0; i < 8; i++) lane[i] += lane[i + 8];
#endif
#if defined(__AVX2__)
    for (int i = 0; i < 4; i++) lane[i] += lane[i + 4];
#endif
    return (lane[0] + lane[2]) + (lane[1] + lane[3]);
}

/* The lanes of two vectors in turn: their low halves, their high halves. */
#if defined(__AVX512F__)
#define VEC_LOW  0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define VEC_HIGH 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#elif defined(__AVX2__)
#define VEC_LOW  0, 8, 1, 9, 2, 10, 3, 11
#define VEC_HIGH 4, 12, 5, 13, 6, 14, 7, 15
#else
#define VEC_LOW  0, 4, 1, 5
#define VEC_HIGH 2, 6, 3, 7
#endif

/* Lane j of x[i] becomes lane i of x[j]: log2(VL) perfect shuffles. */
static inline void vtranspose(vf x[VL])
{
    for (int n = 1; n < VL; n *= 2) {
        vf y[VL];
        for (int i = 0; i < VL; i++) y[i] = x[i];
        for (int i = 0; i < VL / 2; i++) {
            x[2 * i] = __builtin_shufflevector(y[i], y[i + VL / 2], VEC_LOW);
            x[2 * i + 1] = __builtin_shufflevector(y[i], y[i + VL / 2], VEC_HIGH);
        }
    }
}

#if defined(__AVX512F__)
/* e^x within 1 ulp; below -87.3 it loses digits, below -104 it is 0; inf where it overflows; NaN stays
 * NaN. Steps of ln2/16 (Cody and Waite): adding `shift` leaves the number of sixteenths in the low bits
 * of the sum, whose last four choose the fraction's power of two from a table, so that a cubic is left:
 * the loops around it wait for multipliers, of which this asks for as few as can be. */
static inline vf vexp(vf x)
{
    const __m512 power =
        _mm512_setr_ps(1.0f, 1.04427378f, 1.09050773f, 1.13878863f, 1.18920712f, 1.24185781f,
                       1.29683955f, 1.35425555f, 1.41421356f, 1.47682615f, 1.54221083f, 1.61049033f,
                       1.68179283f, 1.75625216f, 1.83400809f, 1.91520656f); /* 2^(i/16) */
    const vf shift = vset(0x1.8p19f);
    vf y = vmin(vset(89.0f), vmax(vset(-104.0f), x));
    vf sum = vfma(y, vset(1.44269504f), shift), n = sum - shift;
    vf r = vfma(n, vset(-0.693145752f), y);
    r = vfma(n, vset(-1.42860682e-6f), r);
    vf p = vfma(r * r, vfma(r, vset(1.66666667e-1f), vset(0.5f)), r);
    vf fraction = (vf)_mm512_permutexvar_ps((__m512i)sum, power);
    return (vf)_mm512_scalef_ps((__m512)vfma(fraction, p, fraction), (__m512)n);
}
#else
/* e^x within 1.5 ulp; 0 below -86.99, inf where it overflows; NaN stays NaN. Cody-Waite reduction to
 * |r| <= ln2/2 and a minimax polynomial for 2 e^r. Adding `shift` leaves n, plus the bias of 2^(n-1),
 * in the low bits of the sum: they become its exponent field, which is 0 where n = -126. */
static inline vf vexp(vf x)
{
    const vf shift = vset(12582912.0f + 126.0f);
    vf y = vmin(vset(89.0f), vmax(vset(-87.3f), x));
    vf biased = vfma(y, vset(1.44269504f), shift), n = biased - shift;
    vf r = vfma(n, vset(-0.693145752f), y);
    r = vfma(n, vset(-1.42860682e-6f), r);
    vf r2 = r * r; /* in a tree, not a chain: the loops around it wait for results, not for units */
    vf low = vfma(r, vset(2.0f), vset(2.0f));
    vf mid = vfma(r, vset(3.333304e-1f), vset(0.99999986f));
    vf high = vfma(r, vset(1.67375e-2f), vset(8.333678e-2f));
    high = vfma(r2, vset(2.7629e-3f), high);
    vf p = vfma(r2, vfma(r2, high, mid), low);
    return p * (vf)((vu)biased << 23);
}
#endif

/* 1 / (1 + e^-x) within 3.2 ulp. */
static inline vf vsigmoid(vf x)
{
    return vset(1.0f) / (vset(1.0f) + vexp(-x));
}

/* x[k] = x[k] / (1 + e^-x[k]) of n vectors at once, within 4 ulp above -87; from there down it may be 0. */
#if defined(__AVX512F__)
/* Step by step for all n, because one chain of results is longer than the processor looks ahead. The
 * exponential is vexp's with steps of ln2/32, which leave a parabola. */
VEC_INLINE void vsilu(vf *x, int n)
{
    const __m512 low =
        _mm512_setr_ps(1.0f, 1.02189715f, 1.04427378f, 1.0671404f, 1.09050773f, 1.11438674f,
                       1.13878863f, 1.16372486f, 1.18920712f, 1.21524736f, 1.24185781f, 1.26905096f,
                       1.29683955f, 1.32523664f, 1.35425555f, 1.38390988f); /* 2^(i/32) */
    const __m512 high =
        _mm512_setr_ps(1.41421356f, 1.44518081f, 1.47682615f, 1.50916443f, 1.54221083f, 1.57598085f,
                       1.61049033f, 1.64575548f, 1.68179283f, 1.7186193f, 1.75625216f, 1.79470908f,
                       1.83400809f, 1.87416763f, 1.91520656f, 1.95714412f);
    const vf shift = vset(0x1.8p18f), limit = vset(104.0f), log2e = vset(-1.44269502f);
    vf sum[VEC_TOGETHER], whole[VEC_TOGETHER], r[VEC_TOGETHER], e[VEC_TOGETHER];

    for (int k = 0; k < n; k++) /* the smaller in size, with the sign of x */
        r[k] = (vf)_mm512_range_ps((__m512)x[k], (__m512)limit, 2);
    for (int k = 0; k < n; k++) sum[k] = vfma(r[k], log2e, shift);
    for (int k = 0; k < n; k++) whole[k] = sum[k] - shift;
    for (int k = 0; k < n; k++)
        e[k] = vfma(r[k], vset(-1.92596303e-8f), vfma(r[k], log2e, -whole[k]));
    for (int k = 0; k < n; k++) r[k] = vfma(e[k], vset(2.40226507e-1f), vset(6.93157344e-1f));
    for (int k = 0; k < n; k++) sum[k] = (vf)_mm512_permutex2var_ps(low, (__m512i)sum[k], high);
    for (int k = 0; k < n; k++) e[k] = vfma(sum[k] * e[k], r[k], sum[k]);
    for (int k = 0; k < n; k++)
        x[k] = x[k] / (vset(1.0f) + (vf)_mm512_scalef_ps((__m512)e[k], (__m512)whole[k]));
}
#else
VEC_INLINE void vsilu(vf *x, int n)
{
    for (int k = 0; k < n; k++) x[k] = x[k] / (vset(1.0f) + vexp(-x[k]));
}
#endif

/* The standard normal distribution at x, and its density. With z = |x| the lower tail is
 * e^(-z^2/2) P(z)/Q(z), minimax with positive coefficients: the tail keeps its relative accuracy
 * (but for the rounding of z^2), the distribution is within 1.6e-7. */
static inline vf vnormal(vf x, vf *density)
{
    vf z = vmin(vset(15.0f), vmax(x, -x));
    vf e = vexp(vset(-0.5f) * z * z);
    vf p = vset(3.990849685e-3f), q = vset(1.000343021e-2f);
    p = vfma(p, z, vset(3.979933246e-2f));
    p = vfma(p, z, vset(1.807773452e-1f));
    p = vfma(p, z, vset(4.350012088e-1f));
    p = vfma(p, z, vset(0.5f));
    q = vfma(q, z, vset(9.976965936e-2f));
    q = vfma(q, z, vset(4.629769737e-1f));
    q = vfma(q, z, vset(1.192332765f));
    q = vfma(q, z, vset(1.667887221f));
    q = vfma(q, z, vset(1.0f));
    vf tail = e * p / q;
    *density = e * vset(0.398942280f);
    return vselect(x < vset(0.0f), tail, vset(1.0f) - tail);
}

/* 2^x for x < 127.5: 1.5 ulp over the normal range; 0 below -126.5; NaN stays NaN. 2^0 is 1.
 * Adding `shift` leaves the rounded x, plus the exponent's bias, in the low bits of the sum. */
static inline vf vexp2(vf x)
{
    const vf shift = vset(12582912.0f + 127.0f);
    vf y = vmax(vset(-127.0f), x);
    vf biased = y + shift;
    vf r = y - (biased - shift), r2 = r * r;
    vf low = vfma(r, vset(6.93147242e-1f), vset(1.0f));
    vf mid = vfma(r, vset(5.55031039e-2f), vset(2.40226522e-1f));
    vf high = vfma(r, vset(1.34066434e-3f), vset(9.61769279e-3f));
    high = vfma(r2, vset(1.55946778e-4f), high);
    vf p = vfma(r2, vfma(r2, high, mid), low);
    return p * (vf)((vu)biased << 23);
}

/* Natural logarithm of normal x > 0: 2 ulp; NaN stays NaN. With x = 2^k m, m in [0.7, 1.4], and
 * s = (m-1)/(m+1):  log m = 2 s (1 + s^2/3 + s^4/5 + ...). */
static inline vf vlog(vf x)
{
    vi k = ((vi)x - 0x3f3504f3) >> 23;
    vf m = (vf)((vi)x - (vi)((vu)k << 23));
    vf f = m - vset(1.0f), s = f / (f + vset(2.0f)), z = s * s;
    vf n = __builtin_convertvector(k, vf);
    vf p = vfma(z, vset(2.2222222e-1f), vset(2.8571429e-1f));
    p = vfma(p, z, vset(4.0e-1f));
    p = vfma(p, z, vset(6.6666667e-1f));
    vf tail = vfma(p * z, s, n * vset(1.42860677e-6f));
    vf y = vfma(n, vset(6.93145752e-1f), vfma(s, vset(2.0f), tail));
    return vselect(x == x, y, x);
}

#endif
