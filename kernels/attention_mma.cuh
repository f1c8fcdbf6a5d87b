/*
 * Attention on tensor cores: bf16, heads of a size known beforehand, a multiple of 8.
 *
 * Four warps a block, each with M fragments of 16 rows of one side: of queries forward and for dq, of
 * keys for dk and dv. Tiles of the other side pass through shared memory, the next one copied while one
 * is worked on. Each tile read from there as fragments serves M products: with one, shared memory is
 * the bound. Scores never leave registers: accumulators, packed, are operands of the next product.
 *
 * A head of 40 is two and a half fragments wide, and its rows are 5 * 16 bytes: no padding anywhere.
 */
#ifndef ATH_KERNELS_ATTENTION_MMA_CUH
#define ATH_KERNELS_ATTENTION_MMA_CUH

#include "kernels/attention.cuh"
#include "kernels/tile.cuh"

enum { N_WARPS = 4, BLOCK = N_WARPS * WARP, FACTS = sizeof(query_facts) / sizeof(bf16) };

/* By head size. M, n_rows of a tile of the other side, blocks that a multiprocessor's registers hold. */
template <int D> struct fwd_cut {
    static constexpr int m = 1, n_rows = 64, n_blocks = 3;
};
template <> struct fwd_cut<40> {
    static constexpr int m = 2, n_rows = 64, n_blocks = 3;
};
template <> struct fwd_cut<160> {
    static constexpr int m = 1, n_rows = 32, n_blocks = 2;
};

/* is_held: x and x2 stay in registers; else they are read again and again from shared memory. */
template <int D, bool BY_KEY> struct bwd_cut {
    static constexpr int m = 1, n_rows = 64, n_blocks = 3;
    static constexpr bool is_held = true;
};
template <bool BY_KEY> struct bwd_cut<40, BY_KEY> {
    static constexpr int m = 2, n_rows = 64, n_blocks = 2;
    static constexpr bool is_held = true;
};
template <> struct bwd_cut<80, true> {
    static constexpr int m = 1, n_rows = 64, n_blocks = 2;
    static constexpr bool is_held = true;
};
template <bool BY_KEY> struct bwd_cut<160, BY_KEY> {
    static constexpr int m = 1, n_rows = 32, n_blocks = 2;
    static constexpr bool is_held = !BY_KEY;
};

static __device__ inline int lane_of()
{
    return (int)threadIdx.x % WARP;
}

static __device__ inline int warp_of()
{
    return (int)threadIdx.x / WARP;
}

/* Begins to copy ROWS rows of a head, of each of N operands, into tiles that follow one another; zeros
 * for rows from n on. All threads. Offsets within a tile are 32-bit: tensor_size sees to it. */
template <int D, int ROWS, int N>
static __device__ inline void fetch_rows(tile_ptr to, const bf16 *const (&from)[N], int64_t step,
                                         int64_t n)
{
    constexpr int CHUNKS = D / 8, ALL = ROWS * CHUNKS, TILE = ROWS * tile_step(D);
    const int n_there = n < ROWS ? (int)n : ROWS;

#pragma unroll
    for (int i = 0; i < ALL; i += BLOCK) {
        const int at = i + (int)threadIdx.x, row = at / CHUNKS, c = at % CHUNKS * 8;
        const bool is_there = row < n_there;
        const int offset = is_there ? row * (int)step + c : 0;
#pragma unroll
        for (int k = 0; k < N; k++)
            if (ALL % BLOCK == 0 || at < ALL)
                copy_16(to + (k * TILE + row * tile_step(D) + c), from[k] + offset, is_there);
    }
}

/* ---- products ---- */

/* The warp's 16 M rows of a tile as left operands: D / 8 pairs of registers each. */
template <int D, int M, bool IS_HELD> struct left_rows {
    uint32_t r[IS_HELD ? M : 1][IS_HELD ? D / 4 : 4];
    tile_ptr rows;

    /* `tile`: the block's rows, which are there. */
    __device__ inline explicit left_rows(tile_ptr tile)
        : rows(tile + warp_of() * 16 * M * tile_step(D))
    {
#pragma unroll
        for (int m = 0; IS_HELD && m < M; m++)
#pragma unroll
            for (int i = 0; 16 * i < D; i++) read(r[m] + 4 * i, m, i);
    }

    /* Fragment i of 16 channels, or the last one of 8. */
    __device__ inline void read(uint32_t *to, int m, int i) const
    {
        const tile_ptr row = rows + ((16 * m + lane_of() % 16) * tile_step(D) + 16 * i);
        if (16 * i + 8 < D)
            load_4(to, row + lane_of() / 16 * 8);
        else
            load_2(to, row);
    }

    __device__ inline void get(uint32_t *to, int m, int i) const
    {
        if (!IS_HELD) read(to, m, i);
#pragma unroll
        for (int k = 0; IS_HELD && k < (16 * i + 8 < D ? 4 : 2); k++) to[k] = r[m][4 * i + k];
    }
};

/* Columns 8 at .. 8 at + 16 of S = X Y^T, from 16 rows of Y. */
template <int D, int M, int N, bool IS_HELD>
static __device__ __forceinline__ void score(float (&s)[M][N][4], int at,
                                             const left_rows<D, M, IS_HELD> &x, tile_ptr y)
{
    const int lane = lane_of();
    const tile_ptr row = y + ((lane % 8 + lane / 16 * 8) * tile_step(D) + lane / 8 % 2 * 8);
    const tile_ptr last = y + (lane % 16 * tile_step(D) + D - 8);

#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
        for (int e = 0; e < 4; e++) s[m][at][e] = s[m][at + 1][e] = 0;
#pragma unroll
    for (int i = 0; 16 * i < D; i++) {
        uint32_t a[4], b[4];
        const bool is_whole = 16 * i + 8 < D;
        if (is_whole)
            load_4(b, row + 16 * i);
        else
            load_2(b, last);
#pragma unroll
        for (int m = 0; m < M; m++) {
            x.get(a, m, i);
            if (is_whole) {
                mma_16(s[m][at], a, b);
                mma_16(s[m][at + 1], a, b + 2);
            } else {
                mma_8(s[m][at], a, b);
                mma_8(s[m][at + 1], a, b + 1);
            }
        }
    }
}

/* acc += W Y, for the 16 columns of W that belong to 16 rows of Y. */
template <int D, int M>
static __device__ __forceinline__ void gather_rows(float (&acc)[M][D / 8][4],
                                                   const uint32_t (&w)[M][4], tile_ptr y)
{
    const int lane = lane_of();
    const tile_ptr row = y + lane % 16 * tile_step(D);

#pragma unroll
    for (int c = 0; c < D / 8; c += 2) {
        uint32_t b[4];
        const bool is_whole = c + 1 < D / 8;
        if (is_whole)
            load_4_flipped(b, row + 8 * c + lane / 16 * 8);
        else
            load_2_flipped(b, row + 8 * c);
#pragma unroll
        for (int m = 0; m < M; m++) {
            mma_16(acc[m][c], w[m], b);
            if (is_whole) mma_16(acc[m][c + 1 < D / 8 ? c + 1 : c], w[m], b + 2);
        }
    }
}

/* Accumulators of 16 columns as a left operand. */
static __device__ inline void pack_left(uint32_t (&a)[4], const float (&x)[4], const float (&y)[4])
{
    a[0] = pack_pair(x[0], x[1]);
    a[1] = pack_pair(x[2], x[3]);
    a[2] = pack_pair(y[0], y[1]);
    a[3] = pack_pair(y[2], y[3]);
}

/* Scores of the warp's rows from row0 on, and of columns from column0 on, become -inf where the key is
 * not there or comes after the query. By key the rows that are not there need none: nobody reads them. */
template <bool BY_KEY, int M, int N>
static __device__ inline void hide(float (&s)[M][N][4], const problem &p, int64_t row0,
                                   int64_t column0)
{
#pragma unroll
    for (int i = 0; i < M * 2; i++) {
        const int64_t row = row0 + i / 2 * 16 + i % 2 * 8 + lane_of() / 4;
        const int64_t seen = (BY_KEY ? row : n_seen(p, row)) - column0;
        const int edge = (int)min(seen, (int64_t)N * 8) - lane_of() % 4 * 2;
#pragma unroll
        for (int k = 0; k < 2 * N; k++) {
            const int column = k / 2 * 8 + k % 2;
            if (BY_KEY ? column < edge : column >= edge)
                s[i / 2][k / 2][i % 2 * 2 + k % 2] = -INFINITY;
        }
    }
}

/* The warp's rows, times factor, to rows of a head (n of them are there), by way of `stage`: 16 rows of
 * shared memory of this warp's own. */
template <int D, int M, class T>
static __device__ inline void put_rows(const float (&acc)[M][D / 8][4], float factor, float *stage,
                                       T *to, int64_t step, int64_t n, bool add)
{
    constexpr int STEP = D + 4, PACK = pack<T>::n, PACKS = D / PACK;
    const int g = lane_of() / 4, t = lane_of() % 4 * 2;

#pragma unroll
    for (int m = 0; m < M; m++) {
        __syncwarp();
#pragma unroll
        for (int i = 0; i < D / 2; i++)
            stage[(g + i % 4 / 2 * 8) * STEP + i / 4 * 8 + t + i % 2] =
                acc[m][i / 4][i % 4] * factor;
        __syncwarp();
        for (int i = lane_of(); i < 16 * PACKS; i += WARP) {
            const int row = i / PACKS, c = i % PACKS * PACK;
            if (16 * m + row < n)
                grad_pack(to + (16 * m + row) * step, c, D, stage + row * STEP + c, add);
        }
    }
}

/* A tile of the other side in shared memory, `column0` its first row: k and v, or q and dout and what
 * is known of these queries. */
struct passing {
    tile_ptr y, y2;
    const query_facts *known;
    int64_t column0;
};

/* ---- forward ---- */

/* Sums so far of the warp's queries: o over `sum` is the attention. Weights are 2^(score - top); `sum`
 * is that of the lane's own columns. */
template <int D, int M> struct attended {
    float o[M][D / 8][4], top[M][2], sum[M][2];
};

/* By so many powers of 2 a score may pass `top` before all sums are scaled anew: nearly never after
 * the first tile, and weights are as exact as before. */
#define SLACK 8.0f

/* Makes `top` large enough for a tile of scores. */
template <int D, int M, int N>
static __device__ __forceinline__ void raise_top(attended<D, M> &a, const float (&s)[M][N][4],
                                                 float scale_2)
{
    float high[M][2];
    bool grows = false;

#pragma unroll
    for (int i = 0; i < M * 2; i++) {
        const int m = i / 2, r = i % 2;
        high[m][r] = s[m][0][2 * r];
#pragma unroll
        for (int k = 1; k < 2 * N; k++) high[m][r] = fmaxf(high[m][r], s[m][k / 2][2 * r + k % 2]);
        high[m][r] *= scale_2;
        grows = grows || high[m][r] > a.top[m][r] + SLACK;
    }
    if (!__any_sync(ALL_LANES, grows)) return;
#pragma unroll
    for (int i = 0; i < M * 2; i++) {
        const int m = i / 2, r = i % 2;
        float top = fmaxf(a.top[m][r], high[m][r]);
        top = fmaxf(top, __shfl_xor_sync(ALL_LANES, top, 1));
        top = fmaxf(top, __shfl_xor_sync(ALL_LANES, top, 2));
        const float factor = exp2_near(a.top[m][r] - top);
        a.top[m][r] = top;
        a.sum[m][r] *= factor;
#pragma unroll
        for (int c = 0; c < D / 8; c++) {
            a.o[m][c][2 * r] *= factor;
            a.o[m][c][2 * r + 1] *= factor;
        }
    }
}

/* The warp's queries, from query0 on, meet a tile of N keys. */
template <int D, int M, int N>
static __device__ __forceinline__ void attend(attended<D, M> &a, const left_rows<D, M, true> &q,
                                              const passing &keys, const problem &p, int64_t query0)
{
    float s[M][N / 8][4];

#pragma unroll
    for (int i = 0; i < N / 16; i++) score(s, 2 * i, q, keys.y + 16 * i * tile_step(D));
    if (keys.column0 + N > n_seen(p, query0)) hide<false>(s, p, query0, keys.column0);
    raise_top(a, s, p.scale_2);
#pragma unroll
    for (int i = 0; i < N / 16; i++) {
        uint32_t w[M][4];
#pragma unroll
        for (int m = 0; m < M; m++) {
#pragma unroll
            for (int j = 0; j < 8; j++) {
                float &x = s[m][2 * i + j / 4][j % 4];
                x = exp2_near(fmaf(x, p.scale_2, -a.top[m][j % 4 / 2]));
                a.sum[m][j % 4 / 2] += x;
            }
            pack_left(w[m], s[m][2 * i], s[m][2 * i + 1]);
        }
        gather_rows<D, M>(a.o, w, keys.y2 + 16 * i * tile_step(D));
    }
}

/* Divides by the sums and writes the warp's rows. */
template <int D, int M>
static __device__ inline void finish(attended<D, M> &a, float *stage, bf16 *o, float *lse,
                                     int64_t step, int64_t n)
{
#pragma unroll
    for (int i = 0; i < M * 2; i++) {
        const int m = i / 2, r = i % 2, row = 16 * m + lane_of() / 4 + 8 * r;
        float sum = a.sum[m][r];
        sum += __shfl_xor_sync(ALL_LANES, sum, 1);
        sum += __shfl_xor_sync(ALL_LANES, sum, 2);
        if (lane_of() % 4 == 0 && row < n) lse[row] = fmaf(a.top[m][r], LN2, logf(sum));
        const float factor = 1 / sum;
#pragma unroll
        for (int c = 0; c < D / 8; c++) {
            a.o[m][c][2 * r] *= factor;
            a.o[m][c][2 * r + 1] *= factor;
        }
    }
    put_rows<D, M>(a.o, 1, stage, o, step, n, false);
}

/* Bytes of shared memory, enough for put_rows too. */
template <int D> static constexpr size_t fwd_shared()
{
    using cut = fwd_cut<D>;
    return sizeof(bf16) * tile_step(D) * (N_WARPS * 16 * cut::m + 4 * cut::n_rows);
}

/* Blocks: tiles of queries, of head after head. */
template <int D>
static __global__ void __launch_bounds__(BLOCK, fwd_cut<D>::n_blocks)
    fwd_mma(problem p, const bf16 *q, const bf16 *k, const bf16 *v, bf16 *o, float *lse)
{
    constexpr int M = fwd_cut<D>::m, KEYS = fwd_cut<D>::n_rows, ROWS = N_WARPS * 16 * M;
    constexpr int TILE = KEYS * tile_step(D);
    ATH_SHARED(bf16, shared);
    const tile_ptr queries(shared), tiles = queries + ROWS * tile_step(D); /* [2][k, v] */
    const unsigned n_tiles = (unsigned)((p.t + ROWS - 1) / ROWS), head = blockIdx.x / n_tiles;
    const int64_t first = (int64_t)(blockIdx.x % n_tiles) * ROWS;
    const int64_t query0 = first + warp_of() * 16 * M;
    const int64_t at = head_at(p, head, p.t) + first * p.channels;
    const int64_t end = n_seen(p, first + ROWS - 1);
    int turn = 0;
    attended<D, M> a = {};

    k += head_at(p, head, p.s);
    v += head_at(p, head, p.s);
    fetch_rows<D, ROWS>(queries, {q + at}, p.channels, p.t - first);
    copy_commit();
    fetch_rows<D, KEYS>(tiles, {k, v}, p.channels, p.s);
    copy_commit();
    copy_wait<1>();
    __syncthreads();
    const left_rows<D, M, true> left(queries);
#pragma unroll
    for (int i = 0; i < M * 2; i++) a.top[i / 2][i % 2] = -INFINITY;
    for (int64_t key0 = 0; key0 < end; key0 += KEYS, turn ^= 1) {
        const tile_ptr tile = tiles + turn * 2 * TILE, next = tiles + (turn ^ 1) * 2 * TILE;
        const int64_t key1 = key0 + KEYS;
        copy_wait<0>();
        __syncthreads(); /* the tile is there, and nobody reads the other one any more */
        if (key1 < end) {
            const int64_t away = key1 * p.channels;
            fetch_rows<D, KEYS>(next, {k + away, v + away}, p.channels, p.s - key1);
            copy_commit();
        }
        if (query0 < p.t)
            attend<D, M, KEYS>(a, left, {tile, tile + TILE, nullptr, key0}, p, query0);
    }
    __syncthreads();
    float *stage = reinterpret_cast<float *>(shared) + warp_of() * 16 * (D + 4);
    if (query0 < p.t)
        finish(a, stage, o + at + warp_of() * 16 * M * p.channels, lse + head * p.t + query0,
               p.channels, p.t - query0);
}

/* ---- backward ---- */

/* Sums of the warp's rows: dq, or dk and dv. */
template <int D, int M, bool BY_KEY> struct gathered {
    float x[M][D / 8][4], x2[BY_KEY ? M : 1][BY_KEY ? D / 8 : 1][4];
};

/* What stays with the warp: its rows of both operands, and by query what is known of them. */
template <int D, bool BY_KEY> struct side {
    static constexpr int m = bwd_cut<D, BY_KEY>::m;
    left_rows<D, m, bwd_cut<D, BY_KEY>::is_held> x, x2;
    query_facts rows[m][2];

    __device__ inline side(tile_ptr x_, tile_ptr x2_) : x(x_), x2(x2_)
    {
    }
};

/* Scores and dout . v of 16 columns become the weights and the slopes of the scores, to be summed. */
template <int D, bool BY_KEY, int M>
static __device__ __forceinline__ void
weigh(uint32_t (&w)[M][4], uint32_t (&ds)[M][4], float (&s)[M][2][4], float (&dp)[M][2][4],
      const side<D, BY_KEY> &mine, const query_facts *columns, float scale_2)
{
    query_facts of_column[4] = {};

#pragma unroll
    for (int n = 0; BY_KEY && n < 2; n++) {
        const pack<float> two =
            *reinterpret_cast<const pack<float> *>(columns + 8 * n + lane_of() % 4 * 2);
        of_column[2 * n] = {two.x[0], two.x[1]};
        of_column[2 * n + 1] = {two.x[2], two.x[3]};
    }
#pragma unroll
    for (int m = 0; m < M; m++) {
#pragma unroll
        for (int i = 0; i < 8; i++) {
            const int n = i / 4, e = i % 4;
            const query_facts f = BY_KEY ? of_column[2 * n + e % 2] : mine.rows[m][e / 2];
            s[m][n][e] = exp2_near(fmaf(s[m][n][e], scale_2, -f.lse_2));
            dp[m][n][e] = s[m][n][e] * (dp[m][n][e] - f.delta);
        }
        pack_left(w[m], s[m][0], s[m][1]);
        pack_left(ds[m], dp[m][0], dp[m][1]);
    }
}

/* The warp's rows, from row0 on, meet a tile of N rows of the other side. */
template <int D, bool BY_KEY, int N, int M>
static __device__ __forceinline__ void gather(gathered<D, M, BY_KEY> &a,
                                              const side<D, BY_KEY> &mine, const passing &tile,
                                              const problem &p, int64_t row0)
{
    const bool hides =
        BY_KEY ? p.causal && tile.column0 < row0 + 16 * M : tile.column0 + N > n_seen(p, row0);

#pragma unroll
    for (int i = 0; i < N; i += 16) {
        const tile_ptr y = tile.y + i * tile_step(D), y2 = tile.y2 + i * tile_step(D);
        float s[M][2][4], dp[M][2][4];
        uint32_t w[M][4], ds[M][4];
        score(s, 0, mine.x, y);
        score(dp, 0, mine.x2, y2);
        if (hides) hide<BY_KEY>(s, p, row0, tile.column0 + i);
        weigh(w, ds, s, dp, mine, tile.known + i, p.scale_2);
        if constexpr (BY_KEY) gather_rows<D, M>(a.x2, w, y2);
        gather_rows<D, M>(a.x, ds, y);
    }
}

/* Which block this is: rows from `first` on, and the other side's from `begin` to `end`. */
struct bwd_block {
    int64_t head, first, begin, end;
    int32_t part;
};

template <int D, bool BY_KEY>
static __device__ inline bwd_block block_of(const problem &p, const bwd_pass<bf16> &c)
{
    constexpr int ROWS = N_WARPS * 16 * bwd_cut<D, BY_KEY>::m, N = bwd_cut<D, BY_KEY>::n_rows;
    const unsigned n_tiles = (unsigned)(((BY_KEY ? p.s : p.t) + ROWS - 1) / ROWS);
    const unsigned i_head = blockIdx.x / n_tiles;
    bwd_block b;

    b.first = (int64_t)(blockIdx.x % n_tiles) * ROWS;
    b.head = i_head % (unsigned)p.n_heads;
    b.part = (int32_t)(i_head / (unsigned)p.n_heads);
    if (BY_KEY) {
        b.begin = max((int64_t)b.part * c.part_rows, p.causal ? b.first / N * N : (int64_t)0);
        b.end = min(p.t, (int64_t)(b.part + 1) * c.part_rows);
    } else {
        b.begin = 0;
        b.end = n_seen(p, b.first + ROWS - 1);
    }
    return b;
}

/* Where a block's sums go: the gradient (NULL: nowhere), or its part's place. */
struct goal {
    bf16 *to;
    float *part; /* NULL: the gradient itself */
    bool add;
    float factor;
};

static __device__ inline goal goal_of(const problem &p, const bwd_pass<bf16> &c, const bwd_block &b,
                                      int which)
{
    const int64_t size = p.n_heads / p.h * p.s * p.channels;
    bf16 *to = which ? c.to2 : c.to;
    float *part = to && c.n_parts > 1 ? c.parts + (2 * b.part + which) * size : nullptr;

    return {to, part, which ? c.add2 : c.add, which ? 1 : p.scale};
}

/* The warp's rows from element `at` on; n of them are there. */
template <int D, int M>
static __device__ inline void put_sums(const float (&acc)[M][D / 8][4], const goal &to,
                                       float *stage, int64_t at, int64_t step, int64_t n)
{
    if (to.part)
        put_rows<D, M>(acc, to.factor, stage, to.part + at, step, n, false);
    else if (to.to)
        put_rows<D, M>(acc, to.factor, stage, to.to + at, step, n, to.add);
}

template <int D, bool BY_KEY> static constexpr size_t bwd_shared()
{
    using cut = bwd_cut<D, BY_KEY>;
    return sizeof(bf16) * tile_step(D) * (2 * N_WARPS * 16 * cut::m + 4 * cut::n_rows) +
           sizeof(query_facts) * 2 * cut::n_rows;
}

/* Begins to copy rows from row0 on of the other side: y, y2, and by key what is known of the queries. */
template <int D, bool BY_KEY>
static __device__ inline void fetch_passing(tile_ptr tile, tile_ptr known, const problem &p,
                                            const bwd_pass<bf16> &c, const bwd_block &b,
                                            int64_t row0)
{
    constexpr int N = bwd_cut<D, BY_KEY>::n_rows;
    const int64_t n_y = BY_KEY ? p.t : p.s;
    const int64_t at = head_at(p, b.head, n_y) + row0 * p.channels;
    const int i = 2 * (int)threadIdx.x; /* two queries in 16 bytes */

    if (row0 >= b.end) return;
    fetch_rows<D, N>(tile, {c.y + at, c.y2 + at}, p.channels, n_y - row0);
    if (BY_KEY && i < N) copy_16(known + i * FACTS, c.known + b.head * p.padded_t + row0 + i, true);
    copy_commit();
}

/* Blocks: tiles of rows, of head after head, of part after part. */
template <int D, bool BY_KEY>
static __global__ void __launch_bounds__(BLOCK, bwd_cut<D, BY_KEY>::n_blocks)
    bwd_mma(problem p, bwd_pass<bf16> c)
{
    constexpr int M = bwd_cut<D, BY_KEY>::m, N = bwd_cut<D, BY_KEY>::n_rows;
    constexpr int ROWS = N_WARPS * 16 * M;
    constexpr int TILES = 2 * ROWS * tile_step(D), TILE = N * tile_step(D); /* [2][y, y2] */
    ATH_SHARED(bf16, shared);
    const query_facts *known = reinterpret_cast<const query_facts *>(shared + TILES + 4 * TILE);
    const tile_ptr mine_at(shared), tiles = mine_at + TILES, known_at = tiles + 4 * TILE;
    const bwd_block b = block_of<D, BY_KEY>(p, c);
    const int64_t n_x = BY_KEY ? p.s : p.t, row0 = b.first + warp_of() * 16 * M;
    const int64_t head = head_at(p, b.head, n_x), at = head + b.first * p.channels;
    gathered<D, M, BY_KEY> a = {};
    int turn = 0;

    fetch_rows<D, ROWS>(mine_at, {c.x + at, c.x2 + at}, p.channels, n_x - b.first);
    copy_commit();
    fetch_passing<D, BY_KEY>(tiles, known_at, p, c, b, b.begin);
    copy_wait<0>();
    __syncthreads();
    side<D, BY_KEY> mine(mine_at, mine_at + TILES / 2);
#pragma unroll
    for (int i = 0; !BY_KEY && i < M * 2; i++)
        mine.rows[i / 2][i % 2] =
            c.known[b.head * p.padded_t + row0 + lane_of() / 4 + i / 2 * 16 + i % 2 * 8];
    for (int64_t y0 = b.begin; y0 < b.end; y0 += N, turn ^= 1) {
        const tile_ptr tile = tiles + turn * 2 * TILE, next = tiles + (turn ^ 1) * 2 * TILE;
        copy_wait<0>();
        __syncthreads(); /* the tile is there, and nobody reads the other one any more */
        fetch_passing<D, BY_KEY>(next, known_at + (turn ^ 1) * N * FACTS, p, c, b, y0 + N);
        if (row0 < n_x)
            gather<D, BY_KEY, N>(a, mine, {tile, tile + TILE, known + turn * N, y0}, p, row0);
    }
    __syncthreads();
    float *stage = reinterpret_cast<float *>(shared) + warp_of() * 16 * (D + 4);
    const int64_t to = head + row0 * p.channels;
    if (row0 >= n_x) return;
    put_sums<D, M>(a.x, goal_of(p, c, b, 0), stage, to, p.channels, n_x - row0);
    if constexpr (BY_KEY)
        put_sums<D, M>(a.x2, goal_of(p, c, b, 1), stage, to, p.channels, n_x - row0);
}

#endif
