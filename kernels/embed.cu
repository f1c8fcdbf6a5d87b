#include "kernels/pointwise.cuh"
extern "C" {
#include "kernels/embed.h"
}

namespace
{

enum { THREADS = 128, AT_ONCE = 4 }; /* rows on their way to be added */

struct lookup {
    const int32_t *ids;
    int64_t tokens, words, width; /* T, V, E */
};

/* An id outside of [0,V) gives NaN: nobody can be told while a kernel runs. */
template <class X> struct sum_of_two {
    lookup l;
    const X *token, *position;
    template <int V> __device__ void operator()(int64_t i, int64_t, float (&v)[V]) const
    {
        const int64_t row = i / l.width, at = i % l.width, id = l.ids[row];
        const bool is_word = 0 <= id && id < l.words;
        float w[V];
        if (is_word) load(token + id * l.width + at, v);
        load(position + row % l.tokens * l.width + at, w);
#pragma unroll
        for (int k = 0; k < V; k++) v[k] = is_word ? v[k] + w[k] : NAN;
    }
};

struct zeros {
    template <int V> __device__ void operator()(int64_t, int64_t, float (&v)[V]) const
    {
#pragma unroll
        for (int k = 0; k < V; k++) v[k] = 0;
    }
};

/* dposition: the images in order; 0 where no token stands. */
template <class Y> struct over_images {
    lookup l;
    const Y *dy;
    int64_t n_rows;
    template <int V> __device__ void operator()(int64_t i, int64_t, float (&v)[V]) const
    {
        float w[V];
#pragma unroll
        for (int k = 0; k < V; k++) v[k] = 0;
        if (i >= l.tokens * l.width) return;
        for (int64_t row = i / l.width; row < n_rows; row += l.tokens) {
            load(dy + row * l.width + i % l.width, w);
#pragma unroll
            for (int k = 0; k < V; k++) v[k] += w[k];
        }
    }
};

/* A block for each row of dy. That of an id's first row adds all rows of the id in their order, which its
 * warps find 32 at a time. */
template <int V, class Y>
static __global__ void token_grads(lookup l, const Y *dy, int64_t n_rows, float *dtoken, bool add)
{
    const int64_t row = blockIdx.x, lane = threadIdx.x % WARP, id = l.ids[row];

    if (id < 0 || id >= l.words) return;
    for (int64_t first = 0; first < l.width; first += THREADS * V) {
        const int64_t at = first + (int64_t)threadIdx.x * V;
        float sum[V] = {}, v[AT_ONCE][V] = {};
        for (int64_t base = 0; base < n_rows; base += WARP) {
            const int64_t mine = base + lane;
            unsigned same = __ballot_sync(ALL_LANES, mine < n_rows && l.ids[mine] == id);
            if (same && base + __ffs((int)same) - 1 < row) return;
            while (same && at < l.width) {
                unsigned left = same;
#pragma unroll
                for (int q = 0; q < AT_ONCE; q++, left &= left - 1)
                    if (left) load(dy + (base + __ffs((int)left) - 1) * l.width + at, v[q]);
#pragma unroll
                for (int q = 0; q < AT_ONCE; q++, same &= same - 1)
#pragma unroll
                    for (int k = 0; same && k < V; k++) sum[k] += v[q][k];
            }
        }
        if (at < l.width) store(dtoken + id * l.width + at, sum, add);
    }
}

lookup lookup_of(const ath_call *c)
{
    const ath_site *s = c->site;
    return {(const int32_t *)c->in[0], s->in[0].dim[1], s->in[1].dim[0], s->in[1].dim[1]};
}

template <class X> ath_err fwd(const ath_call *c)
{
    const sum_of_two<X> f = {lookup_of(c), (const X *)c->in[1], (const X *)c->in[2]};
    const ath_desc *y = &c->site->out[0];

    if (y->dtype == ATH_BF16)
        return pointwise(c, f, (bf16 *)c->out[0], ath_desc_count(y), false, f.l.width);
    return pointwise(c, f, (float *)c->out[0], ath_desc_count(y), false, f.l.width);
}

ath_err run_fwd(const ath_call *c)
{
    return c->site->in[1].dtype == ATH_BF16 ? fwd<bf16>(c) : fwd<float>(c);
}

template <int V, class Y> ath_err token_bwd(const ath_call *c)
{
    const bool add = c->site->add >> 1 & 1;
    const int64_t n_rows = ath_desc_rows(&c->site->out[0]);

    if (!c->din[1]) return ATH_OK;
    if (!add) ATH_TRY(pointwise_grad<float>(c, 1, zeros()));
    return launch(c, dim3((unsigned)n_rows), THREADS, 0, token_grads<V, Y>, lookup_of(c),
                  (const Y *)c->dout[0], n_rows, (float *)c->din[1], add);
}

/* Positions that no token has are left where it adds. */
template <class Y> ath_err position_bwd(const ath_call *c)
{
    const bool add = c->site->add >> 2 & 1;
    const lookup l = lookup_of(c);
    const over_images<Y> f = {l, (const Y *)c->dout[0], ath_desc_rows(&c->site->out[0])};
    const int64_t n = add ? l.tokens * l.width : ath_desc_count(&c->site->din[2]);

    if (!c->din[2]) return ATH_OK;
    return pointwise(c, f, (float *)c->din[2], n, add, l.width);
}

template <class Y> ath_err bwd(const ath_call *c)
{
    constexpr int V = pack<Y>::n;

    if (lookup_of(c).width % V)
        ATH_TRY((token_bwd<1, Y>(c)));
    else
        ATH_TRY((token_bwd<V, Y>(c)));
    return position_bwd<Y>(c);
}

} // namespace

const ath_cuda_op ath_cuda_op_embed = {
    {nullptr, run_fwd, nullptr, EXACT},
    {nullptr, by_output<bwd<float>, bwd<bf16>>, nullptr, EXACT},
};
