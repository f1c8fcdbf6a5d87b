/*
 * What stands beside the libraries' products: sums of columns over many blocks of rows, set and added to;
 * filters turned and turned back; bias and factors. And the map from row-major products to the
 * column-major ones that libraries are asked for, by a plain column-major product.
 */
#include "kernels/launch.cuh"

extern "C" {
#include "kernels/gemm.h"
#include "kernels/product_cuda.h"
#include "tests/harness.h"
}

static const ath_call no_call = {};

enum { MOST = 1 << 18 };
static float wide[MOST], result[MOST];
static uint16_t half[MOST], half_result[MOST];
static float partials[MOST];

/* Small whole numbers: their sums are exact in any order. */
static void fill(int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        wide[i] = (float)((i * 7919 + i / 13) % 31 - 15);
        half[i] = ath_bf16_from_f32(wide[i]);
    }
}

static void check_column_sum(int64_t rows, int64_t cols, ath_dtype dtype, bool add)
{
    const ath_desc d = {dtype, 2, {rows, cols}};
    const void *x = dtype == ATH_BF16 ? (const void *)half : wide;
    int n_wrong = 0;

    fill(rows * cols);
    for (int64_t j = 0; j < cols; j++) result[j] = (float)j;
    result[cols] = 77; /* behind the end */
    memset(partials, 0xff, sizeof partials);
    CHECK(ath_cuda_column_sum_bytes(&d) <= sizeof partials);
    CHECK_OK(ath_cuda_column_sum(&no_call, &d, x, partials, add, result));
    for (int64_t j = 0; j < cols; j++) {
        float want = add ? (float)j : 0;
        for (int64_t i = 0; i < rows; i++) want += wide[i * cols + j];
        n_wrong += result[j] != want;
    }
    CHECK_EQ(n_wrong, 0);
    CHECK_EQ(result[cols], 77);
}

static void check_column_sums()
{
    static const int64_t rows[] = {1, 5, 128, 129, 1000}, cols[] = {1, 7, 8, 20, 256};

    for (int64_t r : rows)
        for (int64_t c : cols)
            for (int add = 0; add < 2; add++) {
                check_column_sum(r, c, ATH_F32, add);
                check_column_sum(r, c, ATH_BF16, add);
            }
}

static void check_filter(const ath_filter *f)
{
    const int64_t n = f->o * f->c * f->taps;
    const bool is_half = f->dtype == ATH_BF16;
    int n_wrong = 0;

    fill(n);
    CHECK_OK(is_half ? ath_cuda_filter_turn(&no_call, f, half, half_result)
                     : ath_cuda_filter_turn(&no_call, f, wide, partials));
    for (int64_t i = 0; i < n; i++) {
        const int64_t c = i % f->c, t = i / f->c % f->taps, o = i / f->c / f->taps;
        const float got = is_half ? ath_f32_from_bf16(half_result[i]) : partials[i];
        n_wrong += got != wide[(o * f->c + c) * f->taps + t];
    }
    for (int add = 0; add < 2; add++) {
        const void *turned = is_half ? (const void *)half_result : partials;
        for (int64_t i = 0; i < n; i++) result[i] = (float)i;
        CHECK_OK(ath_cuda_filter_back(&no_call, f, turned, add, result));
        for (int64_t i = 0; i < n; i++) n_wrong += result[i] != wide[i] + (float)(add ? i : 0);
    }
    CHECK_EQ(n_wrong, 0);
}

static void check_narrow()
{
    enum { N = 1003 };
    int n_wrong = 0;

    for (int i = 0; i < N; i++) wide[i] = (float)i / 7;
    CHECK_OK(ath_cuda_narrow(&no_call, wide, N, half_result));
    for (int i = 0; i < N; i++) n_wrong += half_result[i] != ath_bf16_from_f32(wide[i]);
    CHECK_EQ(n_wrong, 0);
}

static void check_factors(ath_dtype dtype)
{
    const ath_desc d = {dtype, 2, {37, 13}};
    const int64_t n = ath_desc_count(&d);
    int n_wrong = 0;

    fill(n);
    for (int j = 0; j < 13; j++) partials[j] = (float)(j % 3);
    CHECK_OK(ath_cuda_scale_columns(&no_call, &d, partials,
                                    dtype == ATH_BF16 ? (void *)half
                                                      : memcpy(result, wide, sizeof wide)));
    for (int64_t i = 0; i < n; i++) {
        const float got = dtype == ATH_BF16 ? ath_f32_from_bf16(half[i]) : result[i];
        n_wrong += got != wide[i] * partials[i % 13];
    }
    CHECK_EQ(n_wrong, 0);
}

/* An element of what a column-major library sees, after its transposition. */
static float element(const ath_gemm_columns *m, const float *p, int64_t i, int64_t j)
{
    return m->turned ? p[i * m->rows + j] : p[j * m->rows + i];
}

static void check_map(bool a_turned, bool b_turned)
{
    const int64_t m = 5, n = 3, k = 4;
    ath_gemm g = {m, n, k, a_turned, b_turned, false, false, 1, ATH_F32, ATH_F32};
    const ath_gemm_map map = ath_gemm_get_map(&g);
    const float *a = wide, *b = wide + 100;
    int n_wrong = 0;

    fill(200);
    CHECK_EQ(map.d.rows, n);
    CHECK_EQ(map.d.cols, m);
    CHECK_EQ(map.a.turned ? map.a.cols : map.a.rows, map.d.rows);
    CHECK_EQ(map.b.turned ? map.b.rows : map.b.cols, map.d.cols);
    for (int64_t i = 0; i < map.d.rows; i++)
        for (int64_t j = 0; j < map.d.cols; j++) {
            result[j * map.d.rows + i] = 0;
            for (int64_t l = 0; l < k; l++)
                result[j * map.d.rows + i] += element(&map.a, b, i, l) * element(&map.b, a, l, j);
        }
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            float want = 0;
            for (int64_t l = 0; l < k; l++)
                want += a[a_turned ? l * m + i : i * k + l] * b[b_turned ? j * k + l : l * n + j];
            n_wrong += result[i * n + j] != want;
        }
    CHECK_EQ(n_wrong, 0);
}

int main()
{
    static const ath_filter filters[] = {{3, 5, 9, ATH_F32},
                                         {4, 8, 9, ATH_BF16},
                                         {1, 1, 1, ATH_BF16},
                                         {300, 2, 10, ATH_F32},
                                         {2, 300, 3, ATH_BF16}};

    ath_test_begin("sums of columns");
    check_column_sums();
    ath_test_begin("filters");
    for (const ath_filter &f : filters) check_filter(&f);
    ath_test_begin("bias and factors");
    check_narrow();
    check_factors(ATH_F32);
    check_factors(ATH_BF16);
    ath_test_begin("map");
    for (int i = 0; i < 4; i++) check_map(i & 1, i & 2);
    return ath_test_end();
}
