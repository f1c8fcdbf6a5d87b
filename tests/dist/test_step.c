/*
 * A compiled training step under the exact reduction: the toy's full fine-tune over 5 leaves of unequal
 * pictures in several buckets, reduced by the hook while backward runs. Norm and updated parameters are
 * those of one rank (run.sh compares what is printed), and the reduced gradient is that of a plain sum
 * of the leaves, up to rounding.
 *
 *     test_step RANKS
 */
#include "core/hash.h"
#include "core/mem.h"
#include "tests/graph/toy.h"
#include "tests/harness.h"
#include "worker/dist/dist.h"
#include "worker/dist/reduce.h"

#include <math.h>
#include <stdlib.h>

enum { N_LEAVES = 5, BUCKETS_MAX = 64 };

static struct {
    int32_t n_buckets;
    int64_t count[BUCKETS_MAX], first[BUCKETS_MAX], n;
    float *value, *plain; /* parameters; sums of gradients in a row */
    int64_t n_wrong;
} s;

static toy_opts toy_of(int leaf, ath_reduce_fn reduce, void *context)
{
    return (toy_opts){.compute = ATH_F32,
                      .plan = {.backend = ATH_CPU, .n_threads = 1, .bucket_bytes = 16 << 10},
                      .has_a = true,
                      .trains_base = true,
                      .x_scale = 1 + 0.25f * (float)leaf,
                      .reduce = reduce,
                      .reduce_context = context};
}

/* Sums in a row, on every rank. */
static ath_err add_plain(void *context, int32_t bucket, void *grads, int64_t count)
{
    const float *g = grads;

    (void)context;
    CHECK_EQ(count, s.count[bucket]);
    for (int64_t i = 0; i < count; i++) s.plain[s.first[bucket] + i] += g[i];
    return ATH_OK;
}

static ath_err run_leaf(int leaf, ath_reduce_fn reduce, void *context)
{
    const toy_opts opts = toy_of(leaf, reduce, context);
    toy t;

    ATH_TRY(toy_create(&opts, &t));
    ath_err err = ath_exec_run(t.exec, ATH_PHASE_GRAD);
    toy_release(&t);
    return err;
}

static ath_err descend(void *context, int32_t bucket, int64_t first, int64_t n, float *grad)
{
    (void)context;
    for (int64_t i = 0; i < n; i++) {
        const int64_t at = s.first[bucket] + first + i;
        s.n_wrong += !(fabsf(grad[i] - s.plain[at]) <= 1e-5f * (1 + fabsf(s.plain[at])));
        s.value[at] -= 0.1f * grad[i];
    }
    return ATH_OK;
}

static ath_err measure(void)
{
    const toy_opts opts = toy_of(0, NULL, NULL);
    toy t;

    ATH_TRY(toy_create(&opts, &t));
    s.n_buckets = ath_plan_get_stats(t.plan).n_buckets;
    ATH_ASSERT(s.n_buckets <= BUCKETS_MAX);
    for (int32_t i = 0; i < s.n_buckets; i++) {
        s.count[i] = ath_plan_bucket_span(t.plan, i, &s.first[i]);
        CHECK_EQ(s.first[i], s.n);
        s.n += s.count[i];
    }
    toy_release(&t);
    ATH_TRY(ATH_NEW(s.n, "values", &s.value));
    return ATH_NEW(s.n, "sums", &s.plain);
}

static ath_err run(void)
{
    ath_reduce *r = NULL;
    float *values[BUCKETS_MAX];
    int32_t first = 0, end = 0;
    double norm = 0;
    char text[ATH_HASH_TEXT];

    ATH_TRY(measure());
    CHECK(s.n_buckets >= 4);
    for (int leaf = 0; leaf < N_LEAVES; leaf++) ATH_TRY(run_leaf(leaf, add_plain, NULL));
    ATH_TRY(ath_reduce_create(
        &(ath_reduce_opts){.n_leaves_max = N_LEAVES, .n_buckets = s.n_buckets, .counts = s.count},
        &r));
    ATH_TRY(ath_reduce_begin(r, N_LEAVES));
    ath_reduce_leaves(r, &first, &end);
    ath_err err = ATH_OK;
    for (int32_t leaf = first; leaf < end && !err; leaf++) {
        ATH_TRY(ath_reduce_set_leaf(r, leaf));
        err = run_leaf(leaf, ath_reduce_hook, r);
    }
    ATH_TRY(ath_reduce_finish(r, err, &norm));
    for (int32_t i = 0; i < s.n_buckets; i++) values[i] = s.value + s.first[i];
    ATH_TRY(ath_reduce_update(r, descend, NULL, values));
    ath_reduce_destroy(&r);
    CHECK_EQ(s.n_wrong, 0);
    CHECK(norm > 0 && isfinite(norm));
    ath_hash_print(ath_hash_of(s.value, (size_t)s.n * sizeof *s.value), text);
    if (ath_dist_rank() == 0)
        printf("digest of %lld values %s, norm %a\n", (long long)s.n, text, norm);
    return ATH_OK;
}

int main(int argc, char **argv)
{
    ATH_ASSERT(argc == 2);
    ath_err err = ath_dist_init((int32_t)strtol(argv[1], NULL, 10));
    if (err) {
        printf("%s\n", ath_err_text());
        return 1;
    }
    ath_test_begin("step");
    CHECK_OK(run());
    ath_mem_free(&s.value);
    ath_mem_free(&s.plain);
    const int code = ath_test_end();
    ath_dist_finalize();
    return code;
}
