#include "kernels/pointwise.cuh"
extern "C" {
#include "kernels/add_rows.h"
}

namespace
{

template <class T> struct add_to_run {
    const T *x, *d;
    int64_t first, end;
    template <int V> __device__ void operator()(int64_t i, int64_t, float (&v)[V]) const
    {
        float w[V];
        load(x + i, v);
        if (i < first || i >= end) return;
        load(d + (i - first), w);
#pragma unroll
        for (int k = 0; k < V; k++) v[k] += w[k];
    }
};

/* Elements of an image. */
int64_t image_of(const ath_call *c)
{
    const ath_desc *x = &c->site->in[0];
    return ath_desc_count(x) / x->dim[0];
}

int64_t first_of(const ath_call *c)
{
    return ((const ath_add_rows_attr *)c->site->attr)->first * image_of(c);
}

template <class T> ath_err fwd(const ath_call *c)
{
    const int64_t first = first_of(c), end = first + ath_desc_count(&c->site->in[1]);
    const add_to_run<T> f = {(const T *)c->in[0], (const T *)c->in[1], first, end};

    return pointwise(c, f, (T *)c->out[0], ath_desc_count(&c->site->out[0]), false, image_of(c));
}

template <class T> ath_err bwd(const ath_call *c)
{
    const of_one<itself, T> dx = {(const T *)c->dout[0]};
    const of_one<itself, T> dd = {(const T *)c->dout[0] + first_of(c)};

    ATH_TRY(pointwise_grad<T>(c, 0, dx));
    return pointwise_grad<T>(c, 1, dd, image_of(c));
}

} // namespace

const ath_cuda_op ath_cuda_op_add_rows = {
    {nullptr, by_input<fwd<float>, fwd<bf16>>, nullptr, EXACT},
    {nullptr, by_input<bwd<float>, bwd<bf16>>, nullptr, EXACT},
};
