/*
 * The exact reduction of a step, and the sharded update that follows it. Gradients of leaves
 * (micro-batches) are summed by the tree of tree.h, so the sum has the same bits on any number of
 * ranks, one included.
 *
 * Each bucket of gradients is cut into one slice a rank, at blocks of ATH_REDUCE_BLOCK numbers. A
 * rank merges the leaves it owns; when its last one is in, the nodes that stand are on their way to
 * the owners of the slices while backward goes on with the next bucket. Each rank finishes the tree
 * of its slices, updates its part of the parameters, and all gather what is new. A ring moves as much.
 *
 * The fast reduction (is_fast) adds a rank's leaves one to the other and leaves the sum over ranks to the
 * library, in the order that it likes: less memory and traffic where ranks have many leaves, but the bits
 * depend on the number of ranks and on the library. All ranks still have the same ones.
 *
 * Of one rank the sums can be work of a device instead (`on`), where the gradients lie and stay: nothing but
 * the norm comes to the host. Bits are the same.
 *
 * Memory per rank: the nodes that stand (one to log2 of its leaves) times the gradients, and the
 * nodes of the others times its slices; of the fast one, the gradients once. Nothing is allocated after
 * creation. One thread at a time; every function but add and the questions is called by all ranks.
 */
#ifndef ATH_DIST_REDUCE_H
#define ATH_DIST_REDUCE_H

#include "kernels/device.h"
#include "kernels/op.h"

enum { ATH_REDUCE_BLOCK = 4096, ATH_REDUCE_LEAVES_MAX = 4096 };

typedef struct ath_reduce ath_reduce;

/* The device whose work sums, with the kernels for it. */
typedef struct ath_reduce_on {
    ath_device *device; /* borrowed until destroy; NULL: the host sums */
    ath_backend backend;
    int32_t n_threads;
} ath_reduce_on;

typedef struct ath_reduce_opts {
    int32_t n_leaves_max; /* the most leaves of a step, over all ranks */
    int32_t n_buckets;
    const int64_t *counts; /* numbers in each bucket; borrowed for the call */
    bool is_fast;
    ath_reduce_on on; /* with one rank alone; else ENOTSUP */
} ath_reduce_opts;

/* Refuses on all ranks what one of them must refuse. */
ATH_MUST ath_err ath_reduce_create(const ath_reduce_opts *opts, ath_reduce **out);
/* Between steps, before ath_dist_finalize. */
void ath_reduce_destroy(ath_reduce **reduce);

/* Begins a step of 1 .. n_leaves_max leaves. */
ATH_MUST ath_err ath_reduce_begin(ath_reduce *reduce, int32_t n_leaves);

/* The leaves [*first, *end) of this step that this rank owns: an even cut in order, maybe none. */
void ath_reduce_leaves(const ath_reduce *reduce, int32_t *first, int32_t *end);

/* A bucket of a leaf of this rank, once. Leaves come in order, buckets in any; `grads` holds the
 * bucket's numbers and is borrowed for the call. After the last leaf the bucket travels. */
ATH_MUST ath_err ath_reduce_add(ath_reduce *reduce, int32_t leaf, int32_t bucket,
                                const float *grads);

/* The same as a hook of a training step (ath_reduce_fn): `context` is the reduction, the leaf is the
 * one set before. The gradients stay as they are. */
ATH_MUST ath_err ath_reduce_set_leaf(ath_reduce *reduce, int32_t leaf);
ATH_MUST ath_err ath_reduce_hook(void *context, int32_t bucket, void *grads, int64_t count);

/* On a device: its work, as a hook (ath_reduce_put_fn). Leaves and buckets come in order; the leaf is set
 * when no work of the one before runs any more. Of the last leaf the gradients become the sums. */
bool ath_reduce_is_on_device(const ath_reduce *reduce);
ATH_MUST ath_err ath_reduce_put(void *context, int32_t bucket, void *grads, int64_t count,
                                ath_stream *stream);
/* What it holds there. */
size_t ath_reduce_device_bytes(const ath_reduce *reduce);

/* The step is not to count, as if a number of its gradient were not finite: for what this rank sees in
 * no gradient. Holds until the next begin. */
void ath_reduce_spoil(ath_reduce *reduce);

/*
 * Ends the step's sums. `err` is this rank's outcome so far: where any rank failed, all get its error
 * (ath_dist_agree), whatever was not added is left out, and the next step may begin. Else `*norm` is
 * the norm of the whole gradient, the same bits everywhere (and for any number of ranks, if exact): not
 * finite if any number of the gradient is not, or any rank spoiled the step.
 */
ATH_MUST ath_err ath_reduce_finish(ath_reduce *reduce, ath_err err, double *norm);

/* The slice of a bucket that this rank owns: numbers [first, first + n) of it, `grad` their sums (where
 * they were summed, on the device), which the callee may change. Never called with n = 0. */
typedef ath_err (*ath_slice_fn)(void *context, int32_t bucket, int64_t first, int64_t n,
                                float *grad);

/* After finish: calls `update` for the slices of this rank, in the order of buckets, and where there are
 * more ranks gathers `values[bucket]`, of which each gives its slice. The first failure of any rank is
 * everybody's. */
ATH_MUST ath_err ath_reduce_update(ath_reduce *reduce, ath_slice_fn update, void *context,
                                   float *const *values);

/* Which slice of a bucket a rank owns: for who keeps optimizer state or saves it. */
void ath_reduce_slice(const ath_reduce *reduce, int32_t bucket, int32_t rank, int64_t *first,
                      int64_t *n);
/* The same of all ranks, as ath_dist_collect wants it; borrowed. */
void ath_reduce_slices(const ath_reduce *reduce, int32_t bucket, const int **first, const int **n);

#endif
