#include "kernels/pointwise.cuh"
extern "C" {
#include "kernels/rows.h"
}

namespace
{

/* x's gradient: that of the run [first, end), 0 around it. */
template <class T> struct around {
    const T *dy;
    int64_t first, end;
    template <int V> __device__ void operator()(int64_t i, int64_t, float (&v)[V]) const
    {
#pragma unroll
        for (int k = 0; k < V; k++) v[k] = 0;
        if (first <= i && i < end) load(dy + (i - first), v);
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
    return ((const ath_rows_attr *)c->site->attr)->first * image_of(c);
}

template <class T> ath_err fwd(const ath_call *c)
{
    const int64_t n = ath_desc_count(&c->site->out[0]), first = first_of(c);
    const of_one<itself, T> f = {(const T *)c->in[0] + first};

    return pointwise(c, f, (T *)c->out[0], n, false, image_of(c));
}

/* Rows outside the run are not touched where it adds. */
template <class T> ath_err bwd(const ath_call *c)
{
    const int64_t n = ath_desc_count(&c->site->out[0]), first = first_of(c);
    const T *dy = (const T *)c->dout[0];
    const of_one<itself, T> run = {dy};
    const around<T> all = {dy, first, first + n};

    if (!c->din[0]) return ATH_OK;
    if (c->site->add & 1) return pointwise(c, run, (T *)c->din[0] + first, n, true, image_of(c));
    return pointwise_grad<T>(c, 0, all, image_of(c));
}

} // namespace

const ath_cuda_op ath_cuda_op_rows = {
    {nullptr, by_input<fwd<float>, fwd<bf16>>, nullptr, EXACT},
    {nullptr, by_input<bwd<float>, bwd<bf16>>, nullptr, EXACT},
};
