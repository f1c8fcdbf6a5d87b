#include "kernels/pointwise.cuh"
extern "C" {
#include "kernels/adamw.h"
}

namespace
{

/* Blocks that a GPU holds at once, and more: each computes the coefficients, then takes its share. */
enum { THREADS = 256 };
constexpr int64_t MOST_BLOCKS = 2048;

struct coefficients {
    float shrink, decay, beta1, new1, beta2, new2, rate, root, eps;
    bool is_finite; /* the sum of norms */
};

/* In double, rounded once. */
__device__ coefficients make_coefficients(ath_adamw_attr a, const float *hyper, const double *norms,
                                          int64_t n_norms)
{
    const double rate = (double)hyper[0];
    double sum = 0, clip = 1;
    coefficients k;

    for (int64_t i = 0; i < n_norms; i++) sum += norms[i];
    if (a.max_norm > 0) clip = fmin(1.0, (double)a.max_norm / (sqrt(sum) + 1e-6));
    k.shrink = (float)clip;
    k.decay = (float)(rate * (double)hyper[1]);
    k.beta1 = (float)(1 - (double)a.rest1);
    k.new1 = a.rest1;
    k.beta2 = (float)(1 - (double)a.rest2);
    k.new2 = a.rest2;
    k.rate = (float)(rate / (double)hyper[2]);
    k.root = (float)sqrt((double)hyper[3]);
    k.eps = a.eps;
    k.is_finite = sum - sum == 0;
    return k;
}

/* Nothing fuses (nvcc's -fmad=false): the bits are the reference's. */
__device__ inline void update(const coefficients &k, float g, float *p, float *m, float *v)
{
    const float d = g * k.shrink;
    const float m1 = k.beta1 * *m + k.new1 * d;
    const float v1 = k.beta2 * *v + k.new2 * (d * d);
    const float p1 = *p - k.decay * *p;

    *m = m1;
    *v = v1;
    *p = p1 - k.rate * m1 / (sqrtf(v1) / k.root + k.eps);
}

struct state {
    float *p, *m, *v;
};

static __global__ void step(ath_adamw_attr a, const float *g, const float *hyper,
                            const double *norms, int64_t n_norms, state s, int64_t n)
{
    ATH_SHARED(coefficients, k);
    constexpr int V = pack<float>::n;
    const int64_t stride = (int64_t)gridDim.x * THREADS * V;

    if (threadIdx.x == 0) *k = make_coefficients(a, hyper, norms, n_norms);
    __syncthreads();
    if (!k->is_finite) return;
    for (int64_t i = ((int64_t)blockIdx.x * THREADS + threadIdx.x) * V; i < n; i += stride) {
        float d[V], p[V], m[V], v[V];
        load(g, i, n, d);
        load(s.p, i, n, p);
        load(s.m, i, n, m);
        load(s.v, i, n, v);
#pragma unroll
        for (int j = 0; j < V; j++) update(*k, d[j], &p[j], &m[j], &v[j]);
        store(s.p, i, n, p, false);
        store(s.m, i, n, m, false);
        store(s.v, i, n, v, false);
    }
}

ath_err bind(const ath_site *site, ath_bound *)
{
    ATH_NEED(site->in[0].dtype == ATH_F32, ATH_ENOTSUP, "adamw: f64 on a GPU");
    return ATH_OK;
}

ath_err fwd(const ath_call *c)
{
    const int64_t n = ath_desc_count(&c->site->in[0]);
    const int64_t wanted = ceil_div(n, THREADS * pack<float>::n);
    const state s = {(float *)c->out[0], (float *)c->out[1], (float *)c->out[2]};

    return launch(c, dim3((unsigned)(wanted < MOST_BLOCKS ? wanted : MOST_BLOCKS)), THREADS,
                  sizeof(coefficients), step, *(const ath_adamw_attr *)c->site->attr,
                  (const float *)c->in[0], (const float *)c->in[1], (const double *)c->in[2],
                  ath_desc_count(&c->site->in[2]), s, n);
}

} // namespace

const ath_cuda_op ath_cuda_op_adamw = {
    {bind, fwd, nullptr, ATH_BITS_THREADS},
    {},
};
