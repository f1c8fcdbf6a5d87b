#include "kernels/gelu.cuh"

namespace
{

/* y [rows,c] from x [rows,2c]. */
template <class T> struct geglu {
    const T *x;
    int64_t c;
    template <int V> __device__ void operator()(int64_t i, int64_t, float (&v)[V]) const
    {
        const T *a = x + i / c * 2 * c + i % c;
        float g[V];
        load(a, v);
        load(a + c, g);
#pragma unroll
        for (int k = 0; k < V; k++) v[k] *= g[k] * gelu_gate(g[k]);
    }
};

/* One thread makes both halves: x and dy are read once. */
template <int V, class T>
static __global__ void grads(const T *x, const T *dy, T *dx, int64_t n, int64_t c, bool add)
{
    const int64_t i = ((int64_t)blockIdx.x * POINTWISE_THREADS + threadIdx.x) * V;
    const int64_t at = i / c * 2 * c + i % c;
    float a[V], g[V], d[V];

    if (i >= n) return;
    load(x + at, a);
    load(x + at + c, g);
    load(dy + i, d);
#pragma unroll
    for (int k = 0; k < V; k++) {
        const float gate = gelu_gate(g[k]), da = d[k] * (g[k] * gate);
        g[k] = d[k] * a[k] * gelu_slope(g[k], gate);
        a[k] = da;
    }
    store(dx + at, a, add);
    store(dx + at + c, g, add);
}

template <class T> ath_err fwd(const ath_call *c)
{
    const ath_desc *y = &c->site->out[0];
    const geglu<T> f = {(const T *)c->in[0], ath_desc_last(y)};

    return pointwise(c, f, (T *)c->out[0], ath_desc_count(y), false, ath_desc_last(y));
}

template <int V, class T> ath_err bwd_of(const ath_call *c)
{
    const ath_desc *y = &c->site->out[0];
    const int64_t n = ath_desc_count(y);
    const dim3 grid((unsigned)ceil_div(n, (int64_t)POINTWISE_THREADS * V));

    return launch(c, grid, POINTWISE_THREADS, 0, grads<V, T>, (const T *)c->in[0],
                  (const T *)c->dout[0], (T *)c->din[0], n, ath_desc_last(y), c->site->add & 1);
}

template <class T> ath_err bwd(const ath_call *c)
{
    constexpr int V = pack<T>::n;
    if (!c->din[0]) return ATH_OK;
    return ath_desc_last(&c->site->out[0]) % V ? bwd_of<1, T>(c) : bwd_of<V, T>(c);
}

} // namespace

const ath_cuda_op ath_cuda_op_geglu = {
    {nullptr, by_input<fwd<float>, fwd<bf16>>, nullptr, EXACT},
    {nullptr, by_input<bwd<float>, bwd<bf16>>, nullptr, EXACT},
};
