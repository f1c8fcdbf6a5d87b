/*
 * Products of small f32 matrices for x_cpu.c files: tiles of C live in registers, B is read by
 * vectors of its columns, A by single elements, so nothing is rearranged beforehand.
 *
 *     C[M,N] = A[M,K] B[K,N]  (set)  or  C + A B  (add)  or  gain[n] * C + A B  (gain)
 *
 * M is rounded up to TILE_M and N to VL: A, B and C must have room for that (contents arbitrary),
 * and the surplus of C is overwritten. Each sum runs over K in order, starts from zero, and joins
 * C at its end.
 */
#ifndef ATH_KERNELS_TILE_H
#define ATH_KERNELS_TILE_H

#include "kernels/vec.h"

/* With as many accumulators as the registers hold beside one row of B and one element of A. */
#if defined(__AVX512F__)
enum { TILE_M = 8, TILE_V = 3 };
#else
enum { TILE_M = 4, TILE_V = 3 };
#endif

typedef enum tile_join { TILE_SET, TILE_ADD, TILE_GAIN } tile_join;

typedef struct tile_product {
    int64_t m, n, k;
    const float *a;
    int64_t lda;
    const float *b;
    int64_t ldb;
    float *c;
    int64_t ldc;
    tile_join join;
    const float *gain; /* [N], for TILE_GAIN */
} tile_product;

/* How many vectors the next column group has: at most TILE_V, and no lone last one after it. */
static inline int tile_vectors(int64_t n_left)
{
    const int64_t left = (n_left + VL - 1) / VL;
    return left == TILE_V + 1 ? TILE_V - 1 : left < TILE_V ? (int)left : TILE_V;
}

/* Rows i.. and nv vectors of columns j.. of C; `nv` and `flipped` are constants of each caller. */
VEC_INLINE void tile_run(const tile_product *p, int64_t i0, int64_t j0, int nv, bool flipped)
{
    const float *a = p->a + (flipped ? i0 : i0 * p->lda), *b = p->b + j0;
    const int64_t next_row = flipped ? 1 : p->lda, next_k = flipped ? p->lda : 1;
    float *c = p->c + i0 * p->ldc + j0;
    vf sum[TILE_M][TILE_V];

    for (int i = 0; i < TILE_M; i++)
        for (int j = 0; j < nv; j++) sum[i][j] = vset(0.0f);
    for (int64_t k = 0; k < p->k; k++, a += next_k, b += p->ldb) {
        vf row[TILE_V];
        for (int j = 0; j < nv; j++) row[j] = vload(b + j * VL);
        for (int i = 0; i < TILE_M; i++) {
            const vf x = vset(a[i * next_row]);
            for (int j = 0; j < nv; j++) sum[i][j] = vfma(x, row[j], sum[i][j]);
        }
    }
    if (p->join == TILE_GAIN) {
        for (int i = 0; i < TILE_M; i++)
            for (int j = 0; j < nv; j++)
                sum[i][j] =
                    vfma(vload(p->gain + j0 + j * VL), vload(c + i * p->ldc + j * VL), sum[i][j]);
    } else if (p->join == TILE_ADD) {
        for (int i = 0; i < TILE_M; i++)
            for (int j = 0; j < nv; j++) sum[i][j] += vload(c + i * p->ldc + j * VL);
    }
    for (int i = 0; i < TILE_M; i++)
        for (int j = 0; j < nv; j++) vstore(c + i * p->ldc + j * VL, sum[i][j]);
}

VEC_INLINE void tile_each(const tile_product *p, bool flipped)
{
    for (int64_t j = 0, nv; j < p->n; j += nv * VL) {
        nv = tile_vectors(p->n - j);
        for (int64_t i = 0; i < p->m; i += TILE_M) {
            if (nv == 3)
                tile_run(p, i, j, 3, flipped);
            else if (nv == 2)
                tile_run(p, i, j, 2, flipped);
            else
                tile_run(p, i, j, 1, flipped);
        }
    }
}

/* A as written above: rows of K elements, lda apart. */
static inline void tile_mul(const tile_product p)
{
    tile_each(&p, false);
}

/* A given as its transpose: K rows of M elements, lda apart. */
static inline void tile_mul_flipped(const tile_product p)
{
    tile_each(&p, true);
}

#endif
