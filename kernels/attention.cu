#include "kernels/attention_fma.cuh"
#include "kernels/attention_mma.cuh"

enum {
    THREADS = 256,
    FEW_KEYS = 256,  /* so few that blocks by key would be too few: queries are cut into parts */
    PART_ROWS = 256, /* queries of a part */
};

static problem problem_of(const ath_site *site)
{
    const ath_attention_attr *attr = (const ath_attention_attr *)site->attr;
    const ath_desc *q = &site->in[0];
    problem p;

    p.t = q->dim[1];
    p.s = site->in[1].dim[1];
    p.channels = q->dim[2];
    p.padded_t = ceil_div(p.t, QUERY_PAD) * QUERY_PAD;
    p.h = attr->heads;
    p.d = (int32_t)(p.channels / p.h);
    p.n_heads = (int32_t)q->dim[0] * p.h;
    p.causal = attr->causal != 0;
    p.scale = attr->scale;
    p.scale_2 = attr->scale * LOG2E;
    return p;
}

/* The head size that tensor cores are asked for; 0: another kernel's. Their largest score is found
 * before it is scaled, and 128 rows lie within 2^31 elements. */
static int tensor_size(const ath_site *site, const problem &p)
{
    const bool is_made_for = p.d == 40 || p.d == 64 || p.d == 80 || p.d == 160;
    const bool is_near = p.channels < 1 << 24;
    return site->in[0].dtype == ATH_BF16 && p.scale_2 > 0 && is_made_for && is_near ? p.d : 0;
}

/* call(D) with D as the head size. */
#define BY_SIZE(d, call) \
    ((d) == 40 ? call(40) : (d) == 64 ? call(64) : (d) == 80 ? call(80) : call(160))

static const char *name_of(const ath_site *site)
{
    return tensor_size(site, problem_of(site)) ? "tensor cores" : "plain";
}

/* ---- forward ---- */

static ath_err bind_fwd(const ath_site *site, ath_bound *bound)
{
    bound->algorithm = name_of(site);
    return ATH_OK;
}

template <int D> static ath_err fwd_tensor(const ath_call *c, const problem &p)
{
    const int64_t n = ceil_div(p.t, N_WARPS * 16 * fwd_cut<D>::m) * p.n_heads;
    return launch(c, dim3((unsigned)n), BLOCK, fwd_shared<D>(), fwd_mma<D>, p,
                  (const bf16 *)c->in[0], (const bf16 *)c->in[1], (const bf16 *)c->in[2],
                  (bf16 *)c->out[0], (float *)c->saved[0]);
}

template <class T, int SLAB> static ath_err fwd_plain(const ath_call *c, const problem &p)
{
    const int64_t n = ceil_div(p.t, FMA_ROWS) * p.n_heads * ceil_div(p.d, SLAB);
    return launch(c, dim3((unsigned)n), FMA_BLOCK, sizeof(fma_shared), fwd_fma<T, SLAB>, p,
                  (const T *)c->in[0], (const T *)c->in[1], (const T *)c->in[2], (T *)c->out[0],
                  (float *)c->saved[0]);
}

static ath_err run_fwd(const ath_call *c)
{
    const problem p = problem_of(c->site);
    const int size = tensor_size(c->site, p);

#define RUN(D) fwd_tensor<D>(c, p)
    if (size) return BY_SIZE(size, RUN);
#undef RUN
#define RUN(T) (p.d > 64 ? fwd_plain<T, 512>(c, p) : fwd_plain<T, 64>(c, p))
    return BY_DTYPE(c->site->in[0].dtype, RUN);
#undef RUN
}

/* ---- backward ---- */

/* A thread a query of a head: delta's sum runs over the channels in order. */
template <class T>
static __global__ void look(problem p, const T *o, const T *dout, const float *lse,
                            query_facts *known)
{
    constexpr int N = pack<T>::n;
    const int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    const int64_t head = i / p.padded_t, t = i % p.padded_t;
    const int64_t at = head_at(p, head, p.t) + t * p.channels;
    float delta = 0, x[N], y[N];

    if (head >= p.n_heads) return;
    if (t >= p.t) {
        known[i] = {INFINITY, 0};
        return;
    }
    if (p.d % N == 0) {
        for (int c = 0; c < p.d; c += N) {
            load_pack(o + at, c, p.d, x);
            load_pack(dout + at, c, p.d, y);
#pragma unroll
            for (int k = 0; k < N; k++) delta = fmaf(x[k], y[k], delta);
        }
    } else {
        for (int c = 0; c < p.d; c++) delta = fmaf(to_f32(o[at + c]), to_f32(dout[at + c]), delta);
    }
    known[i] = {lse[head * p.t + t] * LOG2E, delta};
}

/* Sums the parts of dk (which 0) or dv (1) in their order. */
static __global__ void join(const float *parts, int n_parts, int which, int64_t n, bf16 *to,
                            bool add)
{
    constexpr int N = pack<bf16>::n;
    const int64_t i = ((int64_t)blockIdx.x * THREADS + threadIdx.x) * N;
    float sum[N] = {}, x[N];

    if (i >= n) return;
    for (int part = 0; part < n_parts; part++) {
        const float *from = parts + (2 * part + which) * n;
        load_pack(from, i, n, x);
        load_pack(from, i + N / 2, n, x + N / 2);
#pragma unroll
        for (int k = 0; k < N; k++) sum[k] += x[k];
    }
    grad_pack(to, i, n, sum, add);
}

/* Scratch: what is known of each query, and the parts of dk and dv. */
struct bwd_scratch {
    int64_t known_bytes, part_floats;
    int32_t n_parts;
};

static bwd_scratch scratch_of(const ath_site *site, const problem &p)
{
    bwd_scratch s;

    s.known_bytes = (int64_t)sizeof(query_facts) * p.n_heads * p.padded_t;
    s.n_parts = 1;
    if (tensor_size(site, p) && p.s <= FEW_KEYS) s.n_parts = (int32_t)ceil_div(p.t, PART_ROWS);
    s.part_floats = s.n_parts > 1 ? 2 * s.n_parts * ath_desc_count(&site->in[1]) : 0;
    return s;
}

static ath_err bind_bwd(const ath_site *site, ath_bound *bound)
{
    const bwd_scratch s = scratch_of(site, problem_of(site));

    bound->algorithm = name_of(site);
    bound->scratch_bytes = (size_t)(s.known_bytes + s.part_floats * (int64_t)sizeof(float));
    return ATH_OK;
}

template <class T> static bwd_pass<T> pass_of(const ath_call *c, bool by_key, const bwd_scratch &s)
{
    const T *q = (const T *)c->in[0], *k = (const T *)c->in[1], *v = (const T *)c->in[2];
    const T *dout = (const T *)c->dout[0];
    const uint32_t add = c->site->add;
    bwd_pass<T> pass = {};

    pass.x = by_key ? k : q;
    pass.x2 = by_key ? v : dout;
    pass.y = by_key ? q : k;
    pass.y2 = by_key ? dout : v;
    pass.known = (const query_facts *)c->scratch;
    pass.to = (T *)c->din[by_key ? 1 : 0];
    pass.to2 = by_key ? (T *)c->din[2] : nullptr;
    pass.add = (add >> (by_key ? 1 : 0) & 1) != 0;
    pass.add2 = (add >> 2 & 1) != 0;
    pass.parts = (float *)((char *)c->scratch + s.known_bytes);
    pass.n_parts = by_key ? s.n_parts : 1;
    pass.part_rows = s.n_parts > 1 ? PART_ROWS : INT32_MAX;
    return pass;
}

static ath_err join_parts(const ath_call *c, const bwd_pass<bf16> &pass)
{
    const int64_t n = ath_desc_count(&c->site->in[1]);
    const dim3 grid((unsigned)ceil_div(n, THREADS * pack<bf16>::n));

    if (pass.n_parts == 1) return ATH_OK;
    if (pass.to)
        ATH_TRY(
            launch(c, grid, THREADS, 0, join, pass.parts, pass.n_parts, 0, n, pass.to, pass.add));
    if (pass.to2)
        ATH_TRY(
            launch(c, grid, THREADS, 0, join, pass.parts, pass.n_parts, 1, n, pass.to2, pass.add2));
    return ATH_OK;
}

template <int D, bool BY_KEY>
static ath_err bwd_tensor(const ath_call *c, const problem &p, const bwd_scratch &s)
{
    const bwd_pass<bf16> pass = pass_of<bf16>(c, BY_KEY, s);
    const int64_t n_tiles = ceil_div(BY_KEY ? p.s : p.t, N_WARPS * 16 * bwd_cut<D, BY_KEY>::m);

    if (!pass.to && !pass.to2) return ATH_OK;
    ATH_TRY(launch(c, dim3((unsigned)(n_tiles * p.n_heads * pass.n_parts)), BLOCK,
                   bwd_shared<D, BY_KEY>(), bwd_mma<D, BY_KEY>, p, pass));
    return join_parts(c, pass);
}

template <class T, bool BY_KEY>
static ath_err bwd_plain(const ath_call *c, const problem &p, const bwd_scratch &s)
{
    const bwd_pass<T> pass = pass_of<T>(c, BY_KEY, s);
    const int64_t n_tiles = ceil_div(BY_KEY ? p.s : p.t, FMA_ROWS);
    const int64_t n = n_tiles * p.n_heads * ceil_div(p.d, BWD_SLAB);

    if (!pass.to && !pass.to2) return ATH_OK;
    return launch(c, dim3((unsigned)n), FMA_BLOCK, sizeof(fma_shared), bwd_fma<T, BY_KEY>, p, pass);
}

template <class T> static ath_err run_look(const ath_call *c, const problem &p)
{
    const int64_t n = ceil_div(p.n_heads * p.padded_t, THREADS);
    return launch(c, dim3((unsigned)n), THREADS, 0, look<T>, p, (const T *)c->out[0],
                  (const T *)c->dout[0], (const float *)c->saved[0], (query_facts *)c->scratch);
}

static ath_err run_bwd(const ath_call *c)
{
    const problem p = problem_of(c->site);
    const bwd_scratch s = scratch_of(c->site, p);
    const ath_dtype dtype = c->site->in[0].dtype;
    const int size = tensor_size(c->site, p);

#define RUN(T) run_look<T>(c, p)
    ATH_TRY(BY_DTYPE(dtype, RUN));
#undef RUN
    if (size) {
#define RUN(D) bwd_tensor<D, false>(c, p, s)
        ATH_TRY(BY_SIZE(size, RUN));
#undef RUN
#define RUN(D) bwd_tensor<D, true>(c, p, s)
        return BY_SIZE(size, RUN);
#undef RUN
    }
#define RUN(T) bwd_plain<T, false>(c, p, s)
    ATH_TRY(BY_DTYPE(dtype, RUN));
#undef RUN
#define RUN(T) bwd_plain<T, true>(c, p, s)
    return BY_DTYPE(dtype, RUN);
#undef RUN
}

const ath_cuda_op ath_cuda_op_attention = {
    {bind_fwd, run_fwd, nullptr, ATH_BITS_THREADS | ATH_BITS_ROWS},
    {bind_bwd, run_bwd, nullptr, ATH_BITS_THREADS | ATH_BITS_ROWS},
};
