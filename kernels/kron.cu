#include "kernels/pointwise.cuh"
extern "C" {
#include "kernels/kron.h"
}

namespace
{

enum { THREADS = 256 };

/* b's axes after the first are one here: y[p*S+s, q*K+k] = scale * a[p,q] * b[s,k]. */
struct factors {
    const float *a, *b;
    int64_t p, q, s, k;
    float scale;
};

struct kronecker {
    factors f;
    template <int V> __device__ void operator()(int64_t i, int64_t, float (&v)[V]) const
    {
        const int64_t row = i / (f.q * f.k), at = i % (f.q * f.k);
        const float factor = f.scale * f.a[row / f.s * f.q + at / f.k];
        load(f.b + row % f.s * f.k + at % f.k, v);
#pragma unroll
        for (int j = 0; j < V; j++) v[j] *= factor;
    }
};

/* A block for each element of a. */
static __global__ void da_of(factors f, const float *dy, float *da, bool add)
{
    ATH_SHARED(float, shared);
    const int64_t p = blockIdx.x / f.q, q = blockIdx.x % f.q;
    float sum = 0;

    for (int64_t i = threadIdx.x; i < f.s * f.k; i += THREADS)
        sum += dy[((p * f.s + i / f.k) * f.q + q) * f.k + i % f.k] * f.b[i];
    sum = block_sum(sum, shared);
    if (threadIdx.x == 0) grad_put(da + blockIdx.x, f.scale * sum, add);
}

/* part [P][S,K]: sums over q. */
struct over_columns {
    factors f;
    const float *dy;
    template <int V> __device__ void operator()(int64_t i, int64_t, float (&v)[V]) const
    {
        const int64_t row = i / f.k, p = row / f.s;
        const float *at = dy + row * f.q * f.k + i % f.k;
        float w[V];
#pragma unroll
        for (int j = 0; j < V; j++) v[j] = 0;
#pragma unroll 4
        for (int64_t q = 0; q < f.q; q++) {
            load(at + q * f.k, w);
#pragma unroll
            for (int j = 0; j < V; j++) v[j] = fmaf(f.a[p * f.q + q], w[j], v[j]);
        }
    }
};

/* db: the sums over p of those. */
struct over_rows {
    factors f;
    const float *part;
    template <int V> __device__ void operator()(int64_t i, int64_t n, float (&v)[V]) const
    {
        float w[V];
#pragma unroll
        for (int j = 0; j < V; j++) v[j] = 0;
        for (int64_t p = 0; p < f.p; p++) {
            load(part + p * n + i, w);
#pragma unroll
            for (int j = 0; j < V; j++) v[j] += w[j];
        }
#pragma unroll
        for (int j = 0; j < V; j++) v[j] *= f.scale;
    }
};

factors factors_of(const ath_call *c)
{
    const ath_desc *a = &c->site->in[0], *b = &c->site->in[1];
    const float scale = ((const ath_kron_attr *)c->site->attr)->scale;

    return {(const float *)c->in[0],
            (const float *)c->in[1],
            a->dim[0],
            a->dim[1],
            b->dim[0],
            ath_desc_count(b) / b->dim[0],
            scale};
}

ath_err bind(const ath_site *site, ath_bound *bound)
{
    ATH_NEED(site->out[0].dtype == ATH_F32, ATH_ENOTSUP, "kron: f64 on a GPU");
    if (site->din[1].dtype)
        bound->scratch_bytes = (size_t)site->in[0].dim[0] * ath_desc_bytes(&site->in[1]);
    return ATH_OK;
}

ath_err fwd(const ath_call *c)
{
    const kronecker f = {factors_of(c)};
    return pointwise(c, f, (float *)c->out[0], ath_desc_count(&c->site->out[0]), false, f.f.k);
}

ath_err bwd(const ath_call *c)
{
    const factors f = factors_of(c);
    const float *dy = (const float *)c->dout[0];
    float *part = (float *)c->scratch;

    if (c->din[0])
        ATH_TRY(launch(c, dim3((unsigned)(f.p * f.q)), THREADS, THREADS / WARP * sizeof(float),
                       da_of, f, dy, (float *)c->din[0], c->site->add & 1));
    if (!c->din[1]) return ATH_OK;
    ATH_TRY(pointwise(c, over_columns{f, dy}, part, f.p * f.s * f.k, false, f.k));
    return pointwise_grad<float>(c, 1, over_rows{f, part}, f.k);
}

} // namespace

const ath_cuda_op ath_cuda_op_kron = {
    {bind, fwd, nullptr, ATH_BITS_THREADS},
    {bind, bwd, nullptr, ATH_BITS_THREADS},
};
