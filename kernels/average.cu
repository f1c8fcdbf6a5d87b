#include "kernels/pointwise.cuh"

namespace
{

struct follow {
    const float *x, *y, *rest;
    template <int V> __device__ void operator()(int64_t i, int64_t n, float (&v)[V]) const
    {
        float at[V];
        load(x, i, n, at);
        load(y, i, n, v);
#pragma unroll
        for (int k = 0; k < V; k++) v[k] = v[k] - *rest * (v[k] - at[k]);
    }
};

ath_err bind(const ath_site *site, ath_bound *)
{
    ATH_NEED(site->in[0].dtype == ATH_F32, ATH_ENOTSUP, "average: f64 on a GPU");
    return ATH_OK;
}

ath_err fwd(const ath_call *c)
{
    float *y = (float *)c->out[0];
    const follow f = {(const float *)c->in[0], y, (const float *)c->in[1]};

    return pointwise(c, f, y, ath_desc_count(&c->site->in[0]), false);
}

} // namespace

const ath_cuda_op ath_cuda_op_average = {
    {bind, fwd, nullptr, ATH_BITS_THREADS},
    {},
};
