/* What the kernels of attention share: the problem, where a head lies, what backward knows of a query. */
#ifndef ATH_KERNELS_ATTENTION_CUH
#define ATH_KERNELS_ATTENTION_CUH

#include "kernels/launch.cuh"
extern "C" {
#include "kernels/attention.h"
}

#define LOG2E 1.44269504f
#define LN2   0.693147181f

struct problem {
    int64_t t, s;          /* queries and keys of a head */
    int64_t channels;      /* H * D: elements from one row of a head to the next */
    int64_t padded_t;      /* queries of a head in `known` */
    int32_t h, d, n_heads; /* n_heads: of all sequences, N * H */
    bool causal;
    float scale, scale_2; /* scale_2: times log2 e, so that weights are powers of 2 */
};

enum { QUERY_PAD = 128 }; /* padded_t is T up to a multiple of it */

/* What backward wants besides q, k, v: dout, and for each query of `known` [N,H,padded_t] its lse in
 * powers of 2 and delta = dout . o; {inf, 0} past T, so that no key has weight there. */
struct query_facts {
    float lse_2, delta;
};

/* First element of head `head` = n * H + h of an operand with n_rows rows a sequence. */
static __device__ inline int64_t head_at(const problem &p, int64_t head, int64_t n_rows)
{
    return head / p.h * n_rows * p.channels + head % p.h * p.d;
}

/* The keys that a query sees are the first ones: how many. */
static __device__ inline int64_t n_seen(const problem &p, int64_t query)
{
    return p.causal && query + 1 < p.s ? query + 1 : p.s;
}

/* Operands of a pass over one side of the scores. The rows of a block stay (x, x2), those of the other
 * side come by (y, y2):
 *     by query   x = q, x2 = dout, y = k, y2 = v:   to = dq
 *     by key     x = k, x2 = v, y = q, y2 = dout:   to = dk, to2 = dv
 * `to` or `to2` NULL: not wanted. Where n_parts > 1 a block takes one part of the other side, and its
 * sums go to parts[part][which][N,S,H*D] in f32 instead. */
template <class T> struct bwd_pass {
    const T *x, *x2, *y, *y2;
    const query_facts *known;
    T *to, *to2;
    float *parts;
    int32_t n_parts, part_rows;
    bool add, add2;
};

#endif
