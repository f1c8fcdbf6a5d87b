#include "kernels/columns.cuh"
extern "C" {
#include "kernels/group_norm.h"
}

namespace
{

/*
 * Forward: each block leaves mean and centred squares of its rows for each channel; a block for each
 * group merges those of its channels; then x is read again and normalized. Backward: each block leaves
 * sums of dz and of dz * xhat for each channel (z is what the activation sees); a block for each group
 * adds the chunks, which gives both means of dx and, added over images, dgamma and dbeta.
 */
enum { MERGE_THREADS = 128, MERGE_COLUMNS = 32 };

struct groups_of {
    int64_t groups, l; /* channels of a group */
    float eps;
    bool has_silu;
};

struct statistics {
    float *mean, *rstd; /* [N,G] */
};

/* ---- forward ---- */

/* part [images][n_chunks][2][C]: mean, and the sum of squares around it. */
template <int V, class T> static __global__ void chunk_moments(columns g, const T *x, float *part)
{
    ATH_SHARED(float, shared);
    const column_place p = column_place_of(g);
    float *mine = part + (p.image * g.n_chunks + p.chunk) * 2 * g.c + p.at;
    float mean[V] = {}, v[V];

    column_sums<1, V>(
        g, p, [&](int64_t row, float(&of_row)[1][V]) { load(x + row * g.c + p.at, of_row[0]); },
        shared);
    if (p.is_in) {
        load(shared + p.lane * V, mean);
#pragma unroll
        for (int k = 0; k < V; k++) mean[k] /= (float)p.n_rows;
        if ((int)threadIdx.x < g.width) store(mine, mean, false);
    }
    __syncthreads();
    column_sums<1, V>(
        g, p,
        [&](int64_t row, float(&of_row)[1][V]) {
            load(x + row * g.c + p.at, v);
#pragma unroll
            for (int k = 0; k < V; k++) of_row[0][k] = (v[k] - mean[k]) * (v[k] - mean[k]);
        },
        shared);
    if ((int)threadIdx.x >= g.width || !p.is_in) return;
    load(shared + p.lane * V, v);
    store(mine + g.c, v, false);
}

/* Block (group, image). A part of n rows with mean m and squares s has, around the whole's mean M,
 * squares s + n (m - M)^2. In double. */
static __global__ void merge_moments(columns g, groups_of s, const float *part, statistics out)
{
    ATH_SHARED(double, shared);
    const int64_t group = blockIdx.x, image = blockIdx.y, n_parts = g.n_chunks * s.l;
    const float *first = part + image * g.n_chunks * 2 * g.c + group * s.l;
    const double count = (double)(g.rows * s.l);
    double sum = 0, squares = 0;

    for (int64_t i = threadIdx.x; i < n_parts; i += MERGE_THREADS) {
        const int64_t chunk = i / s.l, left = g.rows - chunk * g.chunk;
        const double n = (double)(left < g.chunk ? left : g.chunk);
        sum += n * (double)first[chunk * 2 * g.c + i % s.l];
    }
    const double mean = block_sum(sum, shared) / count;
    for (int64_t i = threadIdx.x; i < n_parts; i += MERGE_THREADS) {
        const int64_t chunk = i / s.l, left = g.rows - chunk * g.chunk;
        const double n = (double)(left < g.chunk ? left : g.chunk);
        const float *at = first + chunk * 2 * g.c + i % s.l;
        const double off = (double)at[0] - mean;
        squares += (double)at[g.c] + n * off * off;
    }
    const double variance = block_sum(squares, shared) / count;
    if (threadIdx.x != 0) return;
    out.mean[image * s.groups + group] = (float)mean;
    out.rstd[image * s.groups + group] = (float)(1 / sqrt(variance + (double)s.eps));
}

/* What this thread's columns need of their groups, in registers. */
template <int V> struct channel {
    float mean[V], rstd[V], gamma[V], beta[V];

    __device__ void begin(const groups_of &s, const statistics &of, const float *gammas,
                          const float *betas, const column_place &p)
    {
        load(gammas + p.at, gamma);
        load(betas + p.at, beta);
#pragma unroll
        for (int k = 0; k < V; k++) {
            const int64_t group = p.image * s.groups + (p.at + k) / s.l;
            mean[k] = of.mean[group];
            rstd[k] = of.rstd[group];
        }
    }
    __device__ float xhat(int k, float x) const
    {
        return (x - mean[k]) * rstd[k];
    }
    /* The gradient at z = gamma * xhat + beta. */
    __device__ float dz(int k, float xhat, float dy, bool has_silu) const
    {
        if (!has_silu) return dy;
        const float z = fmaf(gamma[k], xhat, beta[k]), s = 1 / (1 + expf(-z));
        return dy * s * fmaf(z, 1 - s, 1);
    }
};

template <int V, class T>
static __global__ void normalize(columns g, groups_of s, const T *x, const float *gamma,
                                 const float *beta, statistics of, T *y)
{
    const column_place p = column_place_of(g);
    channel<V> c;

    if (!p.is_in) return;
    c.begin(s, of, gamma, beta, p);
#pragma unroll 4
    for (int64_t row = p.row; row < p.end; row += g.step) {
        float v[V];
        load(x + row * g.c + p.at, v);
#pragma unroll
        for (int k = 0; k < V; k++) {
            const float z = fmaf(c.gamma[k], c.xhat(k, v[k]), c.beta[k]);
            v[k] = s.has_silu ? z / (1 + expf(-z)) : z;
        }
        store(y + row * g.c + p.at, v, false);
    }
}

/* ---- backward ---- */

/* All that both passes over x read. */
template <class T> struct bwd_in {
    const T *x, *dy;
    const float *gamma, *beta;
    statistics of;
};

/* part [images][n_chunks][2][C]: sums of dz * xhat and of dz. */
template <int V, class T>
static __global__ void chunk_sums(columns g, groups_of s, bwd_in<T> in, float *part)
{
    ATH_SHARED(float, shared);
    const column_place p = column_place_of(g);
    channel<V> c = {};

    if (p.is_in) c.begin(s, in.of, in.gamma, in.beta, p);
    column_sums<2, V>(
        g, p,
        [&](int64_t row, float(&v)[2][V]) {
            load(in.x + row * g.c + p.at, v[0]);
            load(in.dy + row * g.c + p.at, v[1]);
#pragma unroll
            for (int k = 0; k < V; k++) {
                const float xhat = c.xhat(k, v[0][k]);
                v[1][k] = c.dz(k, xhat, v[1][k], s.has_silu);
                v[0][k] = v[1][k] * xhat;
            }
        },
        shared);
    column_put<2, V>(g, p, shared, part);
}

/* Block (group, image): sums [N][2][C] over the image's chunks, MERGE_COLUMNS of them side by side, and the
 * group's means [N][G][2] of gamma * dz * xhat and of gamma * dz. */
static __global__ void merge_sums(columns g, groups_of s, const float *part, const float *gamma,
                                  float *sums, float *means)
{
    ATH_SHARED(float, shared);
    const int64_t group = blockIdx.x, image = blockIdx.y, n = 2 * s.l;
    const int width = (int)min(n, (int64_t)MERGE_COLUMNS), step = MERGE_THREADS / width;
    const int lane = (int)threadIdx.x % width, row = (int)threadIdx.x / width;
    float *weighted = shared + MERGE_THREADS; /* [2][L] */

    for (int64_t first = 0; first < n; first += width) {
        const int64_t k = (first + lane) / s.l, j = (first + lane) % s.l, c = group * s.l + j;
        const bool is_in = row < step && first + lane < n;
        float sum = 0;
#pragma unroll 4
        for (int64_t chunk = row; is_in && chunk < g.n_chunks; chunk += step)
            sum += part[((image * g.n_chunks + chunk) * 2 + k) * g.c + c];
        shared[threadIdx.x] = sum;
        __syncthreads();
        if (is_in && row == 0) {
            for (int r = 1; r < step; r++) sum += shared[r * width + lane];
            sums[(image * 2 + k) * g.c + c] = sum;
            weighted[first + lane] = gamma[c] * sum;
        }
        __syncthreads();
    }
    const int k = (int)threadIdx.x / WARP;
    float sum = 0;
    if (k > 1) return;
    for (int64_t j = threadIdx.x % WARP; j < s.l; j += WARP) sum += weighted[k * s.l + j];
    sum = warp_sum(sum);
    if (threadIdx.x % WARP == 0)
        means[(image * s.groups + group) * 2 + k] = sum / (float)(g.rows * s.l);
}

/* dx = rstd * (gamma dz - mean(gamma dz) - xhat * mean(gamma dz xhat)) */
template <int V, class T>
static __global__ void dx_of(columns g, groups_of s, bwd_in<T> in, const float *means, T *dx,
                             bool add)
{
    const column_place p = column_place_of(g);
    float slope[V], mean_d[V];
    channel<V> c;

    if (!p.is_in) return;
    c.begin(s, in.of, in.gamma, in.beta, p);
#pragma unroll
    for (int k = 0; k < V; k++) {
        const float *of_group = means + (p.image * s.groups + (p.at + k) / s.l) * 2;
        slope[k] = of_group[0];
        mean_d[k] = of_group[1];
    }
#pragma unroll 2
    for (int64_t row = p.row; row < p.end; row += g.step) {
        float v[V], d[V];
        load(in.x + row * g.c + p.at, v);
        load(in.dy + row * g.c + p.at, d);
#pragma unroll
        for (int k = 0; k < V; k++) {
            const float xhat = c.xhat(k, v[k]);
            const float dz = c.dz(k, xhat, d[k], s.has_silu);
            v[k] = c.rstd[k] * (c.gamma[k] * dz - mean_d[k] - xhat * slope[k]);
        }
        store(dx + row * g.c + p.at, v, add);
    }
}

/* ---- calls ---- */

columns columns_of_site(const ath_site *site)
{
    return columns_over(&site->in[0], site->in[0].dim[0]);
}

groups_of groups_of_site(const ath_site *site)
{
    const ath_group_norm_attr *a = (const ath_group_norm_attr *)site->attr;
    return {a->groups, ath_desc_last(&site->in[0]) / a->groups, a->eps, a->act == ATH_ACT_SILU};
}

statistics statistics_of(const ath_call *c)
{
    return {(float *)c->saved[0], (float *)c->saved[1]};
}

dim3 merge_grid(const columns &g, const groups_of &s)
{
    return dim3((unsigned)s.groups, (unsigned)g.images);
}

ath_err bind_fwd(const ath_site *site, ath_bound *bound)
{
    bound->scratch_bytes = column_bytes(columns_of_site(site), 2);
    return ATH_OK;
}

template <int V, class T> ath_err fwd_of(const ath_call *c)
{
    const columns g = columns_of_site(c->site);
    const groups_of s = groups_of_site(c->site);
    const statistics of = statistics_of(c);
    const T *x = (const T *)c->in[0];
    float *part = (float *)c->scratch;

    ATH_TRY(launch(c, column_grid(g), COLUMN_THREADS, column_shared(g, 1), chunk_moments<V, T>, g,
                   x, part));
    ATH_TRY(launch(c, merge_grid(g, s), MERGE_THREADS, MERGE_THREADS / WARP * sizeof(double),
                   merge_moments, g, s, part, of));
    return launch(c, column_grid(g), COLUMN_THREADS, 0, normalize<V, T>, g, s, x,
                  (const float *)c->in[1], (const float *)c->in[2], of, (T *)c->out[0]);
}

template <class T> ath_err fwd(const ath_call *c)
{
    constexpr int V = pack<T>::n;
    return columns_of_site(c->site).v == 1 ? fwd_of<1, T>(c) : fwd_of<V, T>(c);
}

/* The chunks' sums, the images' and the groups' means. */
ath_err bind_bwd(const ath_site *site, ath_bound *bound)
{
    const columns g = columns_of_site(site);
    const int64_t floats = g.images * 2 * (g.c + groups_of_site(site).groups);

    bound->scratch_bytes = column_bytes(g, 2) + (size_t)floats * sizeof(float);
    return ATH_OK;
}

/* dgamma and dbeta: the images' sums in order. */
ath_err add_images(const ath_call *c, const columns &g, const float *sums)
{
    columns of_images = g;

    of_images.images = 1;
    of_images.n_chunks = g.images;
    for (int k = 0; k < 2; k++)
        ATH_TRY(column_total(c, of_images, sums, 2, k, (float *)c->din[1 + k],
                             c->site->add >> (1 + k) & 1));
    return ATH_OK;
}

template <int V, class T> ath_err bwd_of(const ath_call *c)
{
    const columns g = columns_of_site(c->site);
    const groups_of s = groups_of_site(c->site);
    const bwd_in<T> in = {(const T *)c->in[0], (const T *)c->dout[0], (const float *)c->in[1],
                          (const float *)c->in[2], statistics_of(c)};
    float *part = (float *)c->scratch, *sums = part + column_bytes(g, 2) / sizeof(float);
    float *means = sums + g.images * 2 * g.c;

    ATH_TRY(launch(c, column_grid(g), COLUMN_THREADS, column_shared(g, 2), chunk_sums<V, T>, g, s,
                   in, part));
    ATH_TRY(launch(c, merge_grid(g, s), MERGE_THREADS,
                   (size_t)(MERGE_THREADS + 2 * s.l) * sizeof(float), merge_sums, g, s, part,
                   in.gamma, sums, means));
    ATH_TRY(add_images(c, g, sums));
    if (!c->din[0]) return ATH_OK;
    return launch(c, column_grid(g), COLUMN_THREADS, 0, dx_of<V, T>, g, s, in, means,
                  (T *)c->din[0], c->site->add & 1);
}

template <class T> ath_err bwd(const ath_call *c)
{
    constexpr int V = pack<T>::n;
    return columns_of_site(c->site).v == 1 ? bwd_of<1, T>(c) : bwd_of<V, T>(c);
}

} // namespace

const ath_cuda_op ath_cuda_op_group_norm = {
    {bind_fwd, by_input<fwd<float>, fwd<bf16>>, nullptr, EXACT},
    {bind_bwd, by_input<bwd<float>, bwd<bf16>>, nullptr, EXACT},
};
