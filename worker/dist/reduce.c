#include "worker/dist/reduce.h"

#include "core/mem.h"
#include "core/squares.h"
#include "worker/dist/device_sums.h"
#include "worker/dist/dist.h"
#include "worker/dist/exchange.h"
#include "worker/dist/stage.h"
#include "worker/dist/tree.h"

#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <string.h>

typedef struct bucket {
    int64_t count;
    int64_t part_at; /* in each part */
    int64_t sum_at;  /* of this rank's slice in `sum`, and in each share of `inbox` */
    int *n, *first;  /* [size]: the slices */
    int32_t n_left;  /* leaves of this step still to come */
    bool is_ready;   /* fast: the library may sum it */
} bucket;

struct ath_reduce {
    int32_t rank, size, n_buckets, n_leaves_max;
    bool is_fast;
    int64_t n_params, n_own; /* numbers: of all buckets, in this rank's slices */
    int32_t room, n_inbox;   /* most nodes of this rank; most of all others together */
    bucket *buckets;
    int *slices;        /* where the buckets' n and first lie */
    float **part;       /* [room]: a node of this rank's leaves, all buckets */
    float *parts;       /* the memory of all parts */
    float *inbox;       /* [n_inbox][n_own]: nodes of others, slices of this rank */
    float *sum;         /* [n_own] */
    double *own_square; /* 0, or NaN to spoil the step; of each block of this rank's slices */
    double *square;     /* of all ranks', rank after rank */
    int64_t *square_at; /* [size + 1]: where a rank's begin */
    int64_t *square_next;
    ath_exchange *exchange;
    ath_device_sums *on_device; /* NULL: the host sums, and has all of the above */
    /* of the step */
    bool is_open, is_spoiled;
    int32_t n_leaves, leaf;
    int32_t n_handed; /* fast: buckets that the library sums, in their order */
    int32_t n_nodes, n_mine, n_theirs;
    ath_tree_node *nodes;  /* of all ranks in order */
    int32_t *node_rank;    /* who has it */
    const float **node_at; /* scratch of finishing */
};

static int64_t blocks_of(int64_t n)
{
    return (n + ATH_REDUCE_BLOCK - 1) / ATH_REDUCE_BLOCK;
}

/* Numbers before a rank's slice of `count`. */
static int64_t slice_begin(int64_t count, int32_t size, int32_t rank)
{
    const int64_t at = blocks_of(count) * rank / size * ATH_REDUCE_BLOCK;
    return at < count ? at : count;
}

/* Nodes of a rank's leaves when a step has n_leaves. */
static int32_t nodes_of(int32_t n_leaves, int32_t size, int32_t rank,
                        ath_tree_node out[ATH_TREE_NODES])
{
    return ath_tree_nodes(n_leaves, ath_tree_cut(n_leaves, size, rank),
                          ath_tree_cut(n_leaves, size, rank + 1), out);
}

/* The room for the worst step: parts of this rank, nodes of the others, of all. */
static int32_t measure_room(ath_reduce *r)
{
    ath_tree_node nodes[ATH_TREE_NODES];
    int32_t most = 0;

    for (int32_t n_leaves = 1; n_leaves <= r->n_leaves_max; n_leaves++) {
        const int32_t first = ath_tree_cut(n_leaves, r->size, r->rank);
        const int32_t end = ath_tree_cut(n_leaves, r->size, r->rank + 1);
        const int32_t room = ath_tree_room(n_leaves, first, end);
        int32_t n_all = 0;
        for (int32_t rank = 0; rank < r->size; rank++)
            n_all += nodes_of(n_leaves, r->size, rank, nodes);
        const int32_t n_theirs = n_all - ath_tree_nodes(n_leaves, first, end, nodes);
        if (room > r->room) r->room = room;
        if (n_theirs > r->n_inbox) r->n_inbox = n_theirs;
        if (n_all > most) most = n_all;
    }
    if (r->is_fast) r->room = 1, r->n_inbox = 0;
    return most;
}

static void cut_bucket(ath_reduce *r, bucket *b, int *slices)
{
    b->part_at = r->n_params;
    b->sum_at = r->n_own;
    b->n = slices;
    b->first = slices + r->size;
    for (int32_t rank = 0; rank < r->size; rank++) {
        const int64_t first = slice_begin(b->count, r->size, rank);
        b->first[rank] = (int)first;
        b->n[rank] = (int)(slice_begin(b->count, r->size, rank + 1) - first);
        r->square_at[rank + 1] += blocks_of(b->n[rank]);
    }
    r->n_params += b->count;
    r->n_own += b->n[r->rank];
}

static ath_err make_buckets(ath_reduce *r, const ath_reduce_opts *opts)
{
    ATH_TRY(ATH_NEW(r->n_buckets, "buckets", &r->buckets));
    ATH_TRY(ATH_NEW((int64_t)r->n_buckets * r->size * 2, "slices", &r->slices));
    ATH_TRY(ATH_NEW(r->size + 1, "squares of ranks", &r->square_at));
    ATH_TRY(ATH_NEW(r->size, "squares of ranks", &r->square_next));
    for (int32_t i = 0; i < r->n_buckets; i++) {
        bucket *b = &r->buckets[i];
        b->count = opts->counts[i];
        ATH_NEED(0 < b->count && b->count <= INT_MAX, ATH_ELIMIT,
                 "reduction: bucket %d has %" PRId64 " numbers, wanted 1..%d; cut smaller buckets",
                 i, b->count, INT_MAX);
        cut_bucket(r, b, r->slices + (int64_t)i * r->size * 2);
    }
    for (int32_t rank = 0; rank < r->size; rank++) r->square_at[rank + 1] += r->square_at[rank] + 1;
    return ATH_OK;
}

static ath_err fill(ath_reduce *r, const ath_reduce_opts *opts)
{
    ATH_NEED(1 <= r->n_leaves_max && r->n_leaves_max <= ATH_REDUCE_LEAVES_MAX, ATH_EINVAL,
             "reduction: %d micro-batches in a step, wanted 1..%d; take larger micro-batches",
             r->n_leaves_max, ATH_REDUCE_LEAVES_MAX);
    ATH_NEED(r->n_buckets > 0, ATH_EINVAL, "reduction: %d buckets, wanted one or more",
             r->n_buckets);
    ATH_TRY(make_buckets(r, opts));
    ATH_NEED(!opts->on.device || r->size == 1, ATH_ENOTSUP,
             "reduction: %d ranks over a device's memory, wanted one", r->size);
    if (opts->on.device) return ath_device_sums_create(opts, &r->on_device);
    const int32_t n_nodes = measure_room(r);
    ATH_TRY(ATH_NEW(r->room, "parts", &r->part));
    ATH_TRY(ATH_NEW(r->room * r->n_params, "sums of micro-batches", &r->parts));
    for (int32_t k = 0; k < r->room; k++) r->part[k] = r->parts + k * r->n_params;
    ATH_TRY(ATH_NEW(r->n_inbox * r->n_own, "sums of other ranks", &r->inbox));
    ATH_TRY(ATH_NEW(r->n_own, "summed gradients", &r->sum));
    ATH_TRY(ATH_NEW(r->square_at[r->rank + 1] - r->square_at[r->rank], "squares", &r->own_square));
    ATH_TRY(ATH_NEW(r->square_at[r->size], "squares", &r->square));
    ATH_TRY(ATH_NEW(n_nodes, "nodes", &r->nodes));
    ATH_TRY(ATH_NEW(n_nodes, "owners of nodes", &r->node_rank));
    return ATH_NEW(n_nodes, "places of nodes", &r->node_at);
}

static ath_err make_exchange(ath_reduce *r)
{
    const int64_t n = r->n_buckets;
    const ath_exchange_opts opts = {.n_in = n * r->n_inbox,
                                    .n_out = r->is_fast ? 0 : n * r->room * (r->size - 1),
                                    .n_gathers = n,
                                    .n_sums = r->is_fast ? n : 0,
                                    .n_tags = r->n_buckets};

    return r->on_device ? ATH_OK : ath_exchange_create(&opts, &r->exchange);
}

ath_err ath_reduce_create(const ath_reduce_opts *opts, ath_reduce **out)
{
    ath_reduce *r = NULL;
    ath_err err = ATH_NEW(1, "reduction", &r);

    if (!err) {
        r->rank = ath_dist_rank();
        r->size = ath_dist_size();
        r->n_leaves_max = opts->n_leaves_max;
        r->n_buckets = opts->n_buckets;
        r->is_fast = opts->is_fast;
        err = fill(r, opts);
    }
    ATH_TRY_OUT(ath_dist_agree(err));
    ATH_TRY_OUT(make_exchange(r));
out:
    if (err)
        ath_reduce_destroy(&r);
    else
        *out = r;
    return err;
}

void ath_reduce_destroy(ath_reduce **reduce)
{
    ath_reduce *r = *reduce;

    if (!r) return;
    ath_exchange_destroy(&r->exchange);
    ath_device_sums_destroy(&r->on_device);
    ath_mem_free(&r->node_at);
    ath_mem_free(&r->node_rank);
    ath_mem_free(&r->nodes);
    ath_mem_free(&r->square_next);
    ath_mem_free(&r->square_at);
    ath_mem_free(&r->square);
    ath_mem_free(&r->own_square);
    ath_mem_free(&r->sum);
    ath_mem_free(&r->inbox);
    ath_mem_free(&r->parts);
    ath_mem_free(&r->part);
    ath_mem_free(&r->slices);
    ath_mem_free(&r->buckets);
    ath_mem_free(reduce);
}

void ath_reduce_leaves(const ath_reduce *r, int32_t *first, int32_t *end)
{
    *first = ath_tree_cut(r->n_leaves, r->size, r->rank);
    *end = ath_tree_cut(r->n_leaves, r->size, r->rank + 1);
}

/* The i-th node of the others, as it comes for a slice of this rank. */
static float *inbox_of(const ath_reduce *r, const bucket *b, int32_t i)
{
    return r->inbox + i * r->n_own + b->sum_at;
}

static ath_err receive(ath_reduce *r, int32_t i_bucket)
{
    const bucket *b = &r->buckets[i_bucket];
    int32_t i_in = 0;

    for (int32_t k = 0; b->n[r->rank] > 0 && k < r->n_nodes; k++) {
        if (r->node_rank[k] == r->rank) continue;
        ATH_TRY(ath_exchange_receive(r->exchange, (int64_t)i_bucket * r->n_inbox + i_in,
                                     (ath_peer){r->node_rank[k], i_bucket}, inbox_of(r, b, i_in),
                                     b->n[r->rank]));
        i_in++;
    }
    return ATH_OK;
}

/* The nodes of a bucket, to the owners of its slices. Each rank begins with its neighbour, so that
 * not all send to the same one. */
static ath_err send(ath_reduce *r, int32_t i_bucket)
{
    const bucket *b = &r->buckets[i_bucket];

    for (int32_t step = 1; step < r->size; step++) {
        const int32_t to = (r->rank + step) % r->size;
        for (int32_t k = 0; b->n[to] > 0 && k < r->n_mine; k++)
            ATH_TRY(ath_exchange_send(
                r->exchange, ((int64_t)i_bucket * r->room + k) * (r->size - 1) + step - 1,
                (ath_peer){to, i_bucket}, r->part[k] + b->part_at + b->first[to], b->n[to]));
    }
    return ATH_OK;
}

/* A bucket has all leaves of this rank. Ranks must begin the library's sums in one order. */
static ath_err hand_over(ath_reduce *r, int32_t i_bucket)
{
    if (!r->is_fast) return send(r, i_bucket);
    r->buckets[i_bucket].is_ready = true;
    for (; r->n_handed < r->n_buckets && r->buckets[r->n_handed].is_ready; r->n_handed++) {
        const bucket *b = &r->buckets[r->n_handed];
        ATH_TRY(ath_exchange_sum(r->exchange, r->n_handed, r->parts + b->part_at, b->n,
                                 r->sum + b->sum_at));
    }
    return ATH_OK;
}

/* No leaf of this rank: it has nothing to send, but takes part in the library's sums. */
static ath_err hand_over_zeros(ath_reduce *r)
{
    memset(r->parts, 0, (size_t)r->n_params * sizeof *r->parts);
    for (int32_t i = 0; i < r->n_buckets; i++) ATH_TRY(hand_over(r, i));
    return ATH_OK;
}

ath_err ath_reduce_begin(ath_reduce *r, int32_t n_leaves)
{
    int32_t first = 0, end = 0;

    ATH_ASSERT(!r->is_open);
    ATH_NEED(1 <= n_leaves && n_leaves <= r->n_leaves_max, ATH_EINVAL,
             "reduction: a step of %d micro-batches, wanted 1..%d", n_leaves, r->n_leaves_max);
    r->n_leaves = n_leaves;
    r->is_open = true;
    r->is_spoiled = false;
    if (r->on_device) {
        ath_device_sums_begin(r->on_device, n_leaves);
        return ATH_OK;
    }
    r->n_nodes = r->n_mine = 0;
    for (int32_t rank = 0; rank < r->size; rank++) {
        ath_tree_node nodes[ATH_TREE_NODES];
        const int32_t n = nodes_of(n_leaves, r->size, rank, nodes);
        memcpy(r->nodes + r->n_nodes, nodes, (size_t)n * sizeof *nodes);
        for (int32_t k = 0; k < n; k++) r->node_rank[r->n_nodes + k] = rank;
        r->n_nodes += n;
        if (rank == r->rank) r->n_mine = n;
    }
    r->n_theirs = r->n_nodes - r->n_mine;
    ath_reduce_leaves(r, &first, &end);
    r->leaf = first;
    r->n_handed = 0;
    for (int32_t i = 0; i < r->n_buckets; i++) {
        r->buckets[i].n_left = end - first;
        r->buckets[i].is_ready = false;
        if (!r->is_fast) ATH_TRY(receive(r, i));
    }
    return r->is_fast && first == end ? hand_over_zeros(r) : ATH_OK;
}

/* In the order of leaves, from the first on. */
static void add_plain(float *sum, const float *x, int64_t n, bool is_first)
{
    if (is_first)
        memcpy(sum, x, (size_t)n * sizeof *sum);
    else
        for (int64_t i = 0; i < n; i++) sum[i] += x[i];
}

ath_err ath_reduce_add(ath_reduce *r, int32_t leaf, int32_t i_bucket, const float *grads)
{
    int32_t first = 0, end = 0;
    float *part[ATH_TREE_NODES];

    ATH_ASSERT(r->is_open);
    ath_stage_bucket(i_bucket);
    ath_reduce_leaves(r, &first, &end);
    ATH_NEED(0 <= i_bucket && i_bucket < r->n_buckets, ATH_EINVAL, "reduction: bucket %d of %d",
             i_bucket, r->n_buckets);
    bucket *b = &r->buckets[i_bucket];
    ATH_NEED(b->n_left > 0 && leaf == end - b->n_left, ATH_EINVAL,
             "reduction: micro-batch %d of bucket %d, wanted %d of this rank's %d..%d", leaf,
             i_bucket, end - b->n_left, first, end);
    for (int32_t k = 0; k < r->room; k++) part[k] = r->part[k] + b->part_at;
    if (r->is_fast)
        add_plain(part[0], grads, b->count, leaf == first);
    else
        ath_tree_add(r->n_leaves, first, leaf, part, grads, b->count);
    if (--b->n_left == 0) ATH_TRY(hand_over(r, i_bucket));
    return ath_exchange_poll(r->exchange);
}

ath_err ath_reduce_set_leaf(ath_reduce *r, int32_t leaf)
{
    r->leaf = leaf;
    return r->on_device ? ath_device_sums_set_leaf(r->on_device, leaf) : ATH_OK;
}

static ath_err check_count(const ath_reduce *r, int32_t i_bucket, int64_t count)
{
    ATH_NEED(i_bucket < r->n_buckets && count == r->buckets[i_bucket].count, ATH_ESHAPE,
             "reduction: bucket %d has %" PRId64 " numbers, wanted %" PRId64, i_bucket, count,
             i_bucket < r->n_buckets ? r->buckets[i_bucket].count : 0);
    return ATH_OK;
}

ath_err ath_reduce_hook(void *context, int32_t i_bucket, void *grads, int64_t count)
{
    ath_reduce *r = context;

    ATH_TRY(check_count(r, i_bucket, count));
    return ath_reduce_add(r, r->leaf, i_bucket, grads);
}

bool ath_reduce_is_on_device(const ath_reduce *r)
{
    return r->on_device != NULL;
}

ath_err ath_reduce_put(void *context, int32_t i_bucket, void *grads, int64_t count,
                       ath_stream *stream)
{
    const ath_reduce *r = context;

    ATH_TRY(check_count(r, i_bucket, count));
    return ath_device_sums_put(r->on_device, i_bucket, grads, stream);
}

size_t ath_reduce_device_bytes(const ath_reduce *r)
{
    return r->on_device ? ath_device_sums_bytes(r->on_device) : 0;
}

void ath_reduce_spoil(ath_reduce *r)
{
    r->is_spoiled = true;
}

static ath_err finish_tree(ath_reduce *r, int32_t i_bucket)
{
    const bucket *b = &r->buckets[i_bucket];
    int32_t i_in = 0, i_part = 0;

    ATH_TRY(ath_exchange_wait_in(r->exchange, (int64_t)i_bucket * r->n_inbox, r->n_theirs));
    for (int32_t k = 0; k < r->n_nodes; k++)
        r->node_at[k] = r->node_rank[k] == r->rank
                            ? r->part[i_part++] + b->part_at + b->first[r->rank]
                            : inbox_of(r, b, i_in++);
    return ath_tree_finish(r->n_leaves, r->n_nodes, r->nodes, r->node_at, b->n[r->rank],
                           r->sum + b->sum_at);
}

/* Sums this rank's slice of a bucket and writes the squares of its blocks. */
static ath_err finish_bucket(ath_reduce *r, int32_t i_bucket, double **square)
{
    const bucket *b = &r->buckets[i_bucket];
    const int64_t n = b->n[r->rank];
    const float *sum = r->sum + b->sum_at;

    ath_stage_bucket(i_bucket);
    if (r->is_fast)
        ATH_TRY(ath_exchange_wait_sum(r->exchange, i_bucket));
    else if (n > 0)
        ATH_TRY(finish_tree(r, i_bucket));
    for (int64_t at = 0; at < n; at += ATH_REDUCE_BLOCK)
        *(*square)++ =
            sum_of_squares(sum + at, n - at < ATH_REDUCE_BLOCK ? n - at : ATH_REDUCE_BLOCK);
    return ATH_OK;
}

/* All blocks in the order of the gradient, whoever summed them; and what a rank spoils. */
static double add_squares(ath_reduce *r)
{
    double sum = 0;

    memcpy(r->square_next, r->square_at, (size_t)r->size * sizeof *r->square_at);
    for (int32_t rank = 0; rank < r->size; rank++) sum += r->square[r->square_next[rank]++];
    for (int32_t i = 0; i < r->n_buckets; i++)
        for (int32_t rank = 0; rank < r->size; rank++)
            for (int64_t k = blocks_of(r->buckets[i].n[rank]); k > 0; k--)
                sum += r->square[r->square_next[rank]++];
    return sum;
}

static ath_err finish_on_device(ath_reduce *r, ath_err err, double *norm)
{
    double norm2 = 0;

    ATH_TRY(err);
    ATH_TRY(ath_device_sums_read(r->on_device, &norm2));
    *norm = r->is_spoiled ? (double)NAN : sqrt(norm2);
    return ATH_OK;
}

ath_err ath_reduce_finish(ath_reduce *r, ath_err err, double *norm)
{
    double *square = r->own_square;

    ATH_ASSERT(r->is_open);
    ath_stage_enter(ATH_STAGE_REDUCE);
    r->is_open = false;
    if (r->on_device) return finish_on_device(r, err, norm);
    *square++ = r->is_spoiled ? (double)NAN : 0;
    /* A rank that failed sends what it has: the others wait for it, and nothing stays in flight. */
    for (int32_t i = 0; i < r->n_buckets; i++) {
        bucket *b = &r->buckets[i];
        if (b->n_left == 0) continue;
        if (!err)
            err = ath_raise(ATH_EINVAL, "reduction: bucket %d still wants %d micro-batches", i,
                            b->n_left);
        ATH_TRY(hand_over(r, i));
    }
    for (int32_t i = 0; i < r->n_buckets; i++) ATH_TRY(finish_bucket(r, i, &square));
    ATH_TRY(ath_exchange_wait_out(r->exchange));
    ATH_TRY(ath_dist_agree(err));
    ATH_TRY(
        ath_dist_gather(r->own_square, square - r->own_square, r->square, r->square_at[r->size]));
    *norm = sqrt(add_squares(r));
    return ATH_OK;
}

static ath_err update_on_device(ath_reduce *r, ath_slice_fn update, void *context)
{
    for (int32_t i = 0; i < r->n_buckets; i++)
        ATH_TRY(update(context, i, 0, r->buckets[i].count, ath_device_sums_of(r->on_device, i)));
    return ATH_OK;
}

ath_err ath_reduce_update(ath_reduce *r, ath_slice_fn update, void *context, float *const *values)
{
    ath_err err = ATH_OK;

    if (r->on_device) return update_on_device(r, update, context);
    for (int32_t i = 0; i < r->n_buckets; i++) {
        bucket *b = &r->buckets[i];
        const int64_t n = b->n[r->rank];
        if (!err && n > 0) err = update(context, i, b->first[r->rank], n, r->sum + b->sum_at);
        ATH_TRY(ath_exchange_gather(r->exchange, i, values[i], b->n, b->first));
    }
    ATH_TRY(ath_exchange_wait_gathers(r->exchange));
    return ath_dist_agree(err);
}

void ath_reduce_slice(const ath_reduce *r, int32_t i_bucket, int32_t rank, int64_t *first,
                      int64_t *n)
{
    *first = r->buckets[i_bucket].first[rank];
    *n = r->buckets[i_bucket].n[rank];
}

void ath_reduce_slices(const ath_reduce *r, int32_t i_bucket, const int **first, const int **n)
{
    *first = r->buckets[i_bucket].first;
    *n = r->buckets[i_bucket].n;
}
