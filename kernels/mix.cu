#include "kernels/pointwise.cuh"

namespace
{

/* a[image] x + b[image] z */
template <class T> struct mixed {
    const T *x, *z;
    const float *a, *b;
    int64_t image;
    template <int V> __device__ void operator()(int64_t i, int64_t, float (&v)[V]) const
    {
        const float p = a[i / image], q = b[i / image];
        float w[V];
        load(x + i, v);
        load(z + i, w);
#pragma unroll
        for (int k = 0; k < V; k++) v[k] = p * v[k] + q * w[k];
    }
};

/* weight[image] dy */
template <class T> struct weighted {
    const T *dy;
    const float *weight;
    int64_t image;
    template <int V> __device__ void operator()(int64_t i, int64_t, float (&v)[V]) const
    {
        const float w = weight[i / image];
        load(dy + i, v);
#pragma unroll
        for (int k = 0; k < V; k++) v[k] *= w;
    }
};

int64_t image_of(const ath_call *c)
{
    const ath_desc *x = &c->site->in[0];
    return ath_desc_count(x) / x->dim[0];
}

template <class T> ath_err fwd(const ath_call *c)
{
    const int64_t image = image_of(c);
    const mixed<T> f = {(const T *)c->in[0], (const T *)c->in[1], (const float *)c->in[2],
                        (const float *)c->in[3], image};

    return pointwise(c, f, (T *)c->out[0], ath_desc_count(&c->site->out[0]), false, image);
}

template <class T> ath_err bwd(const ath_call *c)
{
    const int64_t image = image_of(c);

    for (int k = 0; k < 2; k++) {
        const weighted<T> f = {(const T *)c->dout[0], (const float *)c->in[2 + k], image};
        ATH_TRY(pointwise_grad<T>(c, k, f, image));
    }
    return ATH_OK;
}

} // namespace

const ath_cuda_op ath_cuda_op_mix = {
    {nullptr, by_input<fwd<float>, fwd<bf16>>, nullptr, EXACT},
    {nullptr, by_input<bwd<float>, bwd<bf16>>, nullptr, EXACT},
};
