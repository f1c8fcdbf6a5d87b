#include "kernels/gelu.cuh"
extern "C" {
#include "kernels/gelu.h"
}

namespace
{

struct gelu {
    __device__ float operator()(float x) const
    {
        return x * gelu_gate(x);
    }
};

struct gelu_grad {
    __device__ float operator()(float x, float dy) const
    {
        return dy * gelu_slope(x, gelu_gate(x));
    }
};

__device__ inline float quick_gate(float x)
{
    return 1 / (1 + expf(-1.702f * x));
}

struct quick {
    __device__ float operator()(float x) const
    {
        return x * quick_gate(x);
    }
};

struct quick_grad {
    __device__ float operator()(float x, float dy) const
    {
        const float gate = quick_gate(x);
        return dy * fmaf(1.702f * x, gate * (1 - gate), gate);
    }
};

bool is_quick(const ath_call *c)
{
    return ((const ath_gelu_attr *)c->site->attr)->quick != 0;
}

template <class T, class F> ath_err fwd_of(const ath_call *c)
{
    const of_one<F, T> f = {(const T *)c->in[0]};
    return pointwise(c, f, (T *)c->out[0], ath_desc_count(&c->site->out[0]), false);
}

template <class T, class F> ath_err bwd_of(const ath_call *c)
{
    const of_two<F, T, T> f = {(const T *)c->in[0], (const T *)c->dout[0]};
    return pointwise_grad<T>(c, 0, f);
}

template <class T> ath_err fwd(const ath_call *c)
{
    return is_quick(c) ? fwd_of<T, quick>(c) : fwd_of<T, gelu>(c);
}

template <class T> ath_err bwd(const ath_call *c)
{
    return is_quick(c) ? bwd_of<T, quick_grad>(c) : bwd_of<T, gelu_grad>(c);
}

} // namespace

const ath_cuda_op ath_cuda_op_gelu = {
    {nullptr, by_input<fwd<float>, fwd<bf16>>, nullptr, EXACT},
    {nullptr, by_input<bwd<float>, bwd<bf16>>, nullptr, EXACT},
};
