#include "kernels/launch.cuh"

#include "kernels/product_cuda.h"

enum { THREADS = 256 };

static __global__ void narrow(const float *x, bf16 *y, int64_t n)
{
    const int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x;

    if (i < n) y[i] = from_f32<bf16>(x[i]);
}

ath_err ath_cuda_narrow(const ath_call *c, const float *x, int64_t n, void *y)
{
    return launch(c, dim3((unsigned)ceil_div(n, THREADS)), THREADS, 0, narrow, x, (bf16 *)y, n);
}

template <class T>
static __global__ void scale_columns(T *x, const float *factor, int64_t n, int64_t cols)
{
    constexpr int N = pack<T>::n;
    const int64_t i = ((int64_t)blockIdx.x * THREADS + threadIdx.x) * N;
    float v[N];

    if (i >= n) return;
    load_pack(x, i, n, v);
#pragma unroll
    for (int k = 0; k < N; k++) v[k] *= factor[(i + k) % cols];
    store_pack(x, i, n, v);
}

ath_err ath_cuda_scale_columns(const ath_call *c, const ath_desc *d, const float *factor, void *x)
{
    const int64_t n = ath_desc_count(d), cols = ath_desc_last(d);

#define RUN(T)                                                                                \
    launch(c, dim3((unsigned)ceil_div(n, THREADS *pack<T>::n)), THREADS, 0, scale_columns<T>, \
           (T *)x, factor, n, cols)
    return BY_DTYPE(d->dtype, RUN);
#undef RUN
}
