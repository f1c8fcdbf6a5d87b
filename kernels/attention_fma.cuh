/*
 * Attention of any head size and storage, without tensor cores: right everywhere, fast nowhere.
 *
 * A block has eight warps, each with four of its 32 rows; the other side's rows come 32 at a time, one
 * a lane. The block gathers SLAB channels of its output, more take more blocks, each with scores of its
 * own: a head of 512 whole forward, so that its scores are made once.
 */
#ifndef ATH_KERNELS_ATTENTION_FMA_CUH
#define ATH_KERNELS_ATTENTION_FMA_CUH

#include "kernels/attention.cuh"

enum { FMA_ROWS = 32, FMA_WARPS = 8, FMA_BLOCK = FMA_WARPS * WARP, EACH = FMA_ROWS / FMA_WARPS };

/* Some rows of a head: row i begins at p + i * step. */
template <class T> struct head_rows {
    const T *p;
    int64_t step, n;
};

template <class T>
static __device__ inline head_rows<T> rows_of(const problem &p, const T *x, int64_t head,
                                              int64_t n_rows, int64_t first)
{
    return {x + head_at(p, head, n_rows) + first * p.channels, p.channels, n_rows - first};
}

struct fma_shared {
    float x[FMA_ROWS][36], y[FMA_ROWS][33]; /* 32 channels; rows of x at multiples of 16 bytes */
    float w[FMA_ROWS][36], w2[FMA_ROWS][36];
};

/* What to do: a tile of rows of which head, which channels of it. */
struct fma_block {
    int64_t head, first, channel0;
};

static __device__ inline fma_block fma_block_of(const problem &p, int64_t n_rows, int slab)
{
    const unsigned n_tiles = (unsigned)((n_rows + FMA_ROWS - 1) / FMA_ROWS);
    const unsigned n_slabs = (unsigned)((p.d + slab - 1) / slab), i = blockIdx.x / n_slabs;

    return {i / n_tiles, (int64_t)(i % n_tiles) * FMA_ROWS, (int64_t)(blockIdx.x % n_slabs) * slab};
}

/* s[i] = row EACH * warp + i of x times row `lane` of y; rows that are not there are zeros. The whole
 * block together. */
template <class T>
static __device__ inline void dot_rows(float (&s)[EACH], const head_rows<T> &x,
                                       const head_rows<T> &y, int d, fma_shared *shared)
{
    const int lane = (int)threadIdx.x % WARP, warp = (int)threadIdx.x / WARP;

    for (int i = 0; i < EACH; i++) s[i] = 0;
    for (int c = 0; c < d; c += 32) {
        __syncthreads();
        for (int row = warp; row < FMA_ROWS; row += FMA_WARPS) {
            const bool is_in = c + lane < d;
            shared->x[row][lane] = is_in && row < x.n ? to_f32(x.p[row * x.step + c + lane]) : 0;
            shared->y[row][lane] = is_in && row < y.n ? to_f32(y.p[row * y.step + c + lane]) : 0;
        }
        __syncthreads();
#pragma unroll 8
        for (int k = 0; k < 32; k++)
#pragma unroll
            for (int i = 0; i < EACH; i++)
                s[i] = fmaf(shared->x[EACH * warp + i][k], shared->y[lane][k], s[i]);
    }
}

/* acc[i][c] += sum of w[EACH * warp + i][row] * y[row][channel c * 32 + lane], over the rows there are. */
template <int SLAB, class T>
static __device__ inline void add_rows(float (&acc)[EACH][SLAB / WARP], const float (*w)[36],
                                       const head_rows<T> &y, int n_channels)
{
    const int lane = (int)threadIdx.x % WARP, warp = (int)threadIdx.x / WARP;
    const int n = y.n < FMA_ROWS ? (int)y.n : FMA_ROWS;

    for (int row = 0; row < n; row++)
#pragma unroll
        for (int c = 0; c < SLAB / WARP; c++) {
            const int at = c * WARP + lane;
            if (c * WARP >= n_channels) break;
            const float v = at < n_channels ? to_f32(y.p[row * y.step + at]) : 0;
#pragma unroll
            for (int i = 0; i < EACH; i++) acc[i][c] = fmaf(w[EACH * warp + i][row], v, acc[i][c]);
        }
}

/* The warp's rows times factor[i] to rows of a head. */
template <int SLAB, class T>
static __device__ inline void put_slab(const float (&acc)[EACH][SLAB / WARP],
                                       const float (&factor)[EACH], const head_rows<T> &rows, T *to,
                                       int n_channels, bool add)
{
    const int lane = (int)threadIdx.x % WARP, warp = (int)threadIdx.x / WARP;

#pragma unroll
    for (int i = 0; i < EACH; i++)
#pragma unroll
        for (int c = 0; c < SLAB / WARP; c++)
            if (EACH * warp + i < rows.n && c * WARP + lane < n_channels)
                grad_put(to + (EACH * warp + i) * rows.step + c * WARP + lane,
                         acc[i][c] * factor[i], add);
}

static __device__ inline float warp_max(float x)
{
#pragma unroll
    for (int d = WARP / 2; d > 0; d /= 2) x = fmaxf(x, __shfl_xor_sync(ALL_LANES, x, d));
    return x;
}

/* Blocks: slabs of channels of tiles of queries of head after head. */
template <class T, int SLAB>
static __global__ void __launch_bounds__(FMA_BLOCK)
    fwd_fma(problem p, const T *q, const T *k, const T *v, T *o, float *lse)
{
    ATH_SHARED(fma_shared, shared);
    const int lane = (int)threadIdx.x % WARP, warp = (int)threadIdx.x / WARP;
    const fma_block b = fma_block_of(p, p.t, SLAB);
    const head_rows<T> x = rows_of(p, q, b.head, p.t, b.first);
    const int n_channels = (int)(p.d - b.channel0);
    const int64_t end = n_seen(p, b.first + FMA_ROWS - 1);
    float acc[EACH][SLAB / WARP] = {}, top[EACH], sum[EACH], factor[EACH];

    for (int i = 0; i < EACH; i++) {
        top[i] = -INFINITY;
        sum[i] = 0;
    }
    for (int64_t key0 = 0; key0 < end; key0 += FMA_ROWS) {
        float s[EACH];
        dot_rows(s, x, rows_of(p, k, b.head, p.s, key0), p.d, shared);
#pragma unroll
        for (int i = 0; i < EACH; i++) {
            const bool is_seen = key0 + lane < n_seen(p, b.first + EACH * warp + i);
            s[i] = is_seen ? s[i] * p.scale_2 : -INFINITY;
            const float high = fmaxf(top[i], warp_max(s[i])), shrink = exp2f(top[i] - high);
            s[i] = exp2f(s[i] - high);
            top[i] = high;
            sum[i] = fmaf(sum[i], shrink, s[i]);
#pragma unroll
            for (int c = 0; c < SLAB / WARP; c++) acc[i][c] *= shrink;
            shared->w[EACH * warp + i][lane] = s[i];
        }
        __syncwarp();
        add_rows<SLAB>(acc, shared->w, rows_of(p, v + b.channel0, b.head, p.s, key0), n_channels);
        __syncwarp();
    }
    for (int i = 0; i < EACH; i++) {
        const int64_t query = b.first + EACH * warp + i;
        sum[i] = warp_sum(sum[i]);
        factor[i] = 1 / sum[i];
        if (b.channel0 == 0 && lane == 0 && query < p.t)
            lse[b.head * p.t + query] = fmaf(top[i], LN2, logf(sum[i]));
    }
    T *to = o + head_at(p, b.head, p.t) + b.first * p.channels + b.channel0;
    put_slab<SLAB>(acc, factor, x, to, n_channels, false);
}

enum { BWD_SLAB = 64 };

/* Blocks: slabs of channels of tiles of rows of head after head. */
template <class T, bool BY_KEY>
static __global__ void __launch_bounds__(FMA_BLOCK) bwd_fma(problem p, bwd_pass<T> c)
{
    ATH_SHARED(fma_shared, shared);
    const int lane = (int)threadIdx.x % WARP, warp = (int)threadIdx.x / WARP;
    const int64_t n_x = BY_KEY ? p.s : p.t, n_y = BY_KEY ? p.t : p.s;
    const fma_block b = fma_block_of(p, n_x, BWD_SLAB);
    const head_rows<T> x = rows_of(p, c.x, b.head, n_x, b.first);
    const head_rows<T> x2 = rows_of(p, c.x2, b.head, n_x, b.first);
    const query_facts *known = c.known + b.head * p.padded_t;
    const int64_t begin = BY_KEY && p.causal ? b.first : 0;
    const int64_t end = BY_KEY ? p.t : n_seen(p, b.first + FMA_ROWS - 1);
    const int n_channels = (int)(p.d - b.channel0);
    float acc[EACH][BWD_SLAB / WARP] = {}, acc2[EACH][BWD_SLAB / WARP] = {};

    for (int64_t y0 = begin; y0 < end; y0 += FMA_ROWS) {
        float s[EACH], dp[EACH];
        dot_rows(s, x, rows_of(p, c.y, b.head, n_y, y0), p.d, shared);
        dot_rows(dp, x2, rows_of(p, c.y2, b.head, n_y, y0), p.d, shared);
        for (int i = 0; i < EACH; i++) {
            const int64_t row = b.first + EACH * warp + i, column = y0 + lane;
            const int64_t query = BY_KEY ? column : row, key = BY_KEY ? row : column;
            const query_facts f = known[query];
            const bool is_seen = query < p.t && key < n_seen(p, query);
            const float w = is_seen ? exp2f(fmaf(s[i], p.scale_2, -f.lse_2)) : 0;
            shared->w[EACH * warp + i][lane] = w * (dp[i] - f.delta);
            shared->w2[EACH * warp + i][lane] = w;
        }
        __syncwarp();
        add_rows<BWD_SLAB>(acc, shared->w, rows_of(p, c.y + b.channel0, b.head, n_y, y0),
                           n_channels);
        if (BY_KEY)
            add_rows<BWD_SLAB>(acc2, shared->w2, rows_of(p, c.y2 + b.channel0, b.head, n_y, y0),
                               n_channels);
        __syncwarp();
    }
    const float scales[EACH] = {p.scale, p.scale, p.scale, p.scale}, ones[EACH] = {1, 1, 1, 1};
    const int64_t to = head_at(p, b.head, n_x) + b.first * p.channels + b.channel0;
    if (c.to) put_slab<BWD_SLAB>(acc, scales, x, c.to + to, n_channels, c.add);
    if (BY_KEY && c.to2) put_slab<BWD_SLAB>(acc2, ones, x, c.to2 + to, n_channels, c.add2);
}

#endif
