#include "kernels/launch.cuh"

namespace
{

/* A thread adds every 256 * blocks-th pack, in double, where the square of a float is exact. */
enum { THREADS = 256 };
constexpr int64_t MOST_BLOCKS = 1024;

int64_t block_count(int64_t n)
{
    const int64_t wanted = ceil_div(n, THREADS * pack<float>::n * 4);
    return wanted < MOST_BLOCKS ? wanted : MOST_BLOCKS;
}

static __global__ void squares(const float *g, int64_t n, double *part)
{
    ATH_SHARED(double, shared);
    constexpr int N = pack<float>::n;
    const int64_t step = (int64_t)gridDim.x * THREADS * N;
    double sum = 0;

    for (int64_t i = ((int64_t)blockIdx.x * THREADS + threadIdx.x) * N; i < n; i += step) {
        float v[N];
        load_pack(g, i, n, v);
#pragma unroll
        for (int k = 0; k < N; k++) sum += (double)v[k] * (double)v[k];
    }
    sum = block_sum(sum, shared);
    if (threadIdx.x == 0) part[blockIdx.x] = sum;
}

static __global__ void total(const double *part, int64_t n, double *y)
{
    ATH_SHARED(double, shared);
    double sum = 0;

    for (int64_t i = threadIdx.x; i < n; i += THREADS) sum += part[i];
    sum = block_sum(sum, shared);
    if (threadIdx.x == 0) *y = sum;
}

ath_err bind(const ath_site *site, ath_bound *bound)
{
    ATH_NEED(site->in[0].dtype == ATH_F32, ATH_ENOTSUP, "norm2: f64 on a GPU");
    bound->scratch_bytes = (size_t)block_count(ath_desc_count(&site->in[0])) * sizeof(double);
    return ATH_OK;
}

ath_err fwd(const ath_call *c)
{
    const int64_t n = ath_desc_count(&c->site->in[0]), n_blocks = block_count(n);
    const size_t shared = THREADS / WARP * sizeof(double);
    double *part = (double *)c->scratch;

    ATH_TRY(launch(c, dim3((unsigned)n_blocks), THREADS, shared, squares, (const float *)c->in[0],
                   n, part));
    return launch(c, dim3(1), THREADS, shared, total, part, n_blocks, (double *)c->out[0]);
}

} // namespace

const ath_cuda_op ath_cuda_op_norm2 = {
    {bind, fwd, nullptr, ATH_BITS_THREADS},
    {},
};
