/*
 * vec.h and span.h, at the ISA level this file is compiled for (the build makes one program for
 * each): conversions bit by bit against their definition, functions against the C library in
 * double within the accuracy that the header promises, partial loads and stores lane by lane.
 * Leaves with 77 on a machine without the level.
 */
#include "kernels/isa.h"
#include "kernels/span.h"
#include "tests/harness.h"

static const ath_isa level = VL == 16 ? ATH_ISA_V4 : VL == 8 ? ATH_ISA_V3 : ATH_ISA_BASE;

static float float_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static bool is_nan(float x)
{
    return x != x;
}

static void test_lanes(void)
{
    float in[VL], out[VL], rows[VL][VL];
    vf x[VL];

    ath_test_begin("lanes");
    for (int i = 0; i < VL; i++) in[i] = (float)(1 << i);
    CHECK_EQ(vsum(vload(in)), (1 << VL) - 1);
    for (int i = 0; i < VL; i++) in[i] = i == VL / 2 ? -3e8f : i == 0 ? 3e8f : 1.0f;
    CHECK_EQ(vsum(vload(in)), VL - 2); /* lane 0 meets lane VL/2 first */
    vstore(out, viota());
    for (int i = 0; i < VL; i++) CHECK_EQ(out[i], i);
    for (int i = 0; i < VL * VL; i++) rows[i / VL][i % VL] = (float)i;
    for (int i = 0; i < VL; i++) x[i] = vload(rows[i]);
    vtranspose(x);
    for (int i = 0; i < VL; i++) {
        vstore(out, x[i]);
        for (int j = 0; j < VL; j++) CHECK_EQ(out[j], j * VL + i);
    }
}

static void test_arithmetic(void)
{
    const float nan = float_of(0x7fc00000u), e = 0x1p-12f;
    float out[VL];

    ath_test_begin("arithmetic");
    CHECK_EQ(bits_of(vset(-0.0f)[VL - 1]), 0x80000000u);
    CHECK_EQ(vmax(vset(nan), vset(2))[0], 2);
    CHECK_EQ(vmin(vset(nan), vset(2))[0], 2);
    CHECK(is_nan(vmax(vset(2), vset(nan))[0]) && is_nan(vmin(vset(2), vset(nan))[0]));
    CHECK_EQ(vmax(vset(-3), vset(2))[VL - 1], 2);
    CHECK_EQ(vmin(vset(-3), vset(2))[VL - 1], -3);
    /* (1 + e)^2 - 1 - 2e is e^2 with one rounding, 0 with two */
    vf fused = vfma(vset(1 + e), vset(1 + e), vset(-1 - 2 * e));
    CHECK_EQ(bits_of(fused[0]), level == ATH_ISA_BASE ? 0 : bits_of(e * e));
    vstore(out, vselect(viota() < vset(1.5f), vset(5), vset(nan)));
    CHECK(out[0] == 5 && out[1] == 5 && is_nan(out[2]) && is_nan(out[VL - 1]));
}

static void test_tails(void)
{
    float data[VL], out[VL + 1];
    uint16_t halves[VL + 1], kept[VL + 1];

    ath_test_begin("tails");
    for (int n = 1; n <= VL; n++) {
        for (int i = 0; i < VL; i++) data[i] = (float)(i + 1);
        vstore(out, vload_n(data, n, -7));
        for (int i = 0; i < VL; i++) CHECK_EQ(out[i], i < n ? i + 1 : -7);
        for (int i = 0; i <= VL; i++) out[i] = -9;
        vstore_n(out, vload(data), n);
        for (int i = 0; i <= VL; i++) CHECK_EQ(out[i], i < n ? i + 1 : -9);
        for (int i = 0; i <= VL; i++) kept[i] = 0xabcd;
        vstore_bf16_n(kept, vload(data), n);
        for (int i = 0; i < VL; i++) halves[i] = ath_bf16_from_f32(data[i]);
        for (int i = 0; i <= VL; i++) CHECK_EQ(kept[i], i < n ? halves[i] : 0xabcd);
        vstore(out, vload_bf16_n(halves, n));
        for (int i = 0; i < VL; i++) CHECK_EQ(out[i], i < n ? i + 1 : 0);
        vstore(out, vkeep(vset(float_of(0x7fc00000u)), n));
        for (int i = 0; i < VL; i++) CHECK(i < n ? is_nan(out[i]) : bits_of(out[i]) == 0);
    }
}

/* Two storage formats of 16 bits, by their definition. */
typedef struct half_format {
    const char *name;
    int n_exponent_bits;
    uint16_t (*scalar_from)(float x);
    float (*scalar_to)(uint16_t x);
    void (*from)(uint16_t *p, vf x);
    vf (*to)(const uint16_t *p);
} half_format;

static const half_format formats[] = {
    {"bf16", 8, ath_bf16_from_f32, ath_f32_from_bf16, vstore_bf16, vload_bf16},
    {"f16", 5, ath_f16_from_f32, ath_f32_from_f16, vstore_f16, vload_f16},
};

/* The value of a half that is not NaN. The infinity reads as the power of two that comes next. */
static double half_value(const half_format *f, int half)
{
    const int n_bits = 15 - f->n_exponent_bits, bias = (1 << (f->n_exponent_bits - 1)) - 1;
    const int exponent = (half & 0x7fff) >> n_bits, fraction = half & ((1 << n_bits) - 1);
    const double mag = exponent
                           ? ldexp((double)(fraction + (1 << n_bits)), exponent - bias - n_bits)
                           : ldexp((double)fraction, 1 - bias - n_bits);
    return half & 0x8000 ? -mag : mag;
}

static void check_narrow(const half_format *f, float x, int want)
{
    uint16_t got[VL];

    f->from(got, vset(x));
    const int scalar = f->scalar_from(x);
    ath_test_note(got[0] == want && got[VL - 1] == want && scalar == want, __FILE__, __LINE__,
                  "%s of %a is %#x, scalar %#x, wanted %#x", f->name, (double)x, got[0], scalar,
                  want);
}

/* Every finite half, every middle between neighbours, and the floats on both sides of it. */
static void test_half(const half_format *f)
{
    const int infinity = ((1 << f->n_exponent_bits) - 1) << (15 - f->n_exponent_bits);
    uint16_t in[VL], out[VL];

    ath_test_begin(f->name);
    for (int half = 0; half < infinity; half++)
        for (int sign = 0; sign <= 0x8000; sign += 0x8000) {
            const double value = half_value(f, half | sign);
            const float middle = (float)(0.5 * value + 0.5 * half_value(f, (half + 1) | sign));
            const uint32_t bits = bits_of(middle);
            check_narrow(f, (float)value, half | sign);
            check_narrow(f, float_of(bits - 1), half | sign);
            check_narrow(f, middle, (half + (half & 1)) | sign);
            check_narrow(f, float_of(bits + 1), (half + 1) | sign);
            for (int i = 0; i < VL; i++) in[i] = (uint16_t)(half | sign);
            const vf x = f->to(in);
            CHECK(bits_of(x[VL - 1]) == bits_of((float)value));
            CHECK(bits_of(f->scalar_to(in[0])) == bits_of((float)value));
        }
    check_narrow(f, INFINITY, infinity);
    check_narrow(f, -INFINITY, infinity | 0x8000);
    for (int half = infinity + 1; half < 0x8000; half++) { /* NaN */
        for (int i = 0; i < VL; i++) in[i] = (uint16_t)(half | (i & 1) << 15);
        const vf x = f->to(in);
        f->from(out, x);
        CHECK(is_nan(x[0]) && (out[0] & 0x7fff) > infinity && (out[1] & 0x7fff) > infinity);
    }
    /* a NaN whose payload lies in the bits that are dropped */
    f->from(out, vset(float_of(0x7f800001u)));
    CHECK((out[0] & 0x7fff) > infinity &&
          (f->scalar_from(float_of(0x7f800001u)) & 0x7fff) > infinity);
}

/* Error in units of the last place of a float as large as `want`. */
static double ulps(float got, double want)
{
    int exponent;

    frexp(want, &exponent);
    return fabs((double)got - want) / ldexp(1, (exponent < -125 ? -125 : exponent) - 24);
}

typedef vf vec_fn(vf x);
typedef double exact_fn(double x);

/* The largest error over floats from `low` to `high`: all exponents, 1 of `step` significands. */
static double worst_ulps(vec_fn *fn, exact_fn *exact, float low, float high, uint32_t step)
{
    double worst = 0;
    float in[VL];

    for (uint64_t bits = 0; bits < UINT64_C(1) << 32; bits += (uint64_t)step * VL) {
        for (int i = 0; i < VL; i++) {
            const float x = float_of((uint32_t)(bits + (uint64_t)i * step));
            in[i] = x >= low && x <= high ? x : high;
        }
        const vf y = fn(vload(in));
        for (int i = 0; i < VL; i++) worst = fmax(worst, ulps(y[i], exact((double)in[i])));
    }
    return worst;
}

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static double silu(double x)
{
    return x * sigmoid(x);
}

/* Alone and as one of many the bits are the same. */
static vf silu_of(vf x)
{
    vf many[VEC_TOGETHER], one = x;

    for (int k = 0; k < VEC_TOGETHER; k++) many[k] = x;
    vsilu(many, VEC_TOGETHER);
    vsilu(&one, 1);
    CHECK(memcmp(&one, &many[0], sizeof one) == 0);
    CHECK(memcmp(&one, &many[VEC_TOGETHER - 1], sizeof one) == 0);
    return one;
}

static double normal(double x)
{
    return 0.5 * erfc(-x * 0.70710678118654752440);
}

static vf cdf(vf x)
{
    vf density;
    return vnormal(x, &density);
}

static void test_functions(void)
{
    const float nan = float_of(0x7fc00000u), largest = float_of(0x7f7fffffu);
    enum { STEP = 4099 };

    ath_test_begin("functions");
    CHECK_NEAR(worst_ulps(vexp, exp, -86.98f, 88.7228f, STEP), 0, 1.5);
    CHECK_NEAR(worst_ulps(vsigmoid, sigmoid, -86.98f, largest, STEP), 0, 3.2);
    CHECK_NEAR(worst_ulps(silu_of, silu, -86.98f, largest, STEP), 0, 4);
    CHECK_NEAR(worst_ulps(vexp2, exp2, -126, 127.49f, STEP), 0, 1.5);
    CHECK_NEAR(worst_ulps(vlog, log, 0x1p-126f, largest, STEP), 0, 2);
    CHECK_NEAR(worst_ulps(cdf, normal, -0.5f, largest, STEP), 0, 5.4); /* 1.6e-7 */
    CHECK_NEAR(worst_ulps(cdf, normal, -4, -0.5f, STEP), 0, 16);       /* grows with the square */

    CHECK(vexp(vset(0))[0] == 1 && vexp2(vset(0))[0] == 1 && vlog(vset(1))[0] == 0);
    CHECK(vexp(vset(88.73f))[0] == INFINITY && vexp(vset(INFINITY))[0] == INFINITY);
    CHECK(vexp(vset(-88))[0] < 0x1p-126f && vexp(vset(-105))[0] == 0);
    CHECK(vexp(vset(-INFINITY))[0] == 0 && vexp2(vset(-200))[0] == 0);
    CHECK(vsigmoid(vset(0))[0] == 0.5f && vsigmoid(vset(INFINITY))[0] == 1);
    CHECK(vsigmoid(vset(-INFINITY))[0] == 0 && vsigmoid(vset(20))[0] == 1);
    CHECK(silu_of(vset(0))[0] == 0 && silu_of(vset(INFINITY))[0] == INFINITY);
    CHECK(fabsf(silu_of(vset(-200))[0]) < 0x1p-100f && is_nan(silu_of(vset(nan))[0]));
    CHECK(cdf(vset(0))[0] == 0.5f && cdf(vset(INFINITY))[0] == 1 && cdf(vset(6))[0] == 1);
    CHECK(cdf(vset(-INFINITY))[0] == 0 && cdf(vset(-40))[0] == 0);
    CHECK(is_nan(vexp(vset(nan))[0]) && is_nan(vexp2(vset(nan))[0]));
    CHECK(is_nan(vsigmoid(vset(nan))[0]) && is_nan(cdf(vset(nan))[0]));
    for (float x = -6; x < 6; x += 0.01f) {
        vf density;
        vnormal(vset(x), &density);
        const double z = (double)x;
        CHECK_NEAR(density[0], exp(-0.5 * z * z) * 0.39894228040143267794, 1e-7);
    }
}

/* What goes past the caches arrives as what does not, and nothing beside it is touched. */
static void test_stream(void)
{
    enum { N = 3 * VL };
    _Alignas(64) float f32[N];
    _Alignas(64) uint16_t bf16[N];
    const int64_t many = STREAM, row = 2 * LINE;

    ath_test_begin("stream");
    for (int i = 0; i < N; i++) f32[i] = -9;
    for (int i = 0; i < N; i++) bf16[i] = 0xabcd;
    span_stream(f32, ATH_F32, VL, viota());
    span_stream(bf16, ATH_BF16, VL, viota());
    vstreamed();
    for (int i = 0; i < N; i++) {
        const bool is_own = i >= VL && i < 2 * VL;
        const float x = (float)(i - VL);
        CHECK_EQ(f32[i], is_own ? x : -9);
        CHECK_EQ(bf16[i], is_own ? ath_bf16_from_f32(x) : 0xabcd);
    }
    CHECK(span_streams(f32, ATH_F32, row, many) && !span_streams(f32, ATH_F32, row, many / 4));
    CHECK(span_streams(bf16, ATH_BF16, row, many) && !span_streams(bf16, ATH_BF16, row, many / 2));
    CHECK(!span_streams(f32 + 1, ATH_F32, row, many) && !span_streams(f32, ATH_F32, 3, many));
}

static void test_spans(void)
{
    enum { N = 3 * VL };
    float f32[N + 1];
    uint16_t bf16[N + 1];

    ath_test_begin("spans");
    CHECK_EQ(span_count(0), 0);
    CHECK_EQ(span_count(SPAN), 1);
    CHECK_EQ(span_count(SPAN + 1), 2);
    CHECK_EQ(span_end(0, SPAN + 1), SPAN);
    CHECK_EQ(span_end(1, SPAN + 1), SPAN + 1);
    for (int end = 1; end <= N; end++) {
        for (int i = 0; i <= N; i++) f32[i] = -9;
        for (int i = 0; i <= N; i++) bf16[i] = 0xabcd;
        for (int i = 0; i < end; i += VL) {
            const vf x = viota() + vset((float)(i + 1));
            span_store(f32, ATH_F32, i, end, x);
            span_store(bf16, ATH_BF16, i, end, x);
            span_grad(f32, ATH_F32, i, end, x, true);
            span_grad(bf16, ATH_BF16, i, end, x, true);
        }
        for (int i = 0; i <= N; i++) {
            CHECK_EQ(f32[i], i < end ? 2 * (i + 1) : -9);
            CHECK_EQ(bf16[i], i < end ? ath_bf16_from_f32((float)(2 * (i + 1))) : 0xabcd);
        }
        const int last = (end - 1) / VL * VL;
        const vf a = span_load(f32, ATH_F32, last, end), b = span_load(bf16, ATH_BF16, last, end);
        const vf kept = span_keep(vset(1), last, end);
        for (int i = 0; i < VL; i++) {
            CHECK_EQ(a[i], last + i < end ? 2 * (last + i + 1) : 0);
            CHECK_EQ(b[i], last + i < end ? 2 * (last + i + 1) : 0);
            CHECK_EQ(kept[i], last + i < end);
        }
    }
}

int main(void)
{
    if (ath_isa_get() < level) return 77;
    test_lanes();
    test_arithmetic();
    test_tails();
    for (int i = 0; i < 2; i++) test_half(&formats[i]);
    test_functions();
    test_stream();
    test_spans();
    return ath_test_end();
}
