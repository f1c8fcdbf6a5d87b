#include "kernels/columns.cuh"
extern "C" {
#include "kernels/layer_norm.h"
}

namespace
{

/* A warp takes a row. P > 0: it fits into P packs of V a lane, and is read once; P = 0: any length,
 * element by element, read again for each sum. */
enum { THREADS = 128 };

struct row_shape {
    int64_t rows, c;
    float eps;
};

/* Calls f(j, k) for this lane's columns: the j-th pack, k its first column. */
template <int V, int P, class F> __device__ inline void for_packs(int64_t c, F f)
{
    const int64_t first = (int64_t)(threadIdx.x % WARP) * V;
    constexpr int64_t step = WARP * V;

    if constexpr (P > 0) {
#pragma unroll
        for (int j = 0; j < P; j++)
            if (first + j * step < c) f(j, first + j * step);
    } else {
        for (int64_t k = first; k < c; k += step) f(0, k);
    }
}

/* The packs of a row of this lane: kept, or loaded whenever they are asked for. */
template <class T, int V, int P> struct row_packs {
    const T *p;
    float kept[P > 0 ? P : 1][V];

    __device__ void begin(const T *row, int64_t c)
    {
        p = row;
        if constexpr (P > 0) for_packs<V, P>(c, [&](int j, int64_t k) { load(p + k, kept[j]); });
    }
    __device__ void get(int j, int64_t k, float (&v)[V])
    {
        if constexpr (P == 0) load(p + k, kept[0]);
#pragma unroll
        for (int e = 0; e < V; e++) v[e] = kept[j][e];
    }
};

template <class T, int V, int P>
static __global__ void normalize(row_shape s, const T *x, const float *gamma, const float *beta,
                                 T *y, float *means, float *rstds)
{
    const int64_t row = (int64_t)blockIdx.x * (THREADS / WARP) + threadIdx.x / WARP;
    row_packs<T, V, P> in;
    float v[V], w[V], sum = 0;

    if (row >= s.rows) return;
    in.begin(x + row * s.c, s.c);
    for_packs<V, P>(s.c, [&](int j, int64_t k) {
        in.get(j, k, v);
#pragma unroll
        for (int e = 0; e < V; e++) sum += v[e];
    });
    const float mean = warp_sum(sum) / (float)s.c;
    sum = 0;
    for_packs<V, P>(s.c, [&](int j, int64_t k) {
        in.get(j, k, v);
#pragma unroll
        for (int e = 0; e < V; e++) sum += (v[e] - mean) * (v[e] - mean);
    });
    const float rstd = 1 / sqrtf(warp_sum(sum) / (float)s.c + s.eps);
    for_packs<V, P>(s.c, [&](int j, int64_t k) {
        float b[V];
        in.get(j, k, v);
        load(gamma + k, w);
        load(beta + k, b);
#pragma unroll
        for (int e = 0; e < V; e++) v[e] = fmaf(w[e], (v[e] - mean) * rstd, b[e]);
        store(y + row * s.c + k, v, false);
    });
    if (threadIdx.x % WARP == 0) {
        means[row] = mean;
        rstds[row] = rstd;
    }
}

/* dx = rstd * (d - mean(d) - xhat * mean(d xhat)), d = gamma dy */
template <class T, int V, int P>
static __global__ void dx_of(row_shape s, const T *x, const float *gamma, const float *means,
                             const float *rstds, const T *dy, T *dx, bool add)
{
    const int64_t row = (int64_t)blockIdx.x * (THREADS / WARP) + threadIdx.x / WARP;
    row_packs<T, V, P> in, grad;
    float v[V], d[V], w[V], sum = 0, sum_xhat = 0;

    if (row >= s.rows) return;
    const float mean = means[row], rstd = rstds[row];
    in.begin(x + row * s.c, s.c);
    grad.begin(dy + row * s.c, s.c);
    for_packs<V, P>(s.c, [&](int j, int64_t k) {
        in.get(j, k, v);
        grad.get(j, k, d);
        load(gamma + k, w);
#pragma unroll
        for (int e = 0; e < V; e++) {
            sum += w[e] * d[e];
            sum_xhat += w[e] * d[e] * ((v[e] - mean) * rstd);
        }
    });
    const float mean_d = warp_sum(sum) / (float)s.c, slope = warp_sum(sum_xhat) / (float)s.c;
    for_packs<V, P>(s.c, [&](int j, int64_t k) {
        in.get(j, k, v);
        grad.get(j, k, d);
        load(gamma + k, w);
#pragma unroll
        for (int e = 0; e < V; e++)
            v[e] = rstd * (w[e] * d[e] - mean_d - (v[e] - mean) * rstd * slope);
        store(dx + row * s.c + k, v, add);
    });
}

/* The terms of dgamma and dbeta. */
template <class T> struct terms {
    const T *x, *dy;
    const float *mean, *rstd;
    int64_t c;
    template <int V> __device__ void operator()(int64_t row, int64_t at, float (&v)[2][V]) const
    {
        load(x + row * c + at, v[0]);
        load(dy + row * c + at, v[1]);
#pragma unroll
        for (int k = 0; k < V; k++) v[0][k] = v[1][k] * ((v[0][k] - mean[row]) * rstd[row]);
    }
};

row_shape shape_of(const ath_call *c)
{
    const ath_desc *x = &c->site->in[0];
    return {ath_desc_rows(x), ath_desc_last(x), ((const ath_layer_norm_attr *)c->site->attr)->eps};
}

dim3 grid_of(const row_shape &s)
{
    return dim3((unsigned)ceil_div(s.rows, THREADS / WARP));
}

template <class T, int V, int P> ath_err fwd_of(const ath_call *c)
{
    const row_shape s = shape_of(c);
    return launch(c, grid_of(s), THREADS, 0, normalize<T, V, P>, s, (const T *)c->in[0],
                  (const float *)c->in[1], (const float *)c->in[2], (T *)c->out[0],
                  (float *)c->saved[0], (float *)c->saved[1]);
}

template <class T, int V, int P> ath_err dx_as(const ath_call *c)
{
    const row_shape s = shape_of(c);
    return launch(c, grid_of(s), THREADS, 0, dx_of<T, V, P>, s, (const T *)c->in[0],
                  (const float *)c->in[1], (const float *)c->saved[0], (const float *)c->saved[1],
                  (const T *)c->dout[0], (T *)c->din[0], c->site->add & 1);
}

/* Packs a lane for a row of c elements: 320, 640, 768 and 1280 of bf16 or f32; 0: read again. */
template <class T> int packs_of(int64_t c)
{
    const int64_t a_lane = ceil_div(c, (int64_t)WARP * pack<T>::n);

    if (c % pack<T>::n || a_lane > 10) return 0;
    if (a_lane <= 2) return 2;
    return a_lane <= 5 ? 5 : 10;
}

template <class T> ath_err fwd(const ath_call *c)
{
    constexpr int V = pack<T>::n;
    switch (packs_of<T>(shape_of(c).c)) {
    case 2:
        return fwd_of<T, V, 2>(c);
    case 5:
        return fwd_of<T, V, 5>(c);
    case 10:
        return fwd_of<T, V, 10>(c);
    default:
        return fwd_of<T, 1, 0>(c);
    }
}

template <class T> ath_err dx_run(const ath_call *c)
{
    constexpr int V = pack<T>::n;
    switch (packs_of<T>(shape_of(c).c)) {
    case 2:
        return dx_as<T, V, 2>(c);
    case 5:
        return dx_as<T, V, 5>(c);
    case 10:
        return dx_as<T, V, 10>(c);
    default:
        return dx_as<T, 1, 0>(c);
    }
}

bool wants_sums(const ath_site *site)
{
    return site->din[1].dtype || site->din[2].dtype;
}

ath_err bind_bwd(const ath_site *site, ath_bound *bound)
{
    if (wants_sums(site)) bound->scratch_bytes = column_bytes(columns_over(&site->in[0], 1), 2);
    return ATH_OK;
}

template <class T> ath_err bwd(const ath_call *c)
{
    const columns g = columns_over(&c->site->in[0], 1);
    const terms<T> f = {(const T *)c->in[0], (const T *)c->dout[0], (const float *)c->saved[0],
                        (const float *)c->saved[1], g.c};
    float *part = (float *)c->scratch;

    if (c->din[0]) ATH_TRY(dx_run<T>(c));
    if (!wants_sums(c->site)) return ATH_OK;
    ATH_TRY((column_pass<2, T>(c, g, f, part)));
    ATH_TRY(column_total(c, g, part, 2, 0, (float *)c->din[1], c->site->add >> 1 & 1));
    return column_total(c, g, part, 2, 1, (float *)c->din[2], c->site->add >> 2 & 1);
}

} // namespace

const ath_cuda_op ath_cuda_op_layer_norm = {
    {nullptr, by_input<fwd<float>, fwd<bf16>>, nullptr, EXACT},
    {bind_bwd, by_input<bwd<float>, bwd<bf16>>, nullptr, EXACT},
};
