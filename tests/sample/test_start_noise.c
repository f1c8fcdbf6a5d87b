/*
 * Start noise: the numbers that torch draws on a CPU and that the WebUI computes for CUDA
 * (spec/adapters-and-formats 8.5), and our own: a pure function of the seed and the draw, standard
 * normal, no two draws alike.
 */
#include "tests/harness.h"
#include "worker/sample/start_noise.h"
#include <math.h>
#include <stdlib.h>

enum { MANY = 4096 };

static void check_values(ath_noise_kind kind, uint64_t seed, int64_t n, int64_t at,
                         const double *wanted, int n_wanted)
{
    static float x[MANY];
    static ath_noise_source s;

    ath_noise_begin(&s, kind, seed);
    ath_noise_draw(&s, n, x);
    for (int i = 0; i < n_wanted; i++) CHECK_NEAR(x[at + i], wanted[i], 4e-7);
}

static void check_torch(void)
{
    static const double first[] = {1.9269152879714966, 1.4872840642929077, 0.9007171988487244};
    static const double last[] = {-0.7688388824462891, 0.7624453902244568};
    /* 20 is not a multiple of 16: numbers 4..19 are drawn again */
    static const double again[] = {
        1.9269152879714966,  1.4872840642929077,   0.9007171988487244,  -2.1055209636688232,
        -0.7581311464309692, 1.078317642211914,    0.8008005619049072,  1.680620551109314,
        0.3558599054813385,  -0.6866229772567749,  -0.4933563470840454, 0.2414877861738205,
        -0.2316243201494217, 0.041759490966796875, -0.2515752911567688, 0.859858512878418,
        -0.3097267746925354, -0.3957104980945587,  0.8034093379974365,  -0.6215953826904297};
    static const double few[] = {0.336690366, 0.128809407, 0.234462366, 0.230333030, -1.122856379};
    static const double more[] = {-0.186328292, 2.208201408, -0.637997031, 0.461657226,
                                  0.267350882};
    static const double second[] = {0.8086627125740051, -1.291603922843933, -0.8927897810935974};
    static float x[MANY];
    static ath_noise_source s;

    ath_test_begin("torch on the CPU");
    check_values(ATH_NOISE_TORCH_CPU, 42, 16, 0, first, 3);
    check_values(ATH_NOISE_TORCH_CPU, 42, 16, 14, last, 2);
    check_values(ATH_NOISE_TORCH_CPU, 42, 20, 0, again, 20);
    check_values(ATH_NOISE_TORCH_CPU, 42, 5, 0, few, 5);

    ath_noise_begin(&s, ATH_NOISE_TORCH_CPU, 42);
    ath_noise_draw(&s, 5, x);
    ath_noise_draw(&s, 5, x); /* the sixth number was left over from the first draw */
    for (int i = 0; i < 5; i++) CHECK_NEAR(x[i], more[i], 4e-7);
    for (int high = 0; high < 2; high++) {
        ath_noise_begin(&s, ATH_NOISE_TORCH_CPU, 7 + ((uint64_t)high << 32));
        ath_noise_draw(&s, MANY, x);
        ath_noise_draw(&s, MANY, x);
        for (int i = 0; i < 3; i++) CHECK_NEAR(x[MANY - 3 + i], second[i], 4e-7);
    }
}

static void check_nv(void)
{
    static const double first[] = {-0.92466259, -0.42534415, -2.6438457, 0.14518388};

    ath_test_begin("nv");
    check_values(ATH_NOISE_NV, 0, 4, 0, first, 4);
    check_values(ATH_NOISE_NV, 0, MANY, 0, first, 4);
}

/* Means of x, x^2 and of products of neighbours, planes and draws, within five deviations. */
static void check_moments(ath_noise_kind kind)
{
    static float x[MANY], y[MANY];
    static ath_noise_source s;
    double sum = 0, squares = 0, beside = 0, across = 0;

    ath_noise_begin(&s, kind, 0x123456789abcdefULL);
    ath_noise_draw(&s, MANY, x);
    ath_noise_draw(&s, MANY, y);
    for (int i = 0; i < MANY; i++) {
        sum += (double)x[i];
        squares += (double)x[i] * (double)x[i];
        beside += (double)x[i] * (double)x[(i + 1) % MANY];
        across += (double)x[i] * (double)y[i];
    }
    CHECK_NEAR(sum / MANY, 0, 5 / sqrt(MANY));
    CHECK_NEAR(squares / MANY, 1, 5 * sqrt(2.0 / MANY));
    CHECK_NEAR(beside / MANY, 0, 5 / sqrt(MANY));
    CHECK_NEAR(across / MANY, 0, 5 / sqrt(MANY));
}

static void check_own(void)
{
    static float x[MANY], y[MANY];
    static ath_noise_source s, t;

    ath_test_begin("own");
    for (int kind = 0; kind < ATH_N_NOISE_KINDS; kind++) check_moments((ath_noise_kind)kind);
    ath_noise_begin(&s, ATH_NOISE_OWN, 5);
    ath_noise_draw(&s, MANY, x);
    ath_noise_begin(&t, ATH_NOISE_OWN, 5);
    ath_noise_draw(&t, 7, y); /* a smaller picture begins with the same numbers */
    CHECK_BITS(x, y, 7 * sizeof *x);
    ath_noise_begin(&t, ATH_NOISE_OWN, 5 + (1ULL << 32));
    ath_noise_draw(&t, MANY, y);
    CHECK(memcmp(x, y, sizeof x) != 0);
    ath_noise_draw(&s, MANY, y);
    CHECK(memcmp(x, y, sizeof x) != 0);
}

int main(void)
{
    check_torch();
    check_nv();
    check_own();
    return ath_test_end();
}
