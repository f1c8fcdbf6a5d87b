/*
 * Ranks together: errors of one are everybody's, numbers are gathered, and the exact reduction gives
 * sums, norms and updated parameters with the bits of the tree's definition on any number of ranks;
 * a number that is not finite, and a rank that says so, are known to all;
 * a rank that fails in the midst of a step leaves nothing in flight. The fast one gives the same sums
 * within rounding, and equal bits on all ranks.
 *
 *     test_dist RANKS     starts itself RANKS times; rank 0 writes a digest that must not depend on
 *                         RANKS (run.sh compares)
 */
#include "core/hash.h"
#include "core/mem.h"
#include "core/rng.h"
#include "tests/harness.h"
#include "worker/dist/dist.h"
#include "worker/dist/reduce.h"

#include <math.h>
#include <stdlib.h>

enum { L_MAX = 21, N_BUCKETS = 5, N_ALL = 1 + 4095 + 4096 + 10000 + 50001 };

static const int64_t counts[N_BUCKETS] = {50001, 1, 4096, 10000, 4095};
static float leaf[L_MAX][N_ALL], want[N_ALL], value[N_ALL], before[N_ALL];
static double norms[2 * L_MAX];
static bool is_fast; /* the reduction at hand */

static int64_t bucket_at(int bucket)
{
    int64_t at = 0;
    for (int i = 0; i < bucket; i++) at += counts[i];
    return at;
}

static void fill(void)
{
    for (uint32_t l = 0; l < L_MAX; l++)
        for (uint32_t i = 0; i < N_ALL; i++) {
            uint32_t word[4] = {i, l, 0, 0};
            ath_philox(word, (const uint32_t[2]){3, 0}, word);
            leaf[l][i] = ldexpf(ath_uniform_f32(word[0]) - 0.5f, (int)(word[1] % 16));
        }
}

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
    for (int i = 0; i < N_ALL; i++) want[i] = node(n_leaves, level, 0, i);
}

/* Runs the leaves of this rank, but those from `stop` on. */
static ath_err run_leaves(ath_reduce *r, int stop)
{
    int first = 0, end = 0;

    ath_reduce_leaves(r, &first, &end);
    for (int l = first; l < end; l++) {
        ATH_NEED(l < stop, ATH_EIO, "micro-batch %d: the disk is on fire", l);
        CHECK_OK(ath_reduce_set_leaf(r, l));
        for (int b = N_BUCKETS - 1; b >= 0; b--)
            ATH_TRY(ath_reduce_hook(r, b, leaf[l] + bucket_at(b), counts[b]));
    }
    return ATH_OK;
}

typedef struct descent {
    float rate;
    int fails_at; /* bucket; -1: never */
} descent;

static ath_err descend(void *context, int32_t bucket, int64_t first, int64_t n, float *grad)
{
    const descent *d = context;

    ATH_NEED(bucket != d->fails_at, ATH_ENAN, "bucket %d: no way down", bucket);
    float *v = value + bucket_at(bucket) + first;
    for (int64_t i = 0; i < n; i++) v[i] -= d->rate * grad[i];
    return ATH_OK;
}

/* Within rounding of what is wanted, and the same bits on all ranks. */
static void check_about(int n_leaves)
{
    const ath_hash h = ath_hash_of(value, sizeof value);
    double all[4], own = (double)(uint32_t)h.lo;
    int n_wrong = 0;

    for (int i = 0; i < N_ALL; i++) {
        float scale = fabsf(before[i]);
        for (int l = 0; l < n_leaves; l++) scale += fabsf(leaf[l][i]);
        n_wrong += !(fabsf(value[i] - want[i]) <= 4e-6f * scale);
    }
    CHECK_EQ(n_wrong, 0);
    ATH_ASSERT(ath_dist_size() <= 4);
    CHECK_OK(ath_dist_gather(&own, 1, all, ath_dist_size()));
    for (int k = 0; k < ath_dist_size(); k++) CHECK(all[k] == own);
}

static void check_step(ath_reduce *r, int n_leaves)
{
    float *values[N_BUCKETS];
    double norm = -1, sum = 0;
    char name[32];

    snprintf(name, sizeof name, "%d leaves", n_leaves);
    ath_test_begin(name);
    define(n_leaves);
    for (int b = 0; b < N_BUCKETS; b++) values[b] = value + bucket_at(b);
    memcpy(before, value, sizeof before);
    CHECK_OK(ath_reduce_begin(r, n_leaves));
    ath_err err = run_leaves(r, n_leaves);
    CHECK_OK(ath_reduce_finish(r, err, &norm));
    CHECK_OK(ath_reduce_update(r, descend, &(descent){0.125f, -1}, values));
    for (int i = 0; i < N_ALL; i++) {
        sum += (double)want[i] * (double)want[i];
        want[i] = before[i] - 0.125f * want[i];
    }
    if (is_fast)
        check_about(n_leaves);
    else
        CHECK_BITS(value, want, sizeof want);
    CHECK_NEAR(norm / sqrt(sum), 1, is_fast ? 1e-6 : 1e-13);
    norms[n_leaves - 1] = norm;
}

/* The slices of all ranks tile each bucket, cut at blocks. */
static void check_slices(const ath_reduce *r)
{
    ath_test_begin("slices");
    for (int b = 0; b < N_BUCKETS; b++) {
        int64_t at = 0, first = 0, n = 0;
        for (int rank = 0; rank < ath_dist_size(); rank++) {
            ath_reduce_slice(r, b, rank, &first, &n);
            CHECK_EQ(first, at);
            CHECK(first % ATH_REDUCE_BLOCK == 0 || n == 0);
            at += n;
        }
        CHECK_EQ(at, counts[b]);
    }
}

static void check_not_finite(ath_reduce *r)
{
    double norm = 0;
    const float kept = leaf[L_MAX - 1][60000];

    ath_test_begin("not finite");
    for (int k = 0; k < 2; k++) {
        leaf[L_MAX - 1][60000] = k ? NAN : INFINITY;
        CHECK_OK(ath_reduce_begin(r, L_MAX));
        ath_err err = run_leaves(r, L_MAX);
        CHECK_OK(ath_reduce_finish(r, err, &norm));
        CHECK(!isfinite(norm));
    }
    leaf[L_MAX - 1][60000] = kept;
    /* a rank says so, though its gradient shows nothing; the next step begins anew */
    for (int32_t rank = 0; rank <= ath_dist_size(); rank++) {
        CHECK_OK(ath_reduce_begin(r, L_MAX));
        ath_err err = run_leaves(r, L_MAX);
        if (rank == ath_dist_rank()) ath_reduce_spoil(r);
        CHECK_OK(ath_reduce_finish(r, err, &norm));
        CHECK((isfinite(norm) != 0) == (rank == ath_dist_size()));
    }
}

/* The last rank fails at each of its leaves in turn; everybody hears it; the next step is whole. */
static void check_failing_leaf(ath_reduce *r)
{
    const int rank = ath_dist_rank(), last = ath_dist_size() - 1;
    double norm = -1;

    ath_test_begin("a rank fails");
    for (int stop = 15; stop < L_MAX; stop++) {
        char text[80];
        CHECK_OK(ath_reduce_begin(r, L_MAX));
        ath_err err = run_leaves(r, rank == last ? stop : L_MAX);
        CHECK_ERR(ath_reduce_finish(r, err, &norm), ATH_EIO);
        snprintf(text, sizeof text, "micro-batch %d: the disk is on fire", stop);
        CHECK_HAS(ath_err_text(), text);
        snprintf(text, sizeof text, "rank %d: micro", last);
        if (rank != last) CHECK_HAS(ath_err_text(), text);
    }
    CHECK(norm == -1);
    check_step(r, L_MAX);
}

static void check_failing_update(ath_reduce *r)
{
    float *values[N_BUCKETS];
    double norm = 0;

    ath_test_begin("an update fails");
    for (int b = 0; b < N_BUCKETS; b++) values[b] = value + bucket_at(b);
    CHECK_OK(ath_reduce_begin(r, 3));
    ath_err err = run_leaves(r, 3);
    CHECK_OK(ath_reduce_finish(r, err, &norm));
    /* bucket 1 has one number: one rank alone updates it */
    err = ath_reduce_update(r, descend, &(descent){0, 1}, values);
    CHECK_EQ(err, ATH_ENAN);
    CHECK_HAS(ath_err_text(), "bucket 1: no way down");
    check_step(r, 5);
}

static void check_order(ath_reduce *r)
{
    int first = 0, end = 0;
    double norm = -1;

    ath_test_begin("order of leaves");
    CHECK_ERR(ath_reduce_begin(r, 0), ATH_EINVAL);
    CHECK_ERR(ath_reduce_begin(r, L_MAX + 1), ATH_EINVAL);
    CHECK_HAS(ath_err_text(), "22 micro-batches, wanted 1..21");
    CHECK_OK(ath_reduce_begin(r, L_MAX));
    ath_reduce_leaves(r, &first, &end);
    CHECK_ERR(ath_reduce_add(r, first + 1, 0, leaf[0]), ATH_EINVAL);
    CHECK_ERR(ath_reduce_add(r, first, N_BUCKETS, leaf[0]), ATH_EINVAL);
    CHECK_ERR(ath_reduce_hook(r, 0, leaf[0], counts[0] - 1), ATH_ESHAPE);
    CHECK_OK(ath_reduce_add(r, first, 0, leaf[0]));
    CHECK_ERR(ath_reduce_add(r, first, 0, leaf[0]), ATH_EINVAL);
    CHECK_ERR(ath_reduce_finish(r, ATH_OK, &norm), ATH_EINVAL);
    CHECK_HAS(ath_err_text(), "still wants");
    CHECK(norm == -1);
}

static void check_dist(void)
{
    const int rank = ath_dist_rank(), size = ath_dist_size();
    double own[4], all[16];
    static char bytes[100000];
    char text[40];

    ath_test_begin("ranks");
    for (int i = 0; i < rank; i++) own[i] = 10 * rank + i; /* rank 0 gives none */
    const int n_all = size * (size - 1) / 2;
    CHECK_EQ(ath_dist_local_size(), size);
    CHECK_EQ(ath_dist_local_rank(), rank);
    CHECK_OK(ath_dist_gather(own, rank, all, n_all));
    for (int r = 0, at = 0; r < size; r++)
        for (int i = 0; i < r; i++) CHECK(all[at++] == 10 * r + i);
    CHECK_ERR(ath_dist_gather(own, rank, all, n_all + 1), ATH_EINVAL);
    if (rank == 0)
        for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (char)(i % 101);
    CHECK_OK(ath_dist_share(bytes, sizeof bytes));
    bool is_equal = true;
    for (size_t i = 0; i < sizeof bytes; i++) is_equal = is_equal && bytes[i] == (char)(i % 101);
    CHECK(is_equal);
    CHECK_OK(ath_dist_agree(ATH_OK));
    /* all ranks from `first` on fail, each with its own reason */
    for (int first = 0; first < size; first++) {
        ath_err err =
            rank < first ? ATH_OK : ath_raise(rank == first ? ATH_EIO : ATH_ENAN, "I, %d", rank);
        CHECK_ERR(ath_dist_agree(err), rank <= first ? ATH_EIO : ATH_ENAN);
        snprintf(text, sizeof text, "I, %d", rank < first ? first : rank);
        CHECK_HAS(ath_err_text(), text);
    }
    CHECK_OK(ath_dist_barrier());
}

/* Every allocation of one rank fails in turn: all ranks refuse, nothing is lost. */
static void check_memory(const ath_reduce_opts *opts)
{
    const int failing = ath_dist_size() - 1;
    ath_reduce *r = NULL;
    int n_failed = 0;

    ath_test_begin("memory");
    const int64_t held = ath_mem_get_stats().n_held;
    for (int64_t k = 1; k < 100 && !r; k++) {
        if (ath_dist_rank() == failing) ath_mem_fail_from(k);
        ath_err err = ath_reduce_create(opts, &r);
        ath_mem_fail_from(0);
        n_failed += err == ATH_ENOMEM;
        if (err) CHECK_EQ(ath_mem_get_stats().n_held, held);
    }
    CHECK(r != NULL);
    CHECK(n_failed > 10);
    ath_reduce_destroy(&r);
    CHECK_EQ(ath_mem_get_stats().n_held, held);

    ath_test_begin("refusals");
    ath_reduce_opts bad = *opts;
    if (ath_dist_rank() == failing) bad.n_leaves_max = 0;
    CHECK_ERR(ath_reduce_create(&bad, &r), ATH_EINVAL);
    CHECK_HAS(ath_err_text(), "0 micro-batches in a step");
    bad = *opts;
    bad.n_buckets = 0;
    CHECK_ERR(ath_reduce_create(&bad, &r), ATH_EINVAL);
    static const int64_t none[] = {5, 0};
    bad.n_buckets = 2;
    bad.counts = none;
    CHECK_ERR(ath_reduce_create(&bad, &r), ATH_ELIMIT);
    CHECK(r == NULL);
}

static void check_reduce(bool fast)
{
    const ath_reduce_opts opts = {
        .n_leaves_max = L_MAX, .n_buckets = N_BUCKETS, .counts = counts, .is_fast = fast};
    ath_reduce *r = NULL;

    is_fast = fast;
    memset(value, 0, sizeof value);
    check_memory(&opts);
    CHECK_OK(ath_reduce_create(&opts, &r));
    if (!r) return;
    ath_mem_freeze(); /* steps allocate nothing */
    check_slices(r);
    for (int n_leaves = 1; n_leaves <= L_MAX; n_leaves++) check_step(r, n_leaves);
    check_not_finite(r);
    check_failing_leaf(r);
    check_failing_update(r);
    check_order(r);
    check_step(r, 1);
    ath_mem_thaw();
    ath_reduce_destroy(&r);
}

int main(int argc, char **argv)
{
    char *end = NULL;

    ATH_ASSERT(argc == 2);
    ath_err err = ath_dist_init((int32_t)strtol(argv[1], &end, 10));
    if (err) {
        printf("%s\n", ath_err_text());
        return 1;
    }
    fill();
    check_dist();
    check_reduce(true);
    check_reduce(false);
    if (ath_dist_rank() == 0) {
        char text[ATH_HASH_TEXT];
        ath_hash_print(ath_hash_of(value, sizeof value), text);
        printf("digest of the parameters %s\n", text);
        ath_hash_print(ath_hash_of(norms, sizeof norms), text);
        printf("digest of the norms %s\n", text);
    }
    const int code = ath_test_end();
    ath_dist_finalize();
    return code;
}
