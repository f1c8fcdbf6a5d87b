#include "kernels/pointwise.cuh"
extern "C" {
#include "kernels/hadamard.h"
}

namespace
{

/*
 * A block makes both products of a tile of y in steps of DEPTH ranks, and multiplies them. Backward it
 * does so for a strip of tiles beside each other and turns dy into dp1 = scale dy p2, dp2 = scale dy p1,
 * whose products with w1b, w2b it adds up: dwa without a copy of dp in memory. Several blocks
 * share a strip, their sums are added in order. dwb is the same of everything turned.
 */
enum { THREADS = 256, TILE_ROWS = 64, TILE_COLS = 32, DEPTH = 32, PITCH = DEPTH + 1 };
enum { PER_THREAD = TILE_ROWS * TILE_COLS / THREADS, STEP = TILE_ROWS / PER_THREAD };
enum { WANTED_BLOCKS = 512 };
static_assert((int)TILE_COLS == WARP && (int)DEPTH == WARP, "a lane is a column");

/* Element (i, k) is p[i * row + k * col]; n_rows and n_cols of them. */
struct view {
    const float *p;
    int64_t row, col, n_rows, n_cols;
};

/* The factors as seen for one side: y = scale (a0 b0^T) (a1 b1^T), dy alike. */
struct side {
    view a[2], b[2], dy;
    float scale;
};

/* Shared memory of a block. */
struct tiles {
    float a[2][TILE_ROWS * PITCH], b[2][TILE_COLS * PITCH], dp[2][TILE_ROWS * PITCH];
};

/* `rows` x DEPTH elements from (first, k) on, zeros beyond the end; along the axis that lies in order. */
__device__ void stage(const view &v, int64_t first, int64_t k, int rows, float *to)
{
    for (int e = (int)threadIdx.x; e < rows * DEPTH; e += THREADS) {
        const int i = v.col == 1 ? e / DEPTH : e % rows, j = v.col == 1 ? e % DEPTH : e / rows;
        const bool is_in = first + i < v.n_rows && k + j < v.n_cols;
        to[i * PITCH + j] = is_in ? v.p[(first + i) * v.row + (k + j) * v.col] : 0;
    }
}

/* Both products at rows threadIdx / 32 + STEP j of the tile, column threadIdx % 32. */
__device__ void products(const side &s, int64_t row, int64_t col, tiles *t,
                         float (&p)[2][PER_THREAD])
{
    const int y = (int)threadIdx.x / WARP, x = (int)threadIdx.x % WARP;

    for (int m = 0; m < 2; m++)
        for (int j = 0; j < PER_THREAD; j++) p[m][j] = 0;
    for (int64_t k = 0; k < s.a[0].n_cols; k += DEPTH) {
        __syncthreads();
        for (int m = 0; m < 2; m++) {
            stage(s.a[m], row, k, TILE_ROWS, t->a[m]);
            stage(s.b[m], col, k, TILE_COLS, t->b[m]);
        }
        __syncthreads();
#pragma unroll 4
        for (int d = 0; d < DEPTH; d++)
#pragma unroll
            for (int m = 0; m < 2; m++)
#pragma unroll
                for (int j = 0; j < PER_THREAD; j++)
                    p[m][j] =
                        fmaf(t->a[m][(y + STEP * j) * PITCH + d], t->b[m][x * PITCH + d], p[m][j]);
    }
}

static __global__ void multiply(side s, float *out)
{
    ATH_SHARED(tiles, t);
    const int64_t row = (int64_t)blockIdx.x * TILE_ROWS, col = (int64_t)blockIdx.y * TILE_COLS;
    const int y = (int)threadIdx.x / WARP, x = (int)threadIdx.x % WARP;
    const int64_t n_cols = s.b[0].n_rows;
    float p[2][PER_THREAD];

    products(s, row, col, t, p);
#pragma unroll
    for (int j = 0; j < PER_THREAD; j++)
        if (row + y + STEP * j < s.a[0].n_rows && col + x < n_cols)
            out[(row + y + STEP * j) * n_cols + col + x] = s.scale * p[0][j] * p[1][j];
}

/* Block (tile of rows, DEPTH ranks, part of the columns): part [parts][2] of arrays as a. */
static __global__ void da_parts(side s, int64_t cols_of_part, float *part)
{
    ATH_SHARED(tiles, t);
    const int64_t row = (int64_t)blockIdx.x * TILE_ROWS, rank = (int64_t)blockIdx.y * DEPTH;
    const int64_t first = blockIdx.z * cols_of_part;
    const int64_t end = min(first + cols_of_part, s.b[0].n_rows);
    const int y = (int)threadIdx.x / WARP, x = (int)threadIdx.x % WARP;
    float sum[2][PER_THREAD] = {}, p[2][PER_THREAD];

    for (int64_t col = first; col < end; col += TILE_COLS) {
        products(s, row, col, t, p);
        stage(s.dy, row, col, TILE_ROWS, t->dp[0]);
        __syncthreads();
#pragma unroll
        for (int j = 0; j < PER_THREAD; j++) {
            const int at = (y + STEP * j) * PITCH + x;
            const float g = s.scale * t->dp[0][at];
            t->dp[0][at] = g * p[1][j];
            t->dp[1][at] = g * p[0][j];
        }
        for (int m = 0; m < 2; m++) stage(s.b[m], col, rank, TILE_COLS, t->b[m]);
        __syncthreads();
#pragma unroll 4
        for (int i = 0; i < TILE_COLS; i++)
#pragma unroll
            for (int m = 0; m < 2; m++)
#pragma unroll
                for (int j = 0; j < PER_THREAD; j++)
                    sum[m][j] = fmaf(t->dp[m][(y + STEP * j) * PITCH + i], t->b[m][i * PITCH + x],
                                     sum[m][j]);
    }
    for (int m = 0; m < 2; m++)
#pragma unroll
        for (int j = 0; j < PER_THREAD; j++) {
            const int64_t i = row + y + STEP * j, k = rank + x;
            const view &a = s.a[m];
            if (i < a.n_rows && k < a.n_cols)
                part[((int64_t)blockIdx.z * 2 + m) * a.n_rows * a.n_cols + i * a.row + k * a.col] =
                    sum[m][j];
        }
}

/* The parts in order; `part` is the first of this factor. */
struct over_parts {
    const float *part;
    int64_t n_parts;
    template <int V> __device__ void operator()(int64_t i, int64_t n, float (&v)[V]) const
    {
        float w[V];
        load(part, i, n, v);
        for (int64_t k = 1; k < n_parts; k++) {
            load(part + k * 2 * n, i, n, w);
#pragma unroll
            for (int j = 0; j < V; j++) v[j] += w[j];
        }
    }
};

/* ---- calls ---- */

/* rows x cols of y as seen from `wa` (turned: from wb). */
struct cut {
    int64_t rows, cols, r;
    int64_t n_parts, cols_of_part;
};

cut cut_of(const ath_site *site, bool turned)
{
    const int64_t o = site->out[0].dim[0], i = site->out[0].dim[1], r = site->in[0].dim[1];
    cut c = {turned ? i : o, turned ? o : i, r, 1, 0};
    const int64_t blocks = ceil_div(c.rows, TILE_ROWS) * ceil_div(r, DEPTH);
    const int64_t n_tiles = ceil_div(c.cols, TILE_COLS);
    const int64_t tiles_of_part = ceil_div(n_tiles, ceil_div(WANTED_BLOCKS, blocks));

    c.cols_of_part = tiles_of_part * TILE_COLS;
    c.n_parts = ceil_div(n_tiles, tiles_of_part);
    return c;
}

int64_t part_floats(const cut &c)
{
    return c.n_parts * 2 * c.rows * c.r;
}

side side_of(const ath_call *c, bool turned)
{
    const int64_t o = c->site->out[0].dim[0], i = c->site->out[0].dim[1];
    const int64_t r = c->site->in[0].dim[1];
    side s = {};

    for (int m = 0; m < 2; m++) {
        const view wa = {(const float *)c->in[2 * m], r, 1, o, r};
        const view wb = {(const float *)c->in[2 * m + 1], 1, i, i, r};
        s.a[m] = turned ? wb : wa;
        s.b[m] = turned ? wa : wb;
    }
    s.dy = {(const float *)c->dout[0], turned ? 1 : i, turned ? i : 1, turned ? i : o,
            turned ? o : i};
    s.scale = ((const ath_hadamard_attr *)c->site->attr)->scale;
    return s;
}

ath_err bind_fwd(const ath_site *site, ath_bound *)
{
    ATH_NEED(site->out[0].dtype == ATH_F32, ATH_ENOTSUP, "hadamard: f64 on a GPU");
    return ATH_OK;
}

ath_err bind_bwd(const ath_site *site, ath_bound *bound)
{
    const int64_t plain = part_floats(cut_of(site, false)),
                  turned = part_floats(cut_of(site, true));

    ATH_TRY(bind_fwd(site, bound));
    bound->scratch_bytes = (size_t)(plain > turned ? plain : turned) * sizeof(float);
    return ATH_OK;
}

ath_err fwd(const ath_call *c)
{
    const ath_desc *y = &c->site->out[0];
    const dim3 grid((unsigned)ceil_div(y->dim[0], TILE_ROWS),
                    (unsigned)ceil_div(y->dim[1], TILE_COLS));

    return launch(c, grid, THREADS, sizeof(tiles), multiply, side_of(c, false), (float *)c->out[0]);
}

/* dw1a and dw2a; turned: dw1b and dw2b. */
ath_err bwd_of(const ath_call *c, bool turned)
{
    const cut k = cut_of(c->site, turned);
    const dim3 grid((unsigned)ceil_div(k.rows, TILE_ROWS), (unsigned)ceil_div(k.r, DEPTH),
                    (unsigned)k.n_parts);
    float *part = (float *)c->scratch;

    if (!c->din[turned] && !c->din[2 + turned]) return ATH_OK;
    ATH_TRY(launch(c, grid, THREADS, sizeof(tiles), da_parts, side_of(c, turned), k.cols_of_part,
                   part));
    for (int m = 0; m < 2; m++) {
        const over_parts f = {part + m * k.rows * k.r, k.n_parts};
        ATH_TRY(pointwise_grad<float>(c, 2 * m + turned, f, k.rows * k.r));
    }
    return ATH_OK;
}

ath_err bwd(const ath_call *c)
{
    ATH_TRY(bwd_of(c, false));
    return bwd_of(c, true);
}

} // namespace

const ath_cuda_op ath_cuda_op_hadamard = {
    {bind_fwd, fwd, nullptr, ATH_BITS_THREADS},
    {bind_bwd, bwd, nullptr, ATH_BITS_THREADS},
};
