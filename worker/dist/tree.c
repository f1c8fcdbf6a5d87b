#include "worker/dist/tree.h"

#include <string.h>

/* Numbers at a time: sums of a piece stay in the nearest cache. */
enum { PIECE = 512, DEPTH = 24 };

int32_t ath_tree_cut(int32_t n_leaves, int32_t size, int32_t rank)
{
    return (int32_t)((int64_t)n_leaves * rank / size);
}

/* Whether two neighbours are the halves of one node. */
static bool is_pair(int32_t n_leaves, ath_tree_node left, ath_tree_node right)
{
    const int32_t width = left.end - left.first;

    if (left.end != right.first || (width & (width - 1)) != 0) return false;
    if (left.first % (2 * width) != 0) return false;
    const int32_t end = left.first + 2 * width;
    return right.end == (end < n_leaves ? end : n_leaves);
}

/* Puts a node behind those that stand and merges while two are halves of one; returns how many were
 * merged into it. */
static int32_t push(int32_t n_leaves, ath_tree_node *stack, int32_t *n, ath_tree_node node)
{
    int32_t n_merged = 0;

    while (*n > 0 && is_pair(n_leaves, stack[*n - 1], node)) {
        node.first = stack[--*n].first;
        n_merged++;
    }
    stack[(*n)++] = node;
    return n_merged;
}

int32_t ath_tree_nodes(int32_t n_leaves, int32_t first, int32_t end,
                       ath_tree_node out[ATH_TREE_NODES])
{
    int32_t n = 0;

    ATH_ASSERT(0 <= first && end <= n_leaves && n_leaves <= ATH_LEAVES_MAX);
    for (int32_t at = first; at < end;) {
        int32_t width = 1, stop = at + 1;
        /* twice as wide while that is a node too and lies inside; a node that the end of the leaves
         * cuts off is whole */
        while (at % (2 * width) == 0 && at + width < n_leaves) {
            const int32_t wider = at + 2 * width < n_leaves ? at + 2 * width : n_leaves;
            if (wider > end) break;
            width *= 2;
            stop = wider;
        }
        ATH_ASSERT(n < ATH_TREE_NODES);
        out[n++] = (ath_tree_node){at, stop};
        at = stop;
    }
    return n;
}

int32_t ath_tree_room(int32_t n_leaves, int32_t first, int32_t end)
{
    ath_tree_node stack[ATH_TREE_NODES];
    int32_t n = 0, most = 0;

    for (int32_t leaf = first; leaf < end; leaf++) {
        push(n_leaves, stack, &n, (ath_tree_node){leaf, leaf + 1});
        if (n > most) most = n;
    }
    return most;
}

void ath_tree_add(int32_t n_leaves, int32_t first, int32_t leaf, float *const *part, const float *x,
                  int64_t n)
{
    ath_tree_node stack[ATH_TREE_NODES];
    int32_t n_before = ath_tree_nodes(n_leaves, first, leaf, stack), n_after = n_before;
    float sum[PIECE];

    push(n_leaves, stack, &n_after, (ath_tree_node){leaf, leaf + 1});
    if (n_after > n_before) {
        memcpy(part[n_before], x, (size_t)n * sizeof *x);
        return;
    }
    for (int64_t at = 0; at < n; at += PIECE) {
        const int64_t count = n - at < PIECE ? n - at : PIECE;
        memcpy(sum, x + at, (size_t)count * sizeof *x);
        for (int32_t k = n_before - 1; k >= n_after - 1; k--) {
            const float *left = part[k] + at;
            for (int64_t i = 0; i < count; i++) sum[i] = left[i] + sum[i];
        }
        memcpy(part[n_after - 1] + at, sum, (size_t)count * sizeof *x);
    }
}

/* Refuses what is not a cover, so that finishing ends with one sum. */
static ath_err check_cover(int32_t n_leaves, int32_t n_nodes, const ath_tree_node *nodes)
{
    ath_tree_node stack[DEPTH];
    int32_t n = 0, at = 0;

    for (int32_t i = 0; i < n_nodes; i++) {
        ATH_NEED(nodes[i].first == at && nodes[i].end > at && n < DEPTH, ATH_EINVAL,
                 "tree: part %d of %d holds the leaves %d..%d, wanted one that begins with leaf %d",
                 i, n_nodes, nodes[i].first, nodes[i].end, at);
        at = nodes[i].end;
        push(n_leaves, stack, &n, nodes[i]);
    }
    ATH_NEED(n == 1 && at == n_leaves, ATH_EINVAL,
             "tree: %d parts make %d sums up to leaf %d, wanted one sum of %d leaves", n_nodes, n,
             at, n_leaves);
    return ATH_OK;
}

ath_err ath_tree_finish(int32_t n_leaves, int32_t n_nodes, const ath_tree_node *nodes,
                        const float *const *part, int64_t n, float *out)
{
    ath_tree_node stack[DEPTH];
    float sum[DEPTH][PIECE];

    ATH_TRY(check_cover(n_leaves, n_nodes, nodes));
    for (int64_t at = 0; at < n; at += PIECE) {
        const int64_t count = n - at < PIECE ? n - at : PIECE;
        int32_t depth = 0;
        for (int32_t k = 0; k < n_nodes; k++) {
            memcpy(sum[depth], part[k] + at, (size_t)count * sizeof **sum);
            const int32_t from = depth;
            push(n_leaves, stack, &depth, nodes[k]);
            /* depth - 1 is where the merged sum stands */
            for (int32_t left = from - 1; left >= depth - 1; left--)
                for (int64_t i = 0; i < count; i++) sum[left][i] = sum[left][i] + sum[left + 1][i];
        }
        memcpy(out + at, sum[0], (size_t)count * sizeof *out);
    }
    return ATH_OK;
}
