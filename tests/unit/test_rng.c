/* Random numbers: the known answers of Philox4x32-10, the exact uniform grid, moments of the normal
 * numbers, and a shuffle that is a permutation and treats all orders alike. */
#include "core/rng.h"
#include "tests/harness.h"

enum { N_DRAWS = 1 << 18 };

/* The known-answer vectors of Random123: zeros, ones, digits of pi. */
static void check_philox(void)
{
    static const struct {
        uint32_t counter[4], key[2], out[4];
    } kat[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };

    ath_test_begin("philox");
    for (size_t i = 0; i < sizeof kat / sizeof *kat; i++) {
        uint32_t out[4], in_place[4];
        ath_philox(kat[i].counter, kat[i].key, out);
        CHECK_BITS(out, kat[i].out, sizeof out);
        memcpy(in_place, kat[i].counter, sizeof in_place);
        ath_philox(in_place, kat[i].key, in_place);
        CHECK_BITS(in_place, kat[i].out, sizeof out);
    }
}

static void check_uniform(void)
{
    static const uint32_t key[2] = {42, 0};
    double sum = 0, sum2 = 0;

    ath_test_begin("uniform");
    CHECK(ath_uniform_f32(0) == 0.0f);
    CHECK(ath_uniform_f32(255) == 0.0f);
    CHECK(ath_uniform_f32(256) == 0x1p-24f);
    CHECK(ath_uniform_f32(UINT32_MAX) == 1.0f - 0x1p-24f);
    CHECK(ath_uniform_f64(0, 0x7ff) == 0.0);
    CHECK(ath_uniform_f64(0, 0x800) == 0x1p-53);
    CHECK(ath_uniform_f64(0x80000000u, 0) == 0.5);
    CHECK(ath_uniform_f64(UINT32_MAX, UINT32_MAX) == 1.0 - 0x1p-53);
    for (uint32_t i = 0; i < N_DRAWS; i++) {
        uint32_t word[4] = {i, 0, 0, 0};
        ath_philox(word, key, word);
        double x = (double)ath_uniform_f32(word[0]), y = ath_uniform_f64(word[1], word[2]);
        sum += x + y;
        sum2 += x * x + y * y;
    }
    CHECK_NEAR(sum / (2 * N_DRAWS), 0.5, 5 * 0.2887 / sqrt(2 * N_DRAWS));
    CHECK_NEAR(sum2 / (2 * N_DRAWS), 1.0 / 3, 5 * 0.2981 / sqrt(2 * N_DRAWS));
}

/* The first four moments, and no correlation between the four of a block: all within five standard
 * deviations of their own. */
static void check_normal(void)
{
    static const uint32_t key[2] = {1337, 7};
    double moment[5] = {0}, cross[4][4] = {{0}}, n = 4.0 * N_DRAWS;

    ath_test_begin("normal");
    for (uint32_t i = 0; i < N_DRAWS; i++) {
        uint32_t word[4] = {i, 3, 1, 9};
        float z[4];
        ath_philox(word, key, word);
        ath_normal4(word, z);
        for (int a = 0; a < 4; a++) {
            double power = 1;
            for (int k = 1; k <= 4; k++) moment[k] += power *= (double)z[a];
            for (int b = 0; b < a; b++) cross[a][b] += (double)z[a] * (double)z[b];
        }
    }
    CHECK_NEAR(moment[1] / n, 0, 5 / sqrt(n));
    CHECK_NEAR(moment[2] / n, 1, 5 * sqrt(2 / n));
    CHECK_NEAR(moment[3] / n, 0, 5 * sqrt(15 / n));
    CHECK_NEAR(moment[4] / n, 3, 5 * sqrt(96 / n));
    for (int a = 0; a < 4; a++)
        for (int b = 0; b < a; b++) CHECK_NEAR(cross[a][b] / N_DRAWS, 0, 5 / sqrt(N_DRAWS));

    float z[4];
    ath_normal4((const uint32_t[4]){0, 0, UINT32_MAX, 0}, z);
    CHECK_NEAR(z[0], sqrt(64 * log(2)), 1e-6); /* the largest there is */
    CHECK(z[1] == 0.0f);
    CHECK(z[2] == 0.0f && z[3] == 0.0f);
    ath_normal4((const uint32_t[4]){0x7fffffff, 0x40000000, 0x7fffffff, 0x80000000}, z);
    CHECK_NEAR(z[0], 0, 1e-7); /* a quarter turn, then a half */
    CHECK_NEAR(z[1], sqrt(2 * log(2)), 1e-7);
    CHECK_NEAR(z[2], -sqrt(2 * log(2)), 1e-7);
}

static void check_permutation(int64_t n)
{
    static unsigned char seen[100000];
    static const uint32_t key[2] = {5, 6};
    int64_t n_seen = 0;

    memset(seen, 0, sizeof seen);
    for (int64_t i = 0; i < n; i++) {
        int64_t at = ath_permute(i, n, key, 1, 2);
        if (0 <= at && at < n && !seen[at]) n_seen++;
        seen[at] = 1;
    }
    CHECK_EQ(n_seen, n);
}

/* How often each of the n! orders comes for 20,000 keys: chi squared against all being equal, whose
 * mean is n!-1 and whose variance is twice that. */
static void check_orders(int64_t n, int n_orders)
{
    enum { N_KEYS = 20000 };
    int count[120] = {0};
    double chi2 = 0, each = (double)N_KEYS / n_orders;

    for (uint32_t k = 0; k < N_KEYS; k++) {
        int64_t at[5];
        int order = 0;
        for (int64_t i = 0; i < n; i++) {
            at[i] = ath_permute(i, n, (const uint32_t[2]){k, 77}, 0, 0);
            int n_less = 0;
            for (int64_t j = 0; j < i; j++) n_less += at[j] < at[i];
            order = order * (int)(i + 1) + n_less;
        }
        count[order]++;
    }
    for (int i = 0; i < n_orders; i++) chi2 += (count[i] - each) * (count[i] - each) / each;
    CHECK_NEAR(chi2, n_orders - 1, 5 * sqrt(2.0 * (n_orders - 1)));
}

static void check_permute(void)
{
    static const uint32_t key[2] = {1, 2};
    int n_equal[3] = {0};

    ath_test_begin("permutation");
    for (int64_t n = 1; n <= 600; n++) check_permutation(n);
    check_permutation(65536);
    check_permutation(65537);
    check_permutation(99991);
    int64_t far = ath_permute(((int64_t)1 << 62) - 1, (int64_t)1 << 62, key, 0, 0);
    CHECK(0 <= far && far < (int64_t)1 << 62);

    ath_test_begin("all orders alike");
    check_orders(2, 2);
    check_orders(3, 6);
    check_orders(4, 24);
    check_orders(5, 120);

    ath_test_begin("kind, epoch and key matter");
    for (int64_t i = 0; i < 1000; i++) {
        int64_t at = ath_permute(i, 1000, key, 0, 0);
        n_equal[0] += at == ath_permute(i, 1000, key, 1, 0);
        n_equal[1] += at == ath_permute(i, 1000, key, 0, 1);
        n_equal[2] += at == ath_permute(i, 1000, (const uint32_t[2]){1, 3}, 0, 0);
    }
    for (int k = 0; k < 3; k++) CHECK(n_equal[k] < 8); /* one is expected */
}

int main(void)
{
    check_philox();
    check_uniform();
    check_normal();
    check_permute();
    return ath_test_end();
}
