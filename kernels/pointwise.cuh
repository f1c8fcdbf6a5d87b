/*
 * Elementwise kernels. A thread makes V neighbouring elements of the result by calling
 * f(i, n, v): elements i .. i+V-1 of n into float v[V]. V is a whole pack of 16 bytes where every
 * address is a multiple of it, else 1.
 */
#ifndef ATH_KERNELS_POINTWISE_CUH
#define ATH_KERNELS_POINTWISE_CUH

#include "kernels/launch.cuh"

/* ---- V neighbours, of any storage type ---- */

/* What is loaded or stored at once on the way to V elements. */
template <class T, int V> struct alignas(sizeof(T) * (V < pack<T>::n ? V : pack<T>::n)) piece {
    static constexpr int n = V < pack<T>::n ? V : pack<T>::n;
    T x[n];
};

template <class T, int V> static __device__ inline void load(const T *p, float (&v)[V])
{
    constexpr int N = piece<T, V>::n;

#pragma unroll
    for (int at = 0; at < V; at += N) {
        const piece<T, V> x = *reinterpret_cast<const piece<T, V> *>(p + at);
#pragma unroll
        for (int k = 0; k < N; k++) v[at + k] = to_f32(x.x[k]);
    }
}

/* Elements i .. i+V-1 of n; zeros behind the end. */
template <class T, int V>
static __device__ inline void load(const T *p, int64_t i, int64_t n, float (&v)[V])
{
    if (i + V <= n) {
        load(p + i, v);
    } else {
#pragma unroll
        for (int k = 0; k < V; k++) v[k] = i + k < n ? to_f32(p[i + k]) : 0;
    }
}

/* Set, or added to what is there: the sum is rounded once. */
template <class T, int V> static __device__ inline void store(T *p, const float (&v)[V], bool add)
{
    constexpr int N = piece<T, V>::n;
    float sum[V];

    if (add) load(p, sum);
#pragma unroll
    for (int at = 0; at < V; at += N) {
        piece<T, V> y;
#pragma unroll
        for (int k = 0; k < N; k++) y.x[k] = from_f32<T>(add ? sum[at + k] + v[at + k] : v[at + k]);
        *reinterpret_cast<piece<T, V> *>(p + at) = y;
    }
}

template <class T, int V>
static __device__ inline void store(T *p, int64_t i, int64_t n, const float (&v)[V], bool add)
{
    if (i + V <= n) {
        store(p + i, v, add);
    } else {
#pragma unroll
        for (int k = 0; k < V; k++)
            if (i + k < n) grad_put(p + i + k, v[k], add);
    }
}

/* ---- results of one and of two arrays of the same length ---- */

template <class F, class X> struct of_one {
    const X *x;
    F f = {};
    template <int V> __device__ void operator()(int64_t i, int64_t n, float (&v)[V]) const
    {
        load(x, i, n, v);
#pragma unroll
        for (int k = 0; k < V; k++) v[k] = f(v[k]);
    }
};

template <class F, class X, class Z> struct of_two {
    const X *x;
    const Z *z;
    F f = {};
    template <int V> __device__ void operator()(int64_t i, int64_t n, float (&v)[V]) const
    {
        float w[V];
        load(x, i, n, v);
        load(z, i, n, w);
#pragma unroll
        for (int k = 0; k < V; k++) v[k] = f(v[k], w[k]);
    }
};

struct itself {
    __device__ float operator()(float x) const
    {
        return x;
    }
};

/* ---- launching ---- */

enum { POINTWISE_THREADS = 256 };

template <int V, class T, class F>
static __global__ void pointwise_kernel(F f, T *out, int64_t n, bool add)
{
    const int64_t i = ((int64_t)blockIdx.x * POINTWISE_THREADS + threadIdx.x) * V;
    float v[V];

    if (i >= n) return;
    f(i, n, v);
    store(out, i, n, v, add);
}

template <int V, class T, class F>
static ath_err pointwise_of(const ath_call *c, F f, T *out, int64_t n, bool add)
{
    const dim3 grid((unsigned)ceil_div(n, (int64_t)POINTWISE_THREADS * V));
    return launch(c, grid, POINTWISE_THREADS, 0, pointwise_kernel<V, T, F>, f, out, n, add);
}

/* out[0 .. n) (=|+=) f. Rows that `f` or `out` begin within arrays begin at multiples of `unit`
 * elements: 0 where there is but one, at the beginning. */
template <class T, class F>
static ath_err pointwise(const ath_call *c, F f, T *out, int64_t n, bool add, int64_t unit = 0)
{
    constexpr int V = pack<T>::n;
    return unit % V ? pointwise_of<1>(c, f, out, n, add) : pointwise_of<V>(c, f, out, n, add);
}

/* The same as the gradient of operand i: nothing where that is not wanted. */
template <class T, class F>
static ath_err pointwise_grad(const ath_call *c, int i, F f, int64_t unit = 0)
{
    const ath_site *s = c->site;
    if (!c->din[i]) return ATH_OK;
    return pointwise(c, f, (T *)c->din[i], ath_desc_count(&s->din[i]), s->add >> i & 1, unit);
}

/* ---- entries ---- */

/* Chosen by the storage type of the first operand, or of output 0. */
template <ath_err (*of_f32)(const ath_call *), ath_err (*of_bf16)(const ath_call *)>
static ath_err by_input(const ath_call *c)
{
    return c->site->in[0].dtype == ATH_BF16 ? of_bf16(c) : of_f32(c);
}

template <ath_err (*of_f32)(const ath_call *), ath_err (*of_bf16)(const ath_call *)>
static ath_err by_output(const ath_call *c)
{
    return c->site->out[0].dtype == ATH_BF16 ? of_bf16(c) : of_f32(c);
}

constexpr uint32_t EXACT = ATH_BITS_THREADS | ATH_BITS_ROWS;

#endif
