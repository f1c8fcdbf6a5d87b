#include "kernels/launch.cuh"

enum { THREADS = 256 };

static __device__ inline float sigmoid(float x)
{
    return 1 / (1 + expf(-x));
}

template <class T> static __global__ void fwd(const T *x, T *y, int64_t n)
{
    constexpr int N = pack<T>::n;
    const int64_t i = ((int64_t)blockIdx.x * THREADS + threadIdx.x) * N;
    float v[N];

    if (i >= n) return;
    load_pack(x, i, n, v);
#pragma unroll
    for (int k = 0; k < N; k++) v[k] *= sigmoid(v[k]);
    store_pack(y, i, n, v);
}

template <class T> static __global__ void bwd(const T *x, const T *dy, T *dx, int64_t n, bool add)
{
    constexpr int N = pack<T>::n;
    const int64_t i = ((int64_t)blockIdx.x * THREADS + threadIdx.x) * N;
    float v[N], d[N];

    if (i >= n) return;
    load_pack(x, i, n, v);
    load_pack(dy, i, n, d);
#pragma unroll
    for (int k = 0; k < N; k++) {
        const float s = sigmoid(v[k]);
        d[k] *= s * fmaf(v[k], 1 - s, 1);
    }
    grad_pack(dx, i, n, d, add);
}

template <class T> static dim3 blocks(int64_t n)
{
    return dim3((unsigned)ceil_div(n, THREADS * pack<T>::n));
}

static ath_err run_fwd(const ath_call *c)
{
    const int64_t n = ath_desc_count(&c->site->in[0]);

#define RUN(T) launch(c, blocks<T>(n), THREADS, 0, fwd<T>, (const T *)c->in[0], (T *)c->out[0], n)
    return BY_DTYPE(c->site->in[0].dtype, RUN);
#undef RUN
}

static ath_err run_bwd(const ath_call *c)
{
    const int64_t n = ath_desc_count(&c->site->in[0]);

#define RUN(T)                                                                              \
    launch(c, blocks<T>(n), THREADS, 0, bwd<T>, (const T *)c->in[0], (const T *)c->dout[0], \
           (T *)c->din[0], n, (c->site->add & 1) != 0)
    return BY_DTYPE(c->site->in[0].dtype, RUN);
#undef RUN
}

const ath_cuda_op ath_cuda_op_silu = {
    {nullptr, run_fwd, nullptr, ATH_BITS_THREADS | ATH_BITS_ROWS},
    {nullptr, run_bwd, nullptr, ATH_BITS_THREADS | ATH_BITS_ROWS},
};
