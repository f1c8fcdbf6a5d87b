#include "kernels/columns.cuh"
extern "C" {
#include "kernels/mul_channels.h"
}

namespace
{

/* x [rows,c] * (offset + factor [c]), factor NULL: zeros. dx is the same of dy. */
template <class T> struct scaled {
    const T *x;
    const float *factor;
    float offset;
    int64_t c;
    template <int V> __device__ void operator()(int64_t i, int64_t, float (&v)[V]) const
    {
        float w[V] = {};
        load(x + i, v);
        if (factor) load(factor + i % c, w);
#pragma unroll
        for (int k = 0; k < V; k++) v[k] *= offset + w[k];
    }
};

template <class T> struct products {
    const T *x, *dy;
    int64_t c;
    template <int V> __device__ void operator()(int64_t row, int64_t at, float (&v)[1][V]) const
    {
        float d[V];
        load(x + row * c + at, v[0]);
        load(dy + row * c + at, d);
#pragma unroll
        for (int k = 0; k < V; k++) v[0][k] *= d[k];
    }
};

ath_err bind_bwd(const ath_site *site, ath_bound *bound)
{
    if (site->din[1].dtype) bound->scratch_bytes = column_bytes(columns_over(&site->in[0], 1), 1);
    return ATH_OK;
}

template <class T> scaled<T> scaling_of(const ath_call *c, const void *x)
{
    const float offset = ((const ath_mul_channels_attr *)c->site->attr)->offset;
    return {(const T *)x, (const float *)c->in[1], offset, ath_desc_last(&c->site->in[0])};
}

template <class T> ath_err fwd(const ath_call *c)
{
    const scaled<T> f = scaling_of<T>(c, c->in[0]);
    return pointwise(c, f, (T *)c->out[0], ath_desc_count(&c->site->out[0]), false, f.c);
}

template <class T> ath_err bwd(const ath_call *c)
{
    const columns g = columns_over(&c->site->in[0], 1);
    const products<T> dv = {(const T *)c->in[0], (const T *)c->dout[0], g.c};
    float *part = (float *)c->scratch;

    ATH_TRY(pointwise_grad<T>(c, 0, scaling_of<T>(c, c->dout[0]), g.c));
    if (!c->din[1]) return ATH_OK;
    ATH_TRY((column_pass<1, T>(c, g, dv, part)));
    return column_total(c, g, part, 1, 0, (float *)c->din[1], c->site->add >> 1 & 1);
}

} // namespace

const ath_cuda_op ath_cuda_op_mul_channels = {
    {nullptr, by_input<fwd<float>, fwd<bf16>>, nullptr, EXACT},
    {bind_bwd, by_input<bwd<float>, bwd<bf16>>, nullptr, EXACT},
};
