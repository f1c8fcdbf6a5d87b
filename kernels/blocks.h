/*
 * Sums down the columns of an array [rows, C], for x_cpu.c files. Rows are cut into blocks whose
 * height depends on C alone; each block leaves one f32 partial for each column in scratch; partials
 * are added in double, in the order of the blocks. So neither the number of threads nor the rest
 * of a batch changes a bit.
 */
#ifndef ATH_KERNELS_BLOCKS_H
#define ATH_KERNELS_BLOCKS_H

#include <stdbool.h>
#include <stdint.h>

/* elements and rows of a block; columns that are added together */
#if ATH_TORTURE
enum { BLOCK = 64, BLOCK_ROWS_MIN = 2, BLOCK_ROWS_MAX = 4, BLOCK_COLUMNS = 16 };
#else
enum { BLOCK = 32 * 1024, BLOCK_ROWS_MIN = 32, BLOCK_ROWS_MAX = 256, BLOCK_COLUMNS = 64 };
#endif

/* A power of two: images whose sides are powers of two are cut evenly. */
static inline int64_t block_rows(int64_t c)
{
    int64_t rows = BLOCK_ROWS_MAX;
    while (rows > BLOCK_ROWS_MIN && rows * c > BLOCK) rows /= 2;
    return rows;
}

static inline int64_t block_count(int64_t rows, int64_t c)
{
    return (rows + block_rows(c) - 1) / block_rows(c);
}

/* C rounded up to whole vectors of any level: partials are read and written without tails. */
static inline int64_t block_width(int64_t c)
{
    return (c + 15) / 16 * 16;
}

/* sum[j] += part[b * step + j] for n <= BLOCK_COLUMNS columns, blocks b in order. */
static inline void block_add(const float *part, int64_t step, int64_t n_blocks, int n, double *sum)
{
    for (int64_t b = 0; b < n_blocks; b++)
        for (int j = 0; j < n; j++) sum[j] += (double)part[b * step + j];
}

/* The same as a gradient: written to `out`, or added. */
static inline void block_grad(const float *part, int64_t step, int64_t n_blocks, int n, float *out,
                              bool add)
{
    double sum[BLOCK_COLUMNS] = {0};

    block_add(part, step, n_blocks, n, sum);
    for (int j = 0; j < n; j++) out[j] = (float)(add ? (double)out[j] + sum[j] : sum[j]);
}

#endif
