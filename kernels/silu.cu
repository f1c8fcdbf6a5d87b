#include "kernels/pointwise.cuh"

namespace
{

__device__ inline float sigmoid(float x)
{
    return 1 / (1 + expf(-x));
}

struct silu {
    __device__ float operator()(float x) const
    {
        return x * sigmoid(x);
    }
};

struct silu_grad {
    __device__ float operator()(float x, float dy) const
    {
        const float s = sigmoid(x);
        return dy * (s * fmaf(x, 1 - s, 1));
    }
};

template <class T> ath_err fwd(const ath_call *c)
{
    const of_one<silu, T> f = {(const T *)c->in[0]};
    return pointwise(c, f, (T *)c->out[0], ath_desc_count(&c->site->out[0]), false);
}

template <class T> ath_err bwd(const ath_call *c)
{
    const of_two<silu_grad, T, T> f = {(const T *)c->in[0], (const T *)c->dout[0]};
    return pointwise_grad<T>(c, 0, f);
}

} // namespace

const ath_cuda_op ath_cuda_op_silu = {
    {nullptr, by_input<fwd<float>, fwd<bf16>>, nullptr, EXACT},
    {nullptr, by_input<bwd<float>, bwd<bf16>>, nullptr, EXACT},
};
