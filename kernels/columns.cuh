/*
 * Kernels that go down the columns of [images][rows][C]: sums over rows in two passes of a fixed
 * order, and elementwise work whose factors belong to a channel and stay in registers.
 *
 * A block takes `chunk` rows of one image and `width` packs of columns side by side, `step` rows at
 * once. That depends on rows and C alone, so an image's sums do not change with the batch: a thread adds
 * every step-th row of its chunk, then the block adds its `step` threads, then the chunks are added.
 */
#ifndef ATH_KERNELS_COLUMNS_CUH
#define ATH_KERNELS_COLUMNS_CUH

#include "kernels/pointwise.cuh"

enum { COLUMN_THREADS = 256 };

struct columns {
    int64_t images, rows, c;
    int64_t chunk, n_chunks; /* rows of a block; blocks of an image */
    int v, n_packs;          /* columns of a pack, packs of a row */
    int width, step, n_tiles;
};

/* Columns that a thread takes: a pack where rows begin at one, else 1. */
static inline int column_pack(ath_dtype dtype, int64_t c)
{
    const int v = dtype == ATH_BF16 ? pack<bf16>::n : pack<float>::n;
    return c % v ? 1 : v;
}

static inline columns columns_of(int64_t images, int64_t rows, int64_t c, int v)
{
    enum { STEPS = 8, MOST_CHUNKS = 512 }; /* at least and at most, where there are as many rows */
    columns g = {};

    g.images = images;
    g.rows = rows;
    g.c = c;
    g.v = v;
    g.n_packs = (int)(c / v);
    g.n_tiles = (int)ceil_div(g.n_packs, COLUMN_THREADS);
    g.width = (int)ceil_div(g.n_packs, g.n_tiles);
    g.step = COLUMN_THREADS / g.width;
    const int64_t steps = ceil_div(rows, (int64_t)g.step * MOST_CHUNKS);
    g.chunk = g.step * (steps > STEPS ? steps : (int64_t)STEPS);
    g.n_chunks = ceil_div(rows, g.chunk);
    return g;
}

/* Of x [images, ..., C]: images 1 takes all rows as one. */
static inline columns columns_over(const ath_desc *x, int64_t images)
{
    const int64_t c = ath_desc_last(x);
    return columns_of(images, ath_desc_rows(x) / images, c, column_pack(x->dtype, c));
}

static inline dim3 column_grid(const columns &g)
{
    return dim3((unsigned)(g.images * g.n_chunks), (unsigned)g.n_tiles);
}

/* Shared memory of column_sums. */
static inline size_t column_shared(const columns &g, int n_sums)
{
    return (size_t)g.step * (size_t)n_sums * (size_t)(g.width * g.v) * sizeof(float);
}

/* Bytes of the partial sums, [images][n_chunks][n_sums][C]. */
static inline size_t column_bytes(const columns &g, int n_sums)
{
    return (size_t)(g.images * g.n_chunks * n_sums * g.c) * sizeof(float);
}

/* ---- within a block ---- */

/* This thread's part of the block's. */
struct column_place {
    int64_t image, chunk;
    int64_t row, end; /* of all rows: the first of this thread, the end of the block's */
    int64_t n_rows;   /* of the block */
    int64_t at;       /* the first column of its pack */
    int lane;         /* its pack within the block */
    bool is_in;       /* it has one */
};

static __device__ inline column_place column_place_of(const columns &g)
{
    column_place p;
    const int row = (int)threadIdx.x / g.width;
    const int i_pack = (int)blockIdx.y * g.width + (int)threadIdx.x % g.width;

    p.image = blockIdx.x / g.n_chunks;
    p.chunk = blockIdx.x % g.n_chunks;
    const int64_t first = p.chunk * g.chunk;
    p.n_rows = g.rows - first < g.chunk ? g.rows - first : g.chunk;
    p.row = p.image * g.rows + first + row;
    p.end = p.image * g.rows + first + p.n_rows;
    p.at = (int64_t)i_pack * g.v;
    p.lane = (int)threadIdx.x % g.width;
    p.is_in = row < g.step && i_pack < g.n_packs;
    return p;
}

/* Sums over the block's rows: f(row, v) gives S values of each of the thread's columns. Column k of pack
 * `lane` is then shared[(s * width + lane) * V + k]; all threads call, and are through. */
template <int S, int V, class F>
static __device__ inline void column_sums(const columns &g, const column_place &p, F f,
                                          float *shared)
{
    const int n = S * g.width * V;
    float sum[S][V] = {}, v[S][V];

    if (p.is_in) {
#pragma unroll 4
        for (int64_t row = p.row; row < p.end; row += g.step) {
            f(row, v);
#pragma unroll
            for (int s = 0; s < S; s++)
#pragma unroll
                for (int k = 0; k < V; k++) sum[s][k] += v[s][k];
        }
        float *mine = shared + (int)threadIdx.x / g.width * n;
#pragma unroll
        for (int s = 0; s < S; s++)
#pragma unroll
            for (int k = 0; k < V; k++) mine[(s * g.width + p.lane) * V + k] = sum[s][k];
    }
    __syncthreads();
    for (int j = (int)threadIdx.x; j < n; j += COLUMN_THREADS) {
        float total = shared[j];
        for (int r = 1; r < g.step; r++) total += shared[r * n + j];
        shared[j] = total;
    }
    __syncthreads();
}

/* The block's sums into the partial sums `part`. */
template <int S, int V>
static __device__ inline void column_put(const columns &g, const column_place &p,
                                         const float *shared, float *part)
{
    if ((int)threadIdx.x >= g.width || !p.is_in) return;
#pragma unroll
    for (int s = 0; s < S; s++) {
        float v[V];
        load(shared + (s * g.width + p.lane) * V, v);
        store(part + ((p.image * g.n_chunks + p.chunk) * S + s) * g.c + p.at, v, false);
    }
}

/* ---- both passes ---- */

/* f(image, row, at, v): S values of columns at .. at+V-1 of a row. */
template <int S, int V, class F> static __global__ void column_partials(columns g, F f, float *part)
{
    ATH_SHARED(float, shared);
    const column_place p = column_place_of(g);

    column_sums<S, V>(
        g, p, [&](int64_t row, float(&v)[S][V]) { f(row, p.at, v); }, shared);
    column_put<S, V>(g, p, shared, part);
}

/* out[image, c] (=|+=) the sum over chunks of sum `s` of n_sums. */
template <class T>
static __global__ void column_totals(columns g, const float *part, int64_t c, int n_sums, int s,
                                     T *out, bool add)
{
    ATH_SHARED(float, shared);
    const column_place p = column_place_of(g);

    column_sums<1, 1>(
        g, p, [&](int64_t row, float(&v)[1][1]) { v[0][0] = part[(row * n_sums + s) * c + p.at]; },
        shared);
    if ((int)threadIdx.x < g.width && p.is_in)
        grad_put(out + p.image * c + p.at, shared[p.lane], add);
}

/* The second pass for one of the sums; nothing where `out` is NULL. */
template <class T>
static ath_err column_total(const ath_call *call, const columns &g, const float *part, int n_sums,
                            int s, T *out, bool add)
{
    columns of_chunks = columns_of(g.images, g.n_chunks, g.c, 1);

    if (!out) return ATH_OK;
    of_chunks.width = of_chunks.n_packs < WARP ? of_chunks.n_packs : (int)WARP;
    of_chunks.n_tiles = (int)ceil_div(of_chunks.n_packs, of_chunks.width);
    of_chunks.step = COLUMN_THREADS / of_chunks.width;
    of_chunks.chunk = g.n_chunks;
    of_chunks.n_chunks = 1;
    return launch(call, column_grid(of_chunks), COLUMN_THREADS, column_shared(of_chunks, 1),
                  column_totals<T>, of_chunks, part, g.c, n_sums, s, out, add);
}

/* The first pass: `part` has column_bytes(g, S). */
template <int S, class T, class F>
static ath_err column_pass(const ath_call *call, const columns &g, F f, float *part)
{
    constexpr int V = pack<T>::n;
    const size_t shared = column_shared(g, S);

    if (g.v == 1)
        return launch(call, column_grid(g), COLUMN_THREADS, shared, column_partials<S, 1, F>, g, f,
                      part);
    return launch(call, column_grid(g), COLUMN_THREADS, shared, column_partials<S, V, F>, g, f,
                  part);
}

#endif
