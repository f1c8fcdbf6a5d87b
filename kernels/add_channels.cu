#include "kernels/columns.cuh"

namespace
{

/* x [N,pixels,c] + v [N,c] */
template <class T> struct shifted {
    const T *x, *shift;
    int64_t image, c;
    template <int V> __device__ void operator()(int64_t i, int64_t, float (&v)[V]) const
    {
        float w[V];
        load(x + i, v);
        load(shift + i / image * c + i % c, w);
#pragma unroll
        for (int k = 0; k < V; k++) v[k] += w[k];
    }
};

template <class T> struct rows_of {
    const T *x;
    int64_t c;
    template <int V> __device__ void operator()(int64_t row, int64_t at, float (&v)[1][V]) const
    {
        load(x + row * c + at, v[0]);
    }
};

columns columns_of_site(const ath_site *site)
{
    return columns_over(&site->in[0], site->in[0].dim[0]);
}

ath_err bind_bwd(const ath_site *site, ath_bound *bound)
{
    if (site->din[1].dtype) bound->scratch_bytes = column_bytes(columns_of_site(site), 1);
    return ATH_OK;
}

template <class T> ath_err fwd(const ath_call *c)
{
    const ath_desc *x = &c->site->in[0];
    const int64_t n = ath_desc_count(x), channels = ath_desc_last(x);
    const shifted<T> f = {(const T *)c->in[0], (const T *)c->in[1], n / x->dim[0], channels};

    return pointwise(c, f, (T *)c->out[0], n, false, channels);
}

template <class T> ath_err bwd(const ath_call *c)
{
    const columns g = columns_of_site(c->site);
    const of_one<itself, T> dx = {(const T *)c->dout[0]};
    const rows_of<T> dy = {(const T *)c->dout[0], g.c};
    float *part = (float *)c->scratch;

    ATH_TRY(pointwise_grad<T>(c, 0, dx));
    if (!c->din[1]) return ATH_OK;
    ATH_TRY((column_pass<1, T>(c, g, dy, part)));
    return column_total(c, g, part, 1, 0, (T *)c->din[1], c->site->add >> 1 & 1);
}

} // namespace

const ath_cuda_op ath_cuda_op_add_channels = {
    {nullptr, by_input<fwd<float>, fwd<bf16>>, nullptr, EXACT},
    {bind_bwd, by_input<bwd<float>, bwd<bf16>>, nullptr, EXACT},
};
