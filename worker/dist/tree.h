/*
 * The fixed order of a sum over leaves (the micro-batches of a step): one binary tree over their
 * index, whoever owns them. A node of level k holds the leaves [j 2^k, (j + 1) 2^k), cut off at the
 * number of leaves; its value is its left half plus its right half, or the left half alone where the
 * right one is empty. So five leaves are ((0 + 1) + (2 + 3)) + 4.
 *
 * Leaves of a rank arrive one after the other and are merged as a binary counter carries; what stays
 * are whole nodes, at most 2 log2 of the leaves. Pure arithmetic: no memory of its own, no
 * communication, the same bits for every cut into ranks. Any thread.
 */
#ifndef ATH_DIST_TREE_H
#define ATH_DIST_TREE_H

#include "core/err.h"

enum {
    ATH_LEAVES_MAX = 1 << 20,
    ATH_TREE_NODES = 40 /* most nodes of a run of leaves: 2 (20 levels - 1), and two to spare */
};

/* The leaves [first, end) of a node of the tree. */
typedef struct ath_tree_node {
    int32_t first, end;
} ath_tree_node;

/* The first leaf of a rank when `n_leaves` are dealt out evenly in contiguous runs; for rank = size
 * it is n_leaves. Runs differ by one leaf at most and may be empty. */
int32_t ath_tree_cut(int32_t n_leaves, int32_t size, int32_t rank);

/* The largest whole nodes that make up the leaves [first, end), in order; returns how many. */
int32_t ath_tree_nodes(int32_t n_leaves, int32_t first, int32_t end,
                       ath_tree_node out[ATH_TREE_NODES]);

/* The most nodes that ever stand side by side while the leaves [first, end) arrive: how many buffers
 * ath_tree_add wants. */
int32_t ath_tree_room(int32_t n_leaves, int32_t first, int32_t end);

/*
 * Adds `leaf` to a run that began with leaf `first`; the leaves before it are in. `part[k]` is the
 * buffer of the k-th node that stands (ath_tree_nodes of [first, leaf) tells which); afterwards those
 * of [first, leaf + 1) stand. `n` numbers each; any piece of a gradient may be added on its own.
 */
void ath_tree_add(int32_t n_leaves, int32_t first, int32_t leaf, float *const *part, const float *x,
                  int64_t n);

/*
 * The whole sum: `nodes` cover all leaves in order without hole or overlap, `part[i]` holds the value
 * of node i. `out` may be one of the parts. ATH_EINVAL where the nodes are not such a cover.
 */
ATH_MUST ath_err ath_tree_finish(int32_t n_leaves, int32_t n_nodes, const ath_tree_node *nodes,
                                 const float *const *part, int64_t n, float *out);

#endif
