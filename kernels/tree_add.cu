#include "kernels/launch.cuh"
extern "C" {
#include "kernels/tree_add.h"
}

namespace
{

/* A group of LANES threads takes a block of numbers, each lane every LANES-th: so lanes are the partial
 * sums of core/squares.h, and a group reads 64 bytes at once. */
enum { THREADS = 256, LANES = 16, GROUPS = THREADS / LANES, AT_ONCE = 8 };

struct sums {
    const float *x;
    const int32_t *turn;
    float *part, *y;
    int64_t n;
};

/* Numbers i, i + LANES .. of a block's AT_ONCE; those at or after `end` are 0. All are read before any is
 * written, for x may be y. */
__device__ inline void add_up(const sums &s, int64_t i, int64_t end, float (&sum)[AT_ONCE])
{
#pragma unroll
    for (int j = 0; j < AT_ONCE; j++) sum[j] = i + j * LANES < end ? s.x[i + j * LANES] : 0;
    for (int32_t k = s.turn[ATH_TURN_BEFORE] - 1; k >= s.turn[ATH_TURN_AT]; k--) {
        const float *part = s.part + k * s.n + i;
#pragma unroll
        for (int j = 0; j < AT_ONCE; j++)
            if (i + j * LANES < end) sum[j] = part[j * LANES] + sum[j];
    }
}

/* The squares of floats are exact: fused or not, the bits are the same. */
static __global__ void add(sums s, int32_t block, double *square)
{
    const int64_t i_block = (int64_t)blockIdx.x * GROUPS + threadIdx.x / LANES;
    const int64_t first = i_block * block, end = first + block < s.n ? first + block : s.n;
    const bool is_last = s.turn[ATH_TURN_LAST] != 0;
    float *to = is_last ? s.y : s.part + s.turn[ATH_TURN_AT] * s.n, some[AT_ONCE];
    const bool is_there = to == s.x && s.turn[ATH_TURN_BEFORE] <= s.turn[ATH_TURN_AT];
    double sum = 0;

    for (int64_t i = first + threadIdx.x % LANES; i < end; i += LANES * AT_ONCE) {
        add_up(s, i, end, some);
#pragma unroll
        for (int j = 0; j < AT_ONCE; j++) {
            if (!is_there && i + j * LANES < end) to[i + j * LANES] = some[j];
            sum += (double)some[j] * (double)some[j];
        }
    }
#pragma unroll
    for (int half = LANES / 2; half > 0; half /= 2) sum += __shfl_down_sync(ALL_LANES, sum, half);
    if (is_last && threadIdx.x % LANES == 0 && first < s.n) square[i_block] = sum;
}

/* One after another, as the host adds them: a warp fetches, its first lane adds. */
static __global__ void add_squares(const double *square, int64_t n, const int32_t *turn,
                                   bool is_first, double *norm2)
{
    ATH_SHARED(double, some);
    double sum = is_first ? 0 : *norm2;

    if (turn[ATH_TURN_LAST] == 0) return;
    for (int64_t i = 0; i < n; i += THREADS) {
        if (i + threadIdx.x < n) some[threadIdx.x] = square[i + threadIdx.x];
        __syncthreads();
        for (int k = 0; threadIdx.x == 0 && k < THREADS && i + k < n; k++) sum += some[k];
        __syncthreads();
    }
    if (threadIdx.x == 0) *norm2 = sum;
}

int64_t block_count(const ath_site *s)
{
    return ceil_div(s->in[0].dim[0], ((const ath_tree_add_attr *)s->attr)->block);
}

ath_err bind(const ath_site *site, ath_bound *bound)
{
    ATH_NEED(site->in[0].dtype == ATH_F32, ATH_ENOTSUP, "tree_add: f64 on a GPU");
    bound->scratch_bytes = (size_t)block_count(site) * sizeof(double);
    return ATH_OK;
}

ath_err fwd(const ath_call *c)
{
    const ath_tree_add_attr *a = (const ath_tree_add_attr *)c->site->attr;
    const int64_t n_blocks = block_count(c->site);
    const int32_t *turn = (const int32_t *)c->in[1];
    const sums s = {(const float *)c->in[0], turn, (float *)c->out[0], (float *)c->out[1],
                    c->site->in[0].dim[0]};
    double *square = (double *)c->scratch;

    ATH_TRY(launch(c, dim3((unsigned)ceil_div(n_blocks, GROUPS)), THREADS, 0, add, s, a->block,
                   square));
    return launch(c, dim3(1), THREADS, THREADS * sizeof(double), add_squares, square, n_blocks,
                  turn, a->is_first != 0, (double *)c->out[2]);
}

} // namespace

const ath_cuda_op ath_cuda_op_tree_add = {
    {bind, fwd, nullptr, ATH_BITS_THREADS},
    {},
};
