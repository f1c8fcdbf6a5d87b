#include "kernels/launch.cuh"

#include "kernels/product_cuda.h"

/* Eight warps of a block take turns at its rows; a lane has V columns. */
enum { WARPS = 8, THREADS = WARPS * WARP, ROWS = 128, MOST_BLOCKS = 65535 };

template <class T, int V> static __device__ inline void load(const T *p, float *out)
{
    if (V == pack<T>::n)
        load_pack(p, 0, V, out);
    else
        out[0] = to_f32(*p);
}

/* sum[block,n] (=|+=) the rows of each block. */
template <class T, int V>
static __global__ void sum_rows(const T *x, int64_t rows, int64_t cols, int64_t rows_each, bool add,
                                float *sum)
{
    ATH_SHARED(float, shared); /* [WARPS, V, WARP] */
    const int warp = (int)threadIdx.x / WARP, lane = (int)threadIdx.x % WARP;
    const int64_t j = ((int64_t)blockIdx.x * WARP + lane) * V;
    const int64_t first = (int64_t)blockIdx.y * rows_each;
    const int64_t end = first + rows_each < rows ? first + rows_each : rows;
    float part[V] = {0};

    if (j < cols) {
#pragma unroll 4
        for (int64_t i = first + warp; i < end; i += WARPS) {
            float v[V];
            load<T, V>(x + i * cols + j, v);
#pragma unroll
            for (int k = 0; k < V; k++) part[k] += v[k];
        }
    }
#pragma unroll
    for (int k = 0; k < V; k++) shared[(warp * V + k) * WARP + lane] = part[k];
    __syncthreads();
    if (warp != 0 || j >= cols) return;
    for (int k = 0; k < V; k++) {
        float total = 0;
        for (int w = 0; w < WARPS; w++) total += shared[(w * V + k) * WARP + lane];
        grad_put(&sum[blockIdx.y * cols + j + k], total, add);
    }
}

static int64_t n_blocks(int64_t rows)
{
    const int64_t blocks = ceil_div(rows, ROWS);
    return blocks < MOST_BLOCKS ? blocks : (int64_t)MOST_BLOCKS;
}

template <class T, int V>
static ath_err sum_by(const ath_call *c, const T *x, int64_t rows, int64_t cols, int64_t blocks,
                      bool add, float *sum)
{
    const dim3 grid((unsigned)ceil_div(cols, WARP * V), (unsigned)blocks);

    return launch(c, grid, THREADS, sizeof(float) * THREADS * V, sum_rows<T, V>, x, rows, cols,
                  ceil_div(rows, blocks), add, sum);
}

template <class T>
static ath_err sum(const ath_call *c, const T *x, int64_t rows, int64_t cols, int64_t blocks,
                   bool add, float *to)
{
    constexpr int N = pack<T>::n;

    return cols % N == 0 ? sum_by<T, N>(c, x, rows, cols, blocks, add, to)
                         : sum_by<T, 1>(c, x, rows, cols, blocks, add, to);
}

size_t ath_cuda_column_sum_bytes(const ath_desc *d)
{
    const int64_t blocks = n_blocks(ath_desc_rows(d));
    return blocks == 1 ? 0 : (size_t)(blocks * ath_desc_last(d)) * sizeof(float);
}

ath_err ath_cuda_column_sum(const ath_call *c, const ath_desc *d, const void *x, void *partials,
                            bool add, float *to)
{
    const int64_t rows = ath_desc_rows(d), cols = ath_desc_last(d), blocks = n_blocks(rows);
    float *first = blocks == 1 ? to : (float *)partials;
    const bool adds = blocks == 1 && add;

#define RUN(T) sum(c, (const T *)x, rows, cols, blocks, adds, first)
    ATH_TRY(BY_DTYPE(d->dtype, RUN));
#undef RUN
    return blocks == 1 ? ATH_OK : sum(c, (const float *)first, blocks, cols, 1, add, to);
}
