/*
 * The tree of leaves: for every number of leaves up to 40 and 1 to 9 ranks, evenly cut and cut at
 * random (empty ranks too), what streaming and finishing give has the bits of the tree as its
 * definition says it; orders that are not the tree's are seen to have other bits.
 */
#include "core/rng.h"
#include "tests/harness.h"
#include "worker/dist/tree.h"

#include <math.h>
#include <stdlib.h>

enum { L_MAX = 40, RANKS_MAX = 9, N = 1031, ROOM = 8 };

static float leaf[L_MAX][N], whole[N];

/* Numbers of many sizes: nearly any other order rounds otherwise somewhere. */
static void fill(void)
{
    for (uint32_t l = 0; l < L_MAX; l++)
        for (uint32_t i = 0; i < N; i++) {
            uint32_t word[4] = {i, l, 0, 0};
            float x[4];
            ath_philox(word, (const uint32_t[2]){7, 0}, word);
            ath_normal4(word, x);
            leaf[l][i] = ldexpf(x[0], (int)(word[3] % 20));
        }
}

/* The definition, word for word. */
static float node(int n_leaves, int level, int j, int i)
{
    if (level == 0) return leaf[j][i];
    const float left = node(n_leaves, level - 1, 2 * j, i);
    const bool has_right = (2 * j + 1) << (level - 1) < n_leaves;
    return has_right ? left + node(n_leaves, level - 1, 2 * j + 1, i) : left;
}

static void define(int n_leaves)
{
    int level = 0;
    while (1 << level < n_leaves) level++;
    for (int i = 0; i < N; i++) whole[i] = node(n_leaves, level, 0, i);
}

/* Streams each rank's leaves, collects what stands, finishes. Every third number comes in pieces. */
static void sum_over(int n_leaves, int size, const int *cut, float *out)
{
    static float part[RANKS_MAX][2 * ROOM][N];
    ath_tree_node nodes[RANKS_MAX * 2 * ROOM];
    const float *parts[RANKS_MAX * 2 * ROOM];
    int n_nodes = 0;

    for (int r = 0; r < size; r++) {
        const int room = ath_tree_room(n_leaves, cut[r], cut[r + 1]);
        CHECK(room <= 2 * ROOM);
        for (int l = cut[r]; l < cut[r + 1]; l++)
            for (int half = 0; half < 2; half++) {
                const int from = half ? N / 3 : 0, to = half ? N : N / 3;
                float *slot[2 * ROOM];
                for (int k = 0; k < room; k++) slot[k] = part[r][k] + from;
                ath_tree_add(n_leaves, cut[r], l, slot, leaf[l] + from, to - from);
            }
        const int n = ath_tree_nodes(n_leaves, cut[r], cut[r + 1], nodes + n_nodes);
        CHECK(n <= room);
        for (int k = 0; k < n; k++) parts[n_nodes + k] = part[r][k];
        n_nodes += n;
    }
    CHECK_OK(ath_tree_finish(n_leaves, n_nodes, nodes, parts, N, out));
}

static int compare(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static void check_cuts(void)
{
    float out[N];
    char name[64];
    int n_empty = 0;

    for (int n_leaves = 1; n_leaves <= L_MAX; n_leaves++) {
        define(n_leaves);
        for (int size = 1; size <= RANKS_MAX; size++)
            for (uint32_t way = 0; way < 4; way++) {
                int cut[RANKS_MAX + 1] = {0};
                for (int r = 0; r <= size; r++) cut[r] = ath_tree_cut(n_leaves, size, r);
                for (int r = 1; way > 0 && r < size; r++) {
                    uint32_t word[4] = {way, (uint32_t)n_leaves, (uint32_t)size, (uint32_t)r};
                    ath_philox(word, (const uint32_t[2]){1, 0}, word);
                    cut[r] = (int)(word[0] % (uint32_t)(n_leaves + 1));
                }
                qsort(cut, (size_t)size + 1, sizeof *cut, compare);
                for (int r = 0; r < size; r++) n_empty += cut[r] == cut[r + 1];
                snprintf(name, sizeof name, "%d leaves, %d ranks, cut %u", n_leaves, size, way);
                ath_test_begin(name);
                CHECK(cut[0] == 0 && cut[size] == n_leaves);
                sum_over(n_leaves, size, cut, out);
                CHECK_BITS(out, whole, sizeof out);
            }
    }
    CHECK(n_empty > 100);
}

/* The sums that a slip would give: all in a row; the counter's rest from its wrong end. */
static void check_other_orders(void)
{
    float row[N], rest[N], four[N];

    ath_test_begin("other orders have other bits");
    for (int n_leaves = 4; n_leaves <= L_MAX; n_leaves++) {
        define(n_leaves);
        memcpy(row, leaf[0], sizeof row);
        for (int l = 1; l < n_leaves; l++)
            for (int i = 0; i < N; i++) row[i] += leaf[l][i];
        CHECK(memcmp(row, whole, sizeof row) != 0);
    }
    define(7);
    for (int i = 0; i < N; i++) {
        four[i] = (leaf[0][i] + leaf[1][i]) + (leaf[2][i] + leaf[3][i]);
        rest[i] = (four[i] + (leaf[4][i] + leaf[5][i])) + leaf[6][i];
        four[i] += (leaf[4][i] + leaf[5][i]) + leaf[6][i];
    }
    CHECK(memcmp(rest, whole, sizeof rest) != 0);
    CHECK_BITS(four, whole, sizeof four);
}

static void check_nodes(void)
{
    ath_tree_node nodes[ATH_TREE_NODES];
    int most = 0;

    ath_test_begin("nodes");
    CHECK_EQ(ath_tree_nodes(7, 0, 7, nodes), 1);
    CHECK(nodes[0].first == 0 && nodes[0].end == 7);
    CHECK_EQ(ath_tree_nodes(7, 3, 7, nodes), 2); /* 3, 4..7: cut off by the end and yet whole */
    CHECK(nodes[0].end == 4 && nodes[1].first == 4 && nodes[1].end == 7);
    CHECK_EQ(ath_tree_nodes(8, 3, 7, nodes), 3);
    CHECK_EQ(ath_tree_nodes(8, 5, 5, nodes), 0);
    CHECK_EQ(ath_tree_nodes(1 << 20, 1, (1 << 20) - 1, nodes), 38);
    CHECK_EQ(ath_tree_room(8, 0, 8), 3);
    CHECK_EQ(ath_tree_room(7, 0, 7), 2); /* leaf 6 is a node of its own and merges at once */
    CHECK_EQ(ath_tree_room(1, 0, 1), 1);
    CHECK_EQ(ath_tree_room(8, 4, 4), 0);
    for (int first = 0; first < 64; first++)
        for (int end = first; end <= 64; end++) {
            const int room = ath_tree_room(64, first, end);
            if (room > most) most = room;
        }
    CHECK_EQ(most, 10); /* 2 (log2 64 - 1) */
}

static void check_refusals(void)
{
    static const ath_tree_node hole[] = {{0, 2}, {3, 4}}, overlap[] = {{0, 2}, {1, 4}},
                               odd[] = {{0, 1}, {1, 3}, {3, 4}}, some[] = {{0, 2}};
    const float *part[3] = {leaf[0], leaf[1], leaf[2]};
    float out[N] = {5};

    ath_test_begin("refusals");
    CHECK_ERR(ath_tree_finish(4, 2, hole, part, N, out), ATH_EINVAL);
    CHECK_HAS(ath_err_text(),
              "part 1 of 2 holds the leaves 3..4, wanted one that begins with leaf 2");
    CHECK_ERR(ath_tree_finish(4, 2, overlap, part, N, out), ATH_EINVAL);
    CHECK_ERR(ath_tree_finish(4, 3, odd, part, N, out), ATH_EINVAL);
    CHECK_HAS(ath_err_text(), "wanted one sum of 4 leaves");
    CHECK_ERR(ath_tree_finish(4, 1, some, part, N, out), ATH_EINVAL);
    CHECK_ERR(ath_tree_finish(4, 0, NULL, part, N, out), ATH_EINVAL);
    CHECK(out[0] == 5);
}

int main(void)
{
    fill();
    check_cuts();
    check_other_orders();
    check_nodes();
    check_refusals();
    return ath_test_end();
}
