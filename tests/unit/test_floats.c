/*
 * Conversion of floating-point numbers: every value of a 16-bit type through every wider type and back;
 * between two neighbours the middle goes to the even one and a hair beside it to the nearer one, from
 * F64 too, where rounding by way of F32 would round twice. Kernels' dtypes convert the same way, whole
 * arrays and single elements.
 */
#include "core/floats.h"
#include "kernels/dtype.h"
#include "tests/harness.h"
#include <math.h>
#include <string.h>

enum { N = 65536 };

typedef void convert_fn(void *to, ath_float to_type, const void *from, ath_float from_type,
                        int64_t n);

static const ath_dtype dtypes[ATH_N_FLOATS] = {[ATH_FLOAT_F16] = ATH_F16,
                                               [ATH_FLOAT_BF16] = ATH_BF16,
                                               [ATH_FLOAT_F32] = ATH_F32,
                                               [ATH_FLOAT_F64] = ATH_F64};

static void by_dtype(void *to, ath_float to_type, const void *from, ath_float from_type, int64_t n)
{
    ath_dtype_convert(to, dtypes[to_type], from, dtypes[from_type], n);
}

static void by_element(void *to, ath_float to_type, const void *from, ath_float from_type,
                       int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        ath_dtype_put(to, dtypes[to_type], i, ath_dtype_get(from, dtypes[from_type], i));
}

/* The value of 16 bits, from the definition. */
static double value_of(ath_float type, uint32_t bits)
{
    const int fraction = type == ATH_FLOAT_F16 ? 10 : 7, bias = type == ATH_FLOAT_F16 ? 15 : 127;
    const int exponent = (int)(bits & 0x7fff) >> fraction;
    const double significand = bits & ((1u << fraction) - 1);
    double x = exponent ? ldexp(significand + (1 << fraction), exponent - bias - fraction)
                        : ldexp(significand, 1 - bias - fraction);

    if (exponent == 2 * bias + 1) x = significand > 0 ? (double)NAN : (double)INFINITY;
    return bits & 0x8000 ? -x : x;
}

static void test_all_values(convert_fn *convert, ath_float type, uint32_t infinity)
{
    static uint16_t all[N], back[N];
    static float f32[N];
    static double f64[N];
    int n_wrong = 0;

    for (uint32_t i = 0; i < N; i++) all[i] = (uint16_t)i;
    convert(f32, ATH_FLOAT_F32, all, type, N);
    convert(f64, ATH_FLOAT_F64, all, type, N);
    for (uint32_t i = 0; i < N; i++) {
        const double want = value_of(type, i);
        n_wrong += want != want ? f64[i] == f64[i] || f32[i] == f32[i]
                                : f64[i] != want || (double)f32[i] != want;
    }
    convert(back, type, f32, ATH_FLOAT_F32, N);
    for (uint32_t i = 0; i < N; i++) n_wrong += f64[i] == f64[i] && back[i] != i;
    convert(back, type, f64, ATH_FLOAT_F64, N);
    for (uint32_t i = 0; i < N; i++) n_wrong += f64[i] == f64[i] && back[i] != i;
    for (uint32_t i = 0; i < N; i++) n_wrong += f64[i] != f64[i] && (back[i] & 0x7fff) <= infinity;
    CHECK_EQ(n_wrong, 0);
}

static void test_rounding(convert_fn *convert, ath_float type, uint32_t infinity)
{
    static double near[3 * N];
    static uint16_t rounded[3 * N];
    int n_wrong = 0;

    for (uint32_t i = 0; i < infinity; i++) {
        const double a = value_of(type, i);
        /* behind the largest comes what would be the next */
        const double b = i + 1 < infinity ? value_of(type, i + 1) : 2 * a - value_of(type, i - 1);
        const double middle = (a + b) / 2;
        near[3 * i] = nextafter(middle, 0);
        near[3 * i + 1] = middle;
        near[3 * i + 2] = nextafter(middle, (double)INFINITY);
    }
    convert(rounded, type, near, ATH_FLOAT_F64, 3 * (int64_t)infinity);
    for (uint32_t i = 0; i < infinity; i++)
        n_wrong +=
            rounded[3 * i] != i || rounded[3 * i + 1] != i + (i & 1) || rounded[3 * i + 2] != i + 1;
    CHECK_EQ(n_wrong, 0);
}

static void test_halves(const char *name, convert_fn *convert)
{
    ath_test_begin(name);
    test_all_values(convert, ATH_FLOAT_F16, 0x7c00);
    test_all_values(convert, ATH_FLOAT_BF16, 0x7f80);
    test_rounding(convert, ATH_FLOAT_F16, 0x7c00);
    test_rounding(convert, ATH_FLOAT_BF16, 0x7f80);
}

/* Lengths around a block's end, both sides one byte off any alignment, nothing written behind. */
static void test_edges(void)
{
    enum { MOST = 2100 };
    static const size_t bytes_of[ATH_N_FLOATS] = {2, 2, 4, 8};
    static char from[8 * MOST + 1], to[8 * MOST + 2], back[8 * MOST + 1];
    static double wide[MOST];

    ath_test_begin("edges");
    for (int i = 0; i < MOST; i++) wide[i] = (i % 255 - 127) / 8.0; /* exact in every type */
    for (int a = 0; a < ATH_N_FLOATS; a++)
        for (int b = 0; b < ATH_N_FLOATS; b++)
            for (int64_t n = 0; n <= MOST; n = n < 50 ? n + 1 : n + 1023) {
                const size_t end = (size_t)n * bytes_of[b];
                memset(to, 0x55, sizeof to);
                ath_floats_convert(from + 1, (ath_float)a, wide, ATH_FLOAT_F64, n);
                ath_floats_convert(to + 1, (ath_float)b, from + 1, (ath_float)a, n);
                ath_floats_convert(back, ATH_FLOAT_F64, to + 1, (ath_float)b, n);
                CHECK(memcmp(back, wide, (size_t)n * sizeof *wide) == 0);
                CHECK(to[0] == 0x55 && to[end + 1] == 0x55);
            }
}

int main(void)
{
    test_halves("floats", ath_floats_convert);
    test_halves("dtypes", by_dtype);
    test_halves("elements", by_element);
    test_edges();
    return ath_test_end();
}
