#include "kernels/par.h"
#include "kernels/ref.h"

/* A panel of B, PANEL_K x TILE_N, is laid together and stays in the cache while all rows of A pass. */
enum { TILE_M = 4, TILE_N = 16, PANEL_K = 256 };

/* One tile of C, kept in registers by compilers that know how. */
static void tile(int64_t k, const real *a, int64_t lda, const real *panel, real *c, int64_t ldc)
{
    real sum[TILE_M][TILE_N];

    for (int i = 0; i < TILE_M; i++)
        for (int j = 0; j < TILE_N; j++) sum[i][j] = c[i * ldc + j];
    for (int64_t p = 0; p < k; p++)
        for (int i = 0; i < TILE_M; i++) {
            const real x = a[i * lda + p];
            ATH_SIMD
            for (int j = 0; j < TILE_N; j++) sum[i][j] += x * panel[p * TILE_N + j];
        }
    for (int i = 0; i < TILE_M; i++)
        for (int j = 0; j < TILE_N; j++) c[i * ldc + j] = sum[i][j];
}

/* What is left at the right and lower edge: fewer rows or columns than a tile. */
static void corner(int64_t m, int64_t n, int64_t k, const real *a, int64_t lda, const real *panel,
                   real *c, int64_t ldc)
{
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++)
            for (int64_t p = 0; p < k; p++)
                c[i * ldc + j] += a[i * lda + p] * panel[p * TILE_N + j];
}

static int64_t at_most(int64_t n, int64_t most)
{
    return n < most ? n : most;
}

void ATH_REF_NAME(gemm)(int64_t m, int64_t n, int64_t k, const real *a, int64_t lda, const real *b,
                        int64_t ldb, real *c, int64_t ldc)
{
    real panel[PANEL_K * TILE_N];

    for (int64_t p0 = 0; p0 < k; p0 += PANEL_K) {
        const int64_t n_p = at_most(k - p0, PANEL_K);
        for (int64_t j = 0; j < n; j += TILE_N) {
            const int64_t n_j = at_most(n - j, TILE_N);
            for (int64_t p = 0; p < n_p; p++)
                for (int64_t q = 0; q < n_j; q++) panel[p * TILE_N + q] = b[(p0 + p) * ldb + j + q];
            for (int64_t i = 0; i < m; i += TILE_M) {
                const real *ai = a + i * lda + p0;
                const int64_t n_i = at_most(m - i, TILE_M);
                if (n_i == TILE_M && n_j == TILE_N)
                    tile(n_p, ai, lda, panel, c + i * ldc + j, ldc);
                else
                    corner(n_i, n_j, n_p, ai, lda, panel, c + i * ldc + j, ldc);
            }
        }
    }
}
