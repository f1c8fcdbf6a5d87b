/*
 * Compiling a net into a step program: a few passes over arrays. The plan is pure data: it holds no
 * device memory, can be printed, hashed and compared, and never changes once made. exec.h runs it.
 *
 *     wanted    which values need a gradient
 *     schedule  forward as recorded; backward in reverse, regions recomputed where it enters them
 *     prune     drop steps whose results nobody reads
 *     bind      backend, algorithm and scratch of each step
 *     buckets   trainable gradients in order of their last write, cut at a size
 *     lives     first and last step of each buffer
 *     place     largest first at the lowest offset free for the whole life, ties by number
 *     hash      over all of the above
 */
#ifndef ATH_GRAPH_PLAN_H
#define ATH_GRAPH_PLAN_H

#include "core/hash.h"
#include "worker/graph/net.h"

typedef struct ath_plan ath_plan;

typedef struct ath_plan_opts {
    ath_backend backend;
    int32_t n_threads;   /* per rank, part of the recipe and of the hash; 0: 1 */
    bool recompute;      /* compute marked regions again instead of keeping their insides */
    bool no_sharing;     /* planner off: every buffer has bytes of its own */
    size_t bucket_bytes; /* a gradient bucket is cut at this size; 0: 25 MiB */
    float max_norm;      /* gradient clipping by the global norm; 0: none */
    bool update;         /* append clipping and AdamW steps */
    double beta1, beta2; /* AdamW; 0: 0.9, 0.999 */
    float eps;           /* 0: 1e-8 */
} ath_plan_opts;

/* Compiles. The net may be destroyed afterwards. Refuses with the latched error of the net, or with
 * the node's path, what was found and what was wanted. */
ATH_MUST ath_err ath_plan_create(const ath_net *net, const ath_plan_opts *opts, ath_plan **out);
void ath_plan_destroy(ath_plan **plan);

typedef struct ath_plan_stats {
    int32_t n_steps, n_buckets, n_params, n_frozen;
    size_t arena_bytes;    /* activations, gradients of activations, scratch */
    size_t arena_floor;    /* the most bytes alive at one step: no placement can do better */
    size_t unshared_bytes; /* the same without sharing */
    size_t param_bytes;    /* trainable parameters (the same again for gradients and each moment) */
    size_t frozen_bytes, packed_bytes;
    double flop; /* useful operations of one run */
} ath_plan_stats;
ath_plan_stats ath_plan_get_stats(const ath_plan *plan);

ath_hash ath_plan_get_hash(const ath_plan *plan);

/* The tables for people: nodes, steps with backend, algorithm, bytes, offsets and lives, buckets,
 * totals. */
void ath_plan_explain(const ath_plan *plan, ath_str *to);

/* Trainable and frozen parameters. Trainables are in bucket order, their offsets in elements of the
 * slab. Names are valid until the plan is destroyed. */
typedef struct ath_plan_param {
    const char *name;
    ath_desc desc;
    int64_t offset; /* trainable: in the slab, in elements */
    int32_t bucket; /* trainable: which; frozen: -1 */
} ath_plan_param;
int32_t ath_plan_trainables(const ath_plan *plan, const ath_plan_param **out);
int32_t ath_plan_frozen(const ath_plan *plan, const ath_plan_param **out);

/* The elements of the slab in bucket i of stats' n_buckets, from *first on: what ath_reduce_fn gets,
 * with the gaps between parameters, whose gradients are zeros. Returns how many. */
int64_t ath_plan_bucket_span(const ath_plan *plan, int32_t i, int64_t *first);

#endif
