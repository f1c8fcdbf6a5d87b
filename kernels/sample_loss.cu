#include "kernels/pointwise.cuh"

namespace
{

enum { THREADS = 256 };

/* A block an image, a thread every THREADS-th element. Z: the target's type. */
template <class T, class Z>
static __global__ void means(const T *pred, const Z *target, int64_t n, double *y)
{
    ATH_SHARED(double, shared);
    const int64_t first = (int64_t)blockIdx.x * n;
    double sum = 0;

    for (int64_t i = threadIdx.x; i < n; i += THREADS) {
        const double d = (double)to_f32(pred[first + i]) - (double)to_f32(target[first + i]);
        sum += d * d;
    }
    sum = block_sum(sum, shared);
    if (threadIdx.x == 0) y[blockIdx.x] = sum / (double)n;
}

template <class T, class Z> ath_err fwd_of(const ath_call *c)
{
    const int64_t N = c->site->in[0].dim[0];

    return launch(c, dim3((unsigned)N), THREADS, THREADS / WARP * sizeof(double), means<T, Z>,
                  (const T *)c->in[0], (const Z *)c->in[1], ath_desc_count(&c->site->in[0]) / N,
                  (double *)c->out[0]);
}

template <class T> ath_err fwd(const ath_call *c)
{
    return c->site->in[1].dtype == ATH_F32 ? fwd_of<T, float>(c) : fwd_of<T, T>(c);
}

} // namespace

const ath_cuda_op ath_cuda_op_sample_loss = {
    {nullptr, by_input<fwd<float>, fwd<bf16>>, nullptr, EXACT},
    {},
};
